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
from jobtrail.models.errors import BrokerError, BusyError, NotFoundError
from jobtrail.models.redaction import redact

NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
_NO_SUCH = "NOT_FOUND - no "
_MAX_CHARS = 300
_NOT_ALLOWED = "the user may not use this virtual host, or there is no such"
_WRONG_USER = "wrong user or password"
_PLAIN: dict[type[BaseException], str] = {
    ProbableAuthenticationError: _WRONG_USER,
    AuthenticationError: _WRONG_USER,
    ProbableAccessDeniedError: _NOT_ALLOWED,
    IncompatibleProtocolError: "what listens there does not speak AMQP 0-9-1",
    AMQPConnectorStackTimeout: f"no answer within {CONNECT_TIMEOUT_S:g} s",
    AMQPHeartbeatTimeout: "it fell silent",
    ConnectionBlockedTimeout: "it takes no messages for now: its memory or its disk is short",
}


@contextmanager
def broker_failures(amqp_url: str) -> Iterator[None]:
    """Turn pika's errors into ours.

    Args:
        amqp_url: The broker.

    Raises:
        BrokerError: The broker can't be reached, closed the connection or the channel, or refused a message.
    """
    try:
        yield
    except ChannelClosedByBroker as error:
        raise BrokerError(f"the broker closed the channel: {redact(readable(error.reply_text))}") from error
    except NackError as error:
        raise BrokerError("the broker refused a message; its queue is full, or only just being made") from error
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise BrokerError(f"RabbitMQ at {broker_address(amqp_url)} cannot be reached: {plain_words(error)}") from error


def plain_words(error: BaseException) -> str:
    """Say why a connection could not be made, or was lost, without secrets.

    Args:
        error: pika's error; where several nodes were tried, the last one's counts.

    Returns:
        A few words.
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
    """What the broker says may repeat a name that is not UTF-8; pika leaves it as bytes then."""
    return words.decode("utf-8", "backslashreplace") if isinstance(words, bytes) else words


def translated(error: BaseException, amqp_url: str) -> Exception:
    """Turn the reason why a channel was closed into an error of ours.

    Args:
        error: The reason.
        amqp_url: The broker.

    Returns:
        `NotFoundError` where there is no such queue or exchange, `BusyError` where it is another connection's, else
        `BrokerError`.
    """
    if isinstance(error, BrokerError):
        return BrokerError(str(error))
    if isinstance(error, ChannelClosedByBroker):
        words = readable(error.reply_text)
        if error.reply_code == NOT_FOUND and _NO_SUCH in words:  # one whose node is coming back is told by 404 too
            return NotFoundError(words)
        if error.reply_code == RESOURCE_LOCKED:
            return BusyError(words)
    try:
        with broker_failures(amqp_url):
            raise error
    except BrokerError as broker_error:
        return broker_error
