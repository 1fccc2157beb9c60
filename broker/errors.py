"""The driver's errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorException,
    AMQPConnectorPhaseErrorBase,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AMQPHeartbeatTimeout,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionBlockedTimeout,
    ConnectionClosed,
    IncompatibleProtocolError,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from jobtrail.broker.address import CONNECT_TIMEOUT_S, broker_address
from jobtrail.models.errors import BrokerError, BusyError, JobTrailError, NotFoundError
from jobtrail.models.redaction import redact

NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
_NO_SUCH = "NOT_FOUND - no "
_MAX_CHARS = 300
_NOT_ALLOWED = "the virtual host does not exist, or the user may not use it"
_WRONG_USER = "wrong user or password"
_PLAIN: dict[type[BaseException], str] = {
    ProbableAuthenticationError: _WRONG_USER,
    AuthenticationError: _WRONG_USER,
    ProbableAccessDeniedError: _NOT_ALLOWED,
    IncompatibleProtocolError: "what listens there does not speak AMQP 0-9-1",
    AMQPConnectorStackTimeout: f"no answer within {CONNECT_TIMEOUT_S:g} s",
    AMQPHeartbeatTimeout: "no heartbeat from it any more",
    ConnectionBlockedTimeout: "it accepts no messages for now: it is short of memory or disk",
}


@contextmanager
def broker_failures(amqp_url: str) -> Iterator[None]:
    """Let pika's errors come out as ours; see `translated`."""
    try:
        yield
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise translated(error, amqp_url) from error


def translated(error: BaseException, amqp_url: str) -> JobTrailError:
    """Make our error of the driver's, with that as its cause.

    It is a `NotFoundError` where a queue or an exchange does not exist, a `BusyError` where it is another connection's,
    else a `BrokerError`.
    """
    ours = _translated(error, amqp_url)
    ours.__cause__ = error
    return ours


def _translated(error: BaseException, amqp_url: str) -> JobTrailError:
    if isinstance(error, BrokerError):
        return BrokerError(str(error))
    if isinstance(error, ChannelClosedByBroker):
        words = redact(readable(error.reply_text))
        if error.reply_code == NOT_FOUND and _NO_SUCH in words:  # a queue whose node is coming back is a 404 too
            return NotFoundError(words)
        if error.reply_code == RESOURCE_LOCKED:
            return BusyError(words)
        return BrokerError(f"the broker closed the channel: {words}")
    if isinstance(error, NackError):
        return BrokerError("the broker refused a message; its queue is full, or is just being created")
    return BrokerError(f"RabbitMQ at {broker_address(amqp_url)} cannot be reached: {plain_words(error)}")


def is_precondition_failure(error: BrokerError) -> bool:
    """Tell whether the broker refused a declaration because what exists has other arguments."""
    refused = error.__cause__
    return isinstance(refused, ChannelClosedByBroker) and refused.reply_code == PRECONDITION_FAILED


def plain_words(error: BaseException) -> str:
    """Say in a few words, without secrets, why a connection could not be made or was lost.

    Where several nodes were tried, the last one's reason counts.
    """
    cause = _cause(error)
    words = _PLAIN.get(type(cause))
    if words is None:
        words = readable(cause.reply_text) if isinstance(cause, ConnectionClosed) else str(cause)
    return redact(words)[:_MAX_CHARS] or type(cause).__name__


def _cause(error: BaseException) -> BaseException:
    """Take an error out of those that pika wraps it in."""
    while True:
        inner: object = None
        if isinstance(error, AMQPConnectionWorkflowFailed):
            inner = error.exceptions[-1]
        elif isinstance(error, AMQPConnectorPhaseErrorBase):
            inner = error.exception
        elif isinstance(error, AMQPConnectionError) and error.args:
            inner = error.args[0]
        if not isinstance(inner, BaseException):
            return error
        error = inner


def readable(words: str | bytes) -> str:
    """Make text of what the broker says: where it repeats a name that is not UTF-8, pika leaves it as bytes."""
    return words.decode("utf-8", "backslashreplace") if isinstance(words, bytes) else words
