"""The broker's side of a replay: one routing step puts a message into its queue and a copy into the receipts.

AMQP does not tell whether a message that was published before a crash has arrived. So each replay has an exchange to
which the target queue and a queue of receipts are bound: the broker puts a message into both or into neither. After a
crash the next process reads the receipts and sends the rest. A lock that ends with the connection makes sure that the
predecessor is gone from the broker, and not just slow.

See docs/decisions/0016-replays.md for what is left: a broker that is killed between the two writes.
"""

from collections.abc import Sequence

from jobtrail.broker.declaring import lock
from jobtrail.broker.properties import header_text
from jobtrail.broker.sender import BulkSender, Message
from jobtrail.deadletters.outgoing import OutgoingLetter
from jobtrail.models.dead_letters.headers import LETTER_HEADER
from jobtrail.models.errors import NotFoundError
from jobtrail.models.topology import receipts_queue_arguments

_SEND_TIMEOUT_S = 60.0


class Staging:
    """One replay's exchange and receipts. Use it as a context manager.

    Its one connection holds the lock, sends, and takes away what is no longer needed: without the lock it does nothing.
    """

    def __init__(self, amqp_url: str, replay_id: str) -> None:
        self._name = f"jobtrail.replay.{replay_id}"
        self._sender = BulkSender(amqp_url, self._name)
        self._bound: set[str] = set()

    async def __aenter__(self) -> "Staging":
        """Connect, take the lock, and declare exchange and receipts.

        Raises:
            BusyError: Another process runs this replay.
        """
        try:
            await self._sender.open()
            await lock(self._sender.connection, f"{self._name}.lock", f"{self._name} is run by another process")
            channel = await self._sender.connection.channel()
            await channel.declare_exchange(self._name, "direct")
            await channel.declare_queue(self._name, receipts_queue_arguments())
            await channel.close()
        except BaseException:
            await self._sender.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.close()

    async def bind(self, target: str) -> None:
        """Bind a queue or stream, before each batch.

        Raises:
            NotFoundError: The queue does not exist.
            BusyError: It is exclusive to another connection.
        """
        channel = await self._sender.connection.channel()
        try:
            # Each time: a queue that was deleted, and declared anew, has lost its binding.
            await channel.bind(target, self._name, target)
        except NotFoundError as error:
            raise NotFoundError(f"queue {target!r} does not exist on the broker") from error
        if target not in self._bound:
            await channel.bind(self._name, self._name, target)
            self._bound.add(target)
        await channel.close()

    async def send(self, messages: Sequence[OutgoingLetter]) -> set[str]:
        """Send messages to bound targets; return the dead letters whose queue refused them, being full or gone.

        These may be among the receipts nevertheless.

        Raises:
            PoisonError: The broker closed the connection over one of them.
            BrokerError: Some were not confirmed; the receipts tell which arrived.
        """
        ready: list[Message] = []
        of: list[str | None] = []
        for message in messages:
            if message.mark is not None:
                ready.append(message.mark)
                of.append(None)
            ready.append(
                Message(
                    exchange=self._name,
                    routing_key=message.target,
                    body=message.body,
                    properties=message.properties,
                )
            )
            of.append(message.letter_id)
        refused = await self._sender.send(ready, _SEND_TIMEOUT_S)
        return {letter for letter in (of[place] for place in refused) if letter is not None}

    async def received(self) -> set[str]:
        """Read the receipts: the dead letters whose messages have arrived since `forget`."""
        letters: set[str] = set()
        channel = await self._sender.connection.channel()
        while (receipt := await channel.get(self._name)) is not None:
            letter = header_text(receipt.raw, LETTER_HEADER)
            if letter is not None:
                letters.add(letter)
        await channel.close()  # they go back, and stay until it is noted what they say
        return letters

    async def forget(self) -> None:
        """Purge the receipts, once they are recorded."""
        await self._sender.purge(self._name)

    async def remove(self) -> None:
        """Remove exchange and receipts at the end of the replay."""
        await self._sender.remove(exchange=self._name, queue=self._name)
