"""What the body of a failed message still says: its extractor, version and job."""

from collections.abc import Mapping

from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import MAX_ID_LENGTH, MAX_NAME_LENGTH, load_object


def readable_fields(body: bytes, max_bytes: int) -> Mapping[str, object]:
    """Read the fields of a body, if it can be decoded.

    Args:
        body: The body.
        max_bytes: The largest body that is decoded.

    Returns:
        The fields of its JSON object; empty if it is not one.
    """
    try:
        return load_object(body, max_bytes)
    except DecodeError:
        return {}


def extractor_in(fields: Mapping[str, object]) -> str:
    """Return the extractor; empty if it is not stated."""
    info = fields.get("extractor_info")
    name = info.get("name") if isinstance(info, dict) else fields.get("extractor_id")
    return name[:MAX_NAME_LENGTH] if isinstance(name, str) and name.strip() else ""


def version_in(fields: Mapping[str, object]) -> str:
    """Return the sender's version; empty if it is not stated."""
    info = fields.get("extractor_info")
    version = info.get("version") if isinstance(info, dict) else None
    return str(version)[:MAX_NAME_LENGTH] if isinstance(version, str | int | float) else ""


def job_in(fields: Mapping[str, object]) -> str | None:
    """Return the job; None if it is not stated, or not a valid id."""
    job_id = fields.get("job_id")
    return job_id if isinstance(job_id, str) and 0 < len(job_id.strip()) <= MAX_ID_LENGTH else None
