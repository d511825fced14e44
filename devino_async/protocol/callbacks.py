"""Callbacks and incoming messages: what the service POSTs to your address, as values.

Bytes in, values out. Receiving them over HTTP and trusting them is the receiver's business, not this file's.
"""

from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from attrs import field, frozen

from ..errors import InvalidCallback
from ..redaction import mask_phone
from .statuses import Status
from .wire.converter import Mismatch, as_id, as_object, structure, wire_class
from .wire.strict_json import Unreadable, decode

__all__ = ["Events", "IncomingMessage", "StatusCallback", "parse_callbacks", "parse_incoming", "read"]

T = TypeVar("T")

_EVENTS_A_STEP = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class StatusCallback:
    """A change of a message's status (API docs, "Callbacks").

    `timestamp` is aware, in UTC. `options` is what the message was sent with, if the service returns it under that
    name, which the API docs leave open. All other unknown keys are in `extra`. What an `error_code` means is not
    documented. Nothing proves that a callback comes from the service: look up what matters with `statuses`.
    """

    message_id: str
    timestamp: datetime
    status: Status | str
    error_code: int | None = None
    options: Mapping[str, Any] | None = field(default=None, hash=False, repr=lambda value: "<set>" if value else "None")
    extra: Mapping[str, Any] = field(factory=dict, hash=False, repr=lambda value: f"<{', '.join(value)}>")


@frozen(kw_only=True, repr=False)
class IncomingMessage:
    """A message that somebody sent to you (API docs, "Incoming messages"). `timestamp` is aware, in UTC."""

    incoming_message_id: str
    to: str | None = None
    sender: str | None = None
    text: str | None = None
    transaction_id: str | None = None
    prefix: str | None = None
    operator: str | None = None
    country_name: str | None = None
    timestamp: datetime
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    def __repr__(self) -> str:
        return (
            f"IncomingMessage(incoming_message_id={self.incoming_message_id!r}, to={mask_phone(self.to)!r}, "
            f"sender={mask_phone(self.sender)!r}, text=<{len(self.text or '')} characters>, "
            f"timestamp={self.timestamp!s})"
        )


@frozen
class Events:
    """What one body holds. It is all of one kind."""

    statuses: list[StatusCallback] = field(factory=list)
    incoming: list[IncomingMessage] = field(factory=list)


def _milliseconds(value: Any, _: Any = None) -> datetime:
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        number = int(value)
    try:
        if number is not None:
            return _EPOCH + timedelta(milliseconds=number)
    except OverflowError:
        pass
    raise Mismatch("must be a time in milliseconds since 1970")


def _text_or_number(value: Any, _: Any = None) -> str:
    return "" if value == "" else as_id(value)


wire_class(
    StatusCallback,
    names={"timestamp": "ts"},
    hooks={"message_id": as_id, "timestamp": _milliseconds, "options": as_object},
)
wire_class(
    IncomingMessage,
    names={"timestamp": "ts", "sender": "from"},
    hooks={
        "incoming_message_id": as_id,
        "timestamp": _milliseconds,
        "transaction_id": _text_or_number,
        "prefix": _text_or_number,
    },
)


def parse_callbacks(body: bytes | str) -> list[StatusCallback]:
    """Return the status changes in a callback's body, an array of them or a single one. Raises InvalidCallback."""
    return _parse(body, StatusCallback, "a status callback")


def parse_incoming(body: bytes | str) -> list[IncomingMessage]:
    """Return the incoming messages in a body, a single one or an array of them. Raises InvalidCallback."""
    return _parse(body, IncomingMessage, "an incoming message")


def read(body: bytes, max_events: int) -> Generator[None, None, Events]:
    """Return what was POSTed. Yields after every few dozen events. Raises InvalidCallback, also for too many events."""
    values = _values(body)
    if len(values) > max_events:
        raise InvalidCallback(f"the body holds {len(values):,} events, and at most {max_events:,} are allowed")
    first = values[0] if values else None
    if isinstance(first, dict) and "incomingMessageId" in first:
        return Events(incoming=(yield from _structured(values, IncomingMessage, "an incoming message")))
    return Events(statuses=(yield from _structured(values, StatusCallback, "a status callback")))


def _structured(values: list[Any], kind: type[T], what: str) -> Generator[None, None, list[T]]:
    events: list[T] = []
    problem: str | None = None
    try:
        for value in values:
            events.append(structure(value, kind))
            if len(events) % _EVENTS_A_STEP == 0:
                yield
    except Mismatch as error:
        problem = str(error)
    if problem is not None:
        raise InvalidCallback(f"the body is not {what}: {problem}")
    return events


def _values(body: bytes | str) -> list[Any]:
    if not isinstance(body, bytes | str):
        raise InvalidCallback(f"the body must be bytes or str, not {type(body).__name__}")
    try:
        value = decode(body)
    except Unreadable as error:
        problem = str(error)
    else:
        return value if isinstance(value, list) else [value]
    raise InvalidCallback(f"the body cannot be read: {problem}")


def _parse(body: bytes | str, kind: type[T], what: str) -> list[T]:
    reading = _structured(_values(body), kind, what)
    while True:
        try:
            next(reading)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
