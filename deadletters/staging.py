"""The broker's side of a replay: messages go to their queue and, in the same routing step, a copy to the receipts.

AMQP gives no answer to the question whether a message that was published before a crash has arrived. So each replay
has an exchange of its own, to which the target queue and a queue of receipts are bound: the broker puts a message into
both or into none. Whoever goes on after a crash reads the receipts, and sends what is not among them. A lock that ends
with the connection makes sure that the predecessor is gone from the broker by then, and not just slow.

See docs/decisions/0016-replays.md for what is left: a broker that is killed between the two writes.
"""

from collections.abc import Sequence

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

    Args:
        amqp_url: The broker.
        replay_id: The replay.
    """

    def __init__(self, amqp_url: str, replay_id: str) -> None:
        self._name = f"jobtrail.replay.{replay_id}"
        self._sender = BulkSender(amqp_url, self._name)
        self._bound: set[str] = set()

    async def __aenter__(self) -> "Staging":
        """Connect, take the lock, and declare what is needed.

        Raises:
            BrokerError: The broker can't be reached or refuses.
            BusyError: Another process runs this replay.
        """
        try:
            await self._sender.open()
            await self._sender.lock(f"{self._name}.lock", f"{self._name} is run by another process")
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
        """Make a queue or a stream one that messages can be sent to; to be called before each batch.

        Args:
            target: The queue.

        Raises:
            NotFoundError: There is no such queue.
            BusyError: It is for one connection only.
            BrokerError: The connection is lost.
        """
        channel = await self._sender.connection.channel()
        try:
            # Each time: a queue that was deleted, and declared anew, has lost its binding.
            await channel.bind(target, self._name, target)
        except NotFoundError as error:
            raise NotFoundError(f"there is no queue {target!r} on the broker") from error
        if target not in self._bound:
            await channel.bind(self._name, self._name, target)
            self._bound.add(target)
        await channel.close()

    async def send(self, messages: Sequence[OutgoingLetter]) -> set[str]:
        """Send messages, and wait until the broker has confirmed or refused each.

        Args:
            messages: The messages; their targets are bound.

        Returns:
            The letters whose messages were refused: their queue is full, or gone. They may be among the receipts.

        Raises:
            PoisonError: The broker closed the connection over one of them.
            BrokerError: One was neither confirmed nor refused, or returned; which ones arrived is told by the receipts.
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
        """Read the receipts.

        Returns:
            The letters whose messages have arrived in their queue since `forget`.

        Raises:
            BrokerError: The connection is lost.
        """
        letters: set[str] = set()
        channel = await self._sender.connection.channel()
        while (receipt := await channel.get(self._name)) is not None:
            letter = header_text(receipt.raw, LETTER_HEADER)
            if letter is not None:
                letters.add(letter)
        await channel.close()  # they go back, and stay until it is noted what they say
        return letters

    async def forget(self) -> None:
        """Throw the receipts away: it is noted what they say.

        Raises:
            BrokerError: The connection is lost.
        """
        await self._sender.purge(self._name)

    async def remove(self) -> None:
        """Remove exchange and receipts: the replay is at its end.

        Raises:
            BrokerError: The connection is lost.
        """
        await self._sender.remove(exchange=self._name, queue=self._name)
