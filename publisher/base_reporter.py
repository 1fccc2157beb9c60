"""What the reporters for threads and for asyncio have in common: the ledger, and what it tells."""

from pathlib import Path

from jobtrail.broker.address import broker_address
from jobtrail.publisher.spool.folder import default_spool_path
from jobtrail.publisher.spool.ledger import SpoolLedger


class BaseReporter:
    """Owns the ledger of a worker process.

    Args:
        amqp_url: The broker.
        extractor_id: The worker's extractor.
        reply_queue: Where updates go when the job's request names no `reply_to`: a queue, or a stream.
        partitions: How many streams of that name there are.
        spool_path: Folder for unsent updates; None for the default.
        max_spooled: How many updates the spool holds.
        user_id: User of the jobs that name none.
        instance_id: Id of this worker process; None makes a UUID.

    Raises:
        SettingError: The URL is wrong.
        ValueError: The extractor id is blank or longer than 512 characters; partitions are less than 1.
    """

    def __init__(
        self,
        amqp_url: str,
        extractor_id: str,
        *,
        reply_queue: str,
        partitions: int,
        spool_path: str | Path | None,
        max_spooled: int,
        user_id: str | None,
        instance_id: str | None,
    ) -> None:
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
