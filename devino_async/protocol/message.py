"""Message: one SMS to be sent, checked against every rule of the API docs when it is made.

All problems are reported at once, with the service's own keys. Sending messages is in sending.py, and what became of
them is in receipts.py.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any, final
from urllib.parse import urlsplit

from attrs import field, fields, frozen

from ..errors import InvalidMessage, Reason
from ..redaction import mask_phone, mask_phones
from .text import MAX_CYRILLIC_CHARACTERS, length_and_limit

__all__ = [
    "MAX_VALIDITY",
    "NOTHING_MORE",
    "SURELY_SHORT",
    "Message",
    "Priority",
    "encodable",
    "is_http_url",
    "made_again",
    "missed_schedule",
]

# API docs, "Message": "validity ... Maximal value: 259200, 3 days".
MAX_VALIDITY = 259_200

# A text of up to this many characters is never too long, whatever its alphabet.
SURELY_SHORT = MAX_CYRILLIC_CHARACTERS // 2

# E.164: at most 15 digits, country code first. Fewer than 7 cannot hold a country code and a subscriber.
_E164 = re.compile(r"\+?([1-9][0-9]{6,14})", re.ASCII)
_URL_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")


class Priority(StrEnum):
    """How urgent a message is ("priority" in the API docs). The service rejects any other value."""

    LOW = "LOW"
    """Promotional messages."""
    MEDIUM = "MEDIUM"
    """Promotional messages."""
    HIGH = "HIGH"
    """Service traffic."""
    REALTIME = "REALTIME"
    """Transactional traffic: one-time codes and the like."""


class _Draft:
    """A Message under construction: the same slots, still writable."""

    __slots__ = (
        "callback_url",
        "options",
        "priority",
        "scheduled_time",
        "sender",
        "text",
        "to",
        "validity",
    )


# The other fields of a message that has only a sender, a recipient and a text, as most messages do.
NOTHING_MORE = (None,) * 5

# How far the clocks of the program and the service may differ.
_SCHEDULE_TOLERANCE = timedelta(minutes=1)

_new: Callable[[type], Any] = object.__new__


@final
@frozen(init=False, repr=False, weakref_slot=False)
class Message(_Draft):
    """One SMS. Frozen, final, and checked field by field when it is made (API docs, "Message").

    - `sender`: the approved sender's name ("from" on the wire).
    - `to`: E.164, 7 to 15 digits. A leading `+` is dropped.
    - `text`: up to 34,170 characters, or up to 17,085 if any of them is outside the GSM alphabet.
    - `validity`: lifetime, 0 to 259,200 seconds (3 days), as whole seconds or a `timedelta`. Kept as seconds.
    - `scheduled_time`: an aware `datetime`. Kept in UTC, sent with milliseconds.
    - `priority`: a `Priority`, or its name.
    - `callback_url`: http or https. Status changes are POSTed there.
    - `options`: a mapping of str to str that comes back in callbacks. There is no other documented way to attach a
      reference of your own.

    Raises InvalidMessage, a ValueError whose `problems` lists everything that is wrong. Fields that are None are
    not sent. The repr shows neither the text nor the full phone number. Messages cannot be weakly referenced.
    """

    sender: str
    to: str
    text: str
    validity: int | None
    scheduled_time: datetime | None
    priority: Priority | None
    callback_url: str | None
    options: Mapping[str, str] | None = field(hash=False)

    def __new__(
        cls,
        *,
        sender: str,
        to: str,
        text: str,
        validity: int | timedelta | None = None,
        scheduled_time: datetime | None = None,
        priority: Priority | str | None = None,
        callback_url: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> "Message":
        """Check the fields and make the message."""
        try:
            # The usual case, which is certainly valid. It is one expression for speed, because campaigns make millions
            # of messages.
            plain = (
                type(to) is str
                and to.encode().isdigit()
                and 7 <= len(to) <= 15
                and to[0] != "0"
                and type(text) is str
                and 0 < len(text) <= SURELY_SHORT
                and (text.isascii() or text.encode())
                and type(sender) is str
                and sender.isalnum()
            )
        except UnicodeEncodeError:
            plain = False
        if (
            plain
            and validity is None
            and scheduled_time is None
            and priority is None
            and callback_url is None
            and options is None
        ):
            return _made(sender, to, text, NOTHING_MORE)
        problems: list[Reason] = []
        if not plain:
            sender, to, text = _sender(sender, problems), _recipient(to, problems), _text(text, problems)
        rest = _checked_rest((validity, scheduled_time, priority, callback_url, options), problems)
        if not problems:
            return _made(sender, to, text, rest)
        # Error trackers record the locals of frames, so this frame must not hold personal data.
        del sender, to, text, callback_url, options, rest, plain
        raise InvalidMessage(problems)

    def __init_subclass__(cls) -> None:
        raise TypeError("Message is final: it cannot have subclasses")

    def __repr__(self) -> str:
        shown = [
            f"sender={mask_phones(self.sender)!r}",
            f"to={mask_phone(self.to)!r}",
            f"text=<{len(self.text)} characters>",
        ]
        shown += [
            f"{name}={value!s}"
            for name, value in (
                ("validity", self.validity),
                ("scheduled_time", self.scheduled_time),
                ("priority", self.priority),
                ("callback_url", None if self.callback_url is None else "<set>"),
                ("options", None if self.options is None else f"<{len(self.options)} keys>"),
            )
            if value is not None
        ]
        return f"Message({', '.join(shown)})"

    def __reduce__(self) -> tuple[Callable[..., "Message"], tuple[()]]:
        values = {each.name: getattr(self, each.name) for each in fields(Message)}
        if self.options is not None:
            values["options"] = dict(self.options)
        # Copies and pickles are made by __new__, and so are checked like any other message.
        return partial(Message, **values), ()


def _made(sender: str, to: str, text: str, rest: tuple[Any, ...]) -> Message:
    """Make a Message from fields that have been checked already.

    It fills a writable _Draft and then swaps its class, because setting the fields of a frozen object is slow. Without
    the swap, a campaign of new messages drops from 0.80 to 0.62 of the speed of a plain aiohttp loop.
    """
    made = _new(_Draft)
    made.sender = sender
    made.to = to
    made.text = text
    made.validity, made.scheduled_time, made.priority, made.callback_url, made.options = rest
    made.__class__ = Message
    return made  # type: ignore[no-any-return]


def made_again(
    senders: Iterable[str], tos: Iterable[str], texts: Iterable[str], rests: Iterable["Message | tuple[Any, ...]"]
) -> list[Message]:
    """Return messages made from the fields of earlier messages. Nothing is checked again.

    `rests` holds each message's other fields, or the message itself, which is then returned as it is.
    """
    return [
        _made(sender, to, text, rest) if type(rest) is tuple else rest  # type: ignore[misc]
        for sender, to, text, rest in zip(senders, tos, texts, rests, strict=True)
    ]


def _checked_rest(rest: tuple[Any, ...], problems: list[Reason]) -> tuple[Any, ...]:
    validity, scheduled_time, priority, callback_url, options = rest
    return (
        None if validity is None else _validity(validity, problems),
        None if scheduled_time is None else _scheduled_time(scheduled_time, problems),
        None if priority is None else _priority(priority, problems),
        None if callback_url is None else _callback_url(callback_url, problems),
        None if options is None else _options(options, problems),
    )


def _sender(value: object, problems: list[Reason]) -> str:
    if isinstance(value, str) and value.isprintable() and value and not value.isspace():
        return str.__str__(value)
    problems.append(Reason("not.available", "from", "must be an approved sender's name: non-empty printable text"))
    return ""


def _recipient(value: object, problems: list[Reason]) -> str:
    found = _E164.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        return found[1]
    problem = "must be an E.164 number: 7 to 15 digits, the first not 0, with an optional leading +"
    problems.append(Reason("to.format.invalid", "to", problem))
    return ""


def _text(value: object, problems: list[Reason]) -> str:
    if not isinstance(value, str):
        problems.append(Reason("invalid", "text", f"must be a str, not {type(value).__name__}"))
        return ""
    if not value:
        problems.append(Reason("must.be.not.null", "text", "must not be empty"))
        return ""
    length, limit = length_and_limit(value)
    if length > limit:
        problem = f"is {length} characters long, and at most {limit} are allowed in its alphabet"
        problems.append(Reason("text.length.too.long", "text", problem))
    if not value.isascii() and not encodable(value):
        problems.append(Reason("invalid", "text", "holds half of a surrogate pair, which cannot be sent"))
    # Texts that compare equal are encoded only once, and a subclass of str may define its own equality. So a plain
    # str is kept.
    return str.__str__(value)


def encodable(text: str) -> bool:
    """Return whether the text can be sent at all. A lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _validity(value: object, problems: list[Reason]) -> int | None:
    if isinstance(value, timedelta):
        whole, rest = divmod(value, timedelta(seconds=1))
        value = None if rest else whole
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_VALIDITY:
        # A subclass of int may define its own str(), so a plain int is kept.
        return int.__int__(value)
    problem = f"must be whole seconds from 0 to {MAX_VALIDITY:,}, as an int or a timedelta"
    problems.append(Reason("validity.is.invalid", "validity", problem))
    return None


def _scheduled_time(value: object, problems: list[Reason]) -> datetime | None:
    try:
        if isinstance(value, datetime) and value.utcoffset() is not None:
            moment = value.astimezone(UTC)
            # Another library's subclass may define its own str(), so a plain datetime is kept.
            return datetime.combine(moment.date(), moment.time(), UTC) if type(moment) is not datetime else moment
        problem = "must be a datetime with a time zone"
    except OverflowError:
        problem = "is outside the years 1 to 9999 in UTC"
    problems.append(Reason("scheduledTime.is.invalid", "scheduledTime", problem))
    return None


def _priority(value: object, problems: list[Reason]) -> Priority | None:
    if type(value) is Priority:
        return value
    if isinstance(value, str) and value in Priority.__members__:
        return Priority(value)
    problems.append(Reason("priority.is.not.match", "priority", f"must be one of {', '.join(Priority)}"))
    return None


def _callback_url(value: object, problems: list[Reason]) -> str | None:
    if isinstance(value, str) and is_http_url(value):
        return str.__str__(value)
    problem = "must be a complete URL with the http or https scheme and a host"
    problems.append(Reason("callbackUrl.format.invalid", "callbackUrl", problem))
    return None


def is_http_url(value: str) -> bool:
    """Return whether the text is a URL with the http or https scheme, a host and, if given, a valid port."""
    if _URL_FORBIDDEN.search(value) or not encodable(value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _options(value: object, problems: list[Reason]) -> Mapping[str, str] | None:
    if isinstance(value, Mapping) and all(_sendable(key) and _sendable(item) for key, item in value.items()):
        return MappingProxyType({str.__str__(key): str.__str__(item) for key, item in value.items()})
    problems.append(Reason("invalid", "options", "must be a mapping of str to str"))
    return None


def _sendable(value: object) -> bool:
    return isinstance(value, str) and encodable(value)


def missed_schedule(message: Message, now: datetime) -> Reason | None:
    """Return what is wrong if the message's scheduled time was over a minute ago, else None.

    This is checked only before a message is sent for the first time. Making, copying or pickling a message does not
    look at the clock.
    """
    if message.scheduled_time is None or message.scheduled_time >= now - _SCHEDULE_TOLERANCE:
        return None
    return Reason("scheduledTime.is.invalid", "scheduledTime", "is in the past")
