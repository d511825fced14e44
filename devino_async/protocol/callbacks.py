"""Callbacks and incoming messages: what the service POSTs to your address, as values.

Bytes in, values out. An unreadable item is left out, and an unreadable optional field is left unset, without harm to
the rest. Receiving requests over HTTP, and deciding which of them to trust, is in webhooks/.
"""

import logging
import re
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from attrs import field, frozen

from ..errors import InvalidCallback
from ..redaction import mask_phone
from .statuses import Status
from .wire.converter import Mismatch, as_id, as_object, structure, structure_readable, wire_class
from .wire.strict_json import Unreadable, decode

__all__ = ["Events", "IncomingMessage", "StatusCallback", "parse_callbacks", "parse_incoming", "read", "unread_in"]

T = TypeVar("T", bound="StatusCallback | IncomingMessage")

_log = logging.getLogger("devino_async")

_EVENTS_A_STEP = 64
_WEIGHT_OF_AN_ODD_ONE = 8  # An item with an unreadable field takes longer, because it is read column by column.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A number of ten digits is in seconds. As milliseconds it would be a date in early 1970.
_SECONDS = range(10**9, 10**10)
# Only in this range can a number with a fraction be milliseconds.
_MILLISECONDS = range(10**12, 10**13)
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,9})?", re.ASCII)
_MAX_NUMBER = 10**20


_STATUSES: dict[str, Status | str] = {each.value: each for each in Status}


@frozen
class StatusCallback:
    """A change of a message's status (API docs, "Callbacks").

    `timestamp` is an aware datetime in UTC. `options` holds the options that the message was sent with, if the
    service returns them under that name. The API docs leave that open. Unknown keys are in `extra`, and so are
    `errorCode` and `options` if they cannot be read. The meaning of an `error_code` is not documented. Nothing in a
    callback proves that the service sent it, so confirm what matters with `statuses`.
    """

    message_id: str
    timestamp: datetime
    status: Status | str
    error_code: int | None = None
    options: Mapping[str, Any] | None = field(default=None, hash=False, repr=lambda value: "<set>" if value else "None")
    extra: Mapping[str, Any] = field(factory=dict, hash=False, repr=lambda value: f"<{', '.join(value)}>")


@frozen(kw_only=True, repr=False)
class IncomingMessage:
    """A message that was sent to you (API docs, "Incoming messages").

    `timestamp` is an aware datetime in UTC. Unknown keys and unreadable optional fields are in `extra`.
    """

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
    """The contents of one body: the readable items in order, and how many items could not be read.

    `problem` says what is wrong with the first unreadable item. It never contains a value from that item.
    """

    statuses: list[StatusCallback] = field(factory=list)
    incoming: list[IncomingMessage] = field(factory=list)
    unread: int = 0
    problem: str | None = None


def _moment(value: Any, _: Any = None) -> datetime:
    number = _whole_in(value)
    if number is None and isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
        number = _whole_in(value)
    try:
        if isinstance(value, Decimal) and _SECONDS.start <= value < _SECONDS.stop:
            return _EPOCH + timedelta(microseconds=int(value * 1_000_000))
        if isinstance(value, Decimal) and _MILLISECONDS.start <= value < _MILLISECONDS.stop:
            return _EPOCH + timedelta(microseconds=int(value * 1_000))
        if isinstance(value, str):
            return _iso_moment(value)
        if number is not None:
            return _EPOCH + (timedelta(seconds=number) if number in _SECONDS else timedelta(milliseconds=number))
    except OverflowError:
        pass
    raise Mismatch("must be a time in milliseconds since 1970")


def _iso_moment(value: str) -> datetime:
    """Return an ISO 8601 time in UTC. Without a zone it could be any of many times, so it is not read."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = _EPOCH.replace(tzinfo=None)
    if moment.tzinfo is None:
        raise Mismatch("must be a time in milliseconds since 1970, or in ISO 8601 with a zone")
    return moment.astimezone(UTC)


def _whole_in(value: Any) -> int | None:
    """Return a JSON number as an int if it is whole, such as 7 or 7.0, else None.

    Without the bound, 1e999999 would become an int of a million digits.
    """
    if isinstance(value, Decimal):
        return int(value) if abs(value) < _MAX_NUMBER and value == value.to_integral_value() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _status(value: Any, _: Any = None) -> Status | str:
    if not isinstance(value, str) or not value.strip():
        raise Mismatch("must be a str")
    return _STATUSES.get(value, value)


wire_class(
    StatusCallback,
    names={"timestamp": "ts"},
    hooks={"message_id": as_id, "timestamp": _moment, "status": _status, "options": as_object},
)
wire_class(
    IncomingMessage,
    names={"timestamp": "ts", "sender": "from"},
    hooks={"incoming_message_id": as_id, "timestamp": _moment},
)


def parse_callbacks(body: bytes | str) -> list[StatusCallback]:
    """Return the status changes in a callback's body, which may hold an array of them or a single one.

    Items that cannot be read are left out, and their number is logged. Incoming messages in the same body are left
    out too: `parse_incoming` returns them. Raises InvalidCallback if the body is not JSON or none of its items is a
    status callback. An empty array gives an empty list.
    """
    events = _at_once(body)
    return _those("a status callback", events, events.statuses, events.incoming)


def parse_incoming(body: bytes | str) -> list[IncomingMessage]:
    """Return the incoming messages in a body, which may hold a single one or an array of them.

    Items that cannot be read are left out, and their number is logged. Status changes in the same body are left out
    too: `parse_callbacks` returns them. Raises InvalidCallback if the body is not JSON or none of its items is an
    incoming message. An empty array gives an empty list.
    """
    events = _at_once(body)
    return _those("an incoming message", events, events.incoming, events.statuses)


def read(body: bytes | str) -> Generator[None, None, Events]:
    """Return the events in a body. Yields after every few dozen items. Raises InvalidCallback if it is not JSON."""
    statuses: list[StatusCallback] = []
    incoming: list[IncomingMessage] = []
    unread, problem, weight = 0, None, 0
    for value in _values(body):
        odd_fields = 1
        try:
            event, odd_fields = structure_readable(value, _kind_of(value))
        except Mismatch:
            unread += 1
            problem = problem or _problem_of(value)
        else:
            if isinstance(event, StatusCallback):
                statuses.append(event)
            else:
                incoming.append(event)
        weight += _WEIGHT_OF_AN_ODD_ONE if odd_fields else 1
        if weight >= _EVENTS_A_STEP:
            weight = 0
            yield
    return Events(statuses, incoming, unread, problem)


def _kind_of(value: Any) -> type[StatusCallback] | type[IncomingMessage]:
    """Return the class of an item. One with a null or empty incomingMessageId is still a status change."""
    has_id = isinstance(value, dict) and value.get("incomingMessageId") not in (None, "")
    return IncomingMessage if has_id else StatusCallback


def _problem_of(value: Any) -> str:
    try:
        structure(value, _kind_of(value))
    except Mismatch as error:
        return str(error)
    return "cannot be read"


def unread_in(events: Events) -> str:
    """Describe the items that could not be read, for a log. The text contains nothing from the body."""
    total = len(events.statuses) + len(events.incoming) + events.unread
    return f"{events.unread:,} of {total:,} events cannot be read, the first one: {events.problem}"


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


def _at_once(body: bytes | str) -> Events:
    reading = read(body)
    while True:
        try:
            next(reading)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]


def _those(what: str, events: Events, wanted: list[T], others: list[Any]) -> list[T]:
    if not wanted and (events.unread or others):
        raise InvalidCallback(f"the body is not {what}: {events.problem or 'it holds events of the other kind'}")
    if events.unread:
        _log.warning("a callback: %s", unread_in(events))
    return wanted
