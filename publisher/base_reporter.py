"""What the reporters for threads and for asyncio have in common: the ledger, its figures, and how jobs begin."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar

from jobtrail.broker.address import broker_address
from jobtrail.models.topology import DEFAULT_REPLY_STREAM
from jobtrail.publisher.request import Request, RequestProperties
from jobtrail.publisher.spool.folder import default_spool_path
from jobtrail.publisher.spool.ledger import SpoolLedger
from jobtrail.publisher.spool.spool import DEFAULT_MAX_UPDATES

J = TypeVar("J")
"""A job, as the worker uses it."""


class BaseReporter(ABC, Generic[J]):
    """Owns the ledger of a worker process. Use `Reporter` or `AsyncReporter`."""

    def __init__(
        self,
        amqp_url: str,
        extractor_id: str,
        *,
        reply_queue: str = DEFAULT_REPLY_STREAM,
        partitions: int = 1,
        spool_path: str | Path | None = None,
        max_spooled: int = DEFAULT_MAX_UPDATES,
        user_id: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        """Open the spool.

        Args:
            amqp_url: The broker, as `amqp://user:password@host:port/vhost`. The nodes of a cluster, separated by
                commas, are tried in turn: several such URLs, or several `host:port` in one.
            extractor_id: The worker's extractor, as in its ExtractorInfo.
            reply_queue: Where updates go when the job's request names no `reply_to`: a stream, or a queue.
            partitions: JobTrail's `JOBTRAIL_REPLY_PARTITIONS`; with more than 1, a job's updates go to one of the
                streams `reply_queue`.0, `reply_queue`.1 and so on, chosen by its id.
            spool_path: Folder for unsent updates; see `publisher.spool.folder.default_spool_path` for the default.
                Replicas of a worker may share it.
            max_spooled: How many updates the spool holds; beyond that the oldest progress is dropped.
            user_id: User of the jobs that name none.
            instance_id: Id of this worker process, the same as in its heartbeats; None makes a UUID.

        Raises:
            SettingError: The URL is wrong.
            ValueError: The extractor id is blank or longer than 512 characters, or `partitions` is less than 1.
        """
        self._amqp_url = amqp_url
        address = broker_address(amqp_url)
        self._ledger = SpoolLedger(
            extractor_id,
            reply_queue=reply_queue,
            partitions=partitions,
            spool_path=Path(spool_path) if spool_path else default_spool_path(extractor_id, address),
            max_spooled=max_spooled,
            instance_id=instance_id,
            user_id=user_id,
        )
        self._open()

    @property
    def instance_id(self) -> str:
        """Id of this worker process; give it to the heartbeat sender too."""
        return self._ledger.instance_id

    @property
    def unsent(self) -> int:
        """Updates that the broker has not confirmed yet."""
        return len(self._ledger.spool)

    @property
    def lost(self) -> int:
        """Updates dropped by this process because the spool was full; the receiver sees gaps in their numbering."""
        return self._ledger.lost

    def jobs_in_flight(self) -> frozenset[str]:
        """Return the ids of the jobs that this process is at work on, for the heartbeats."""
        return self._ledger.jobs_in_flight()

    def job(
        self,
        resource_id: str,
        job_id: str | None = None,
        user_id: str | None = None,
        reply_to: str | None = None,
        correlation_id: str | None = None,
    ) -> J:
        """Begin a job; use it in a `with` statement, or in an `async with` that of an `AsyncReporter`.

        Args:
            resource_id: The file's or dataset's id.
            job_id: The job; None makes a UUID.
            user_id: Who requested it; None for the reporter's.
            reply_to: Stream or queue for its updates; None for the reporter's.
            correlation_id: The submitter's mark, sent back with every update.

        Returns:
            The job.

        Raises:
            ValueError: The resource id is blank or longer than 512 characters.
        """
        request = Request.create(
            resource_id, job_id=job_id, user_id=user_id, reply_to=reply_to, correlation_id=correlation_id
        )
        return self._job(request)

    def job_from_request(
        self, body: bytes | str | Mapping[str, object], properties: RequestProperties | None = None
    ) -> J:
        """Begin the job that a request from the worker's queue asks for; use it as that of `job`.

        Args:
            body: The message's body, or what was decoded from it.
            properties: The message's AMQP properties, or an aio-pika message: its `reply_to` and `correlation_id` are
                taken from them.

        Returns:
            The job, with the request's job id or else a new UUID.

        Raises:
            DecodeError: The body is not a JSON object, or names no resource.
        """
        return self._job(Request.parse(body, properties))

    @abstractmethod
    def _open(self) -> None:
        """Get ready to send; called once the spool is open."""

    @abstractmethod
    def _job(self, request: Request) -> J:
        """Begin a job, in the form in which the worker uses it."""
