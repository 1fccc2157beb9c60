"""What can go wrong with the private services."""

from jobtrail.models.errors import JobTrailError, UnreachableError


class StackError(UnreachableError):
    """A private service could not be installed or started."""


class StackBusyError(JobTrailError):
    """Another process runs the private services of this folder."""
