"""Events: what happens on the way, as frozen values, for an `on_event` callable and the `devino_async` logger.

No event holds a message text, a credential or a phone number. The transport, dispatch and look-ups emit them.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from attrs import frozen

from .errors import CallFailed

__all__ = [
    "AttemptStarted",
    "BatchFinished",
    "BatchUnconfirmed",
    "ClientEvent",
    "Events",
    "ItemsUnread",
    "LaneChanged",
    "LaneHeld",
    "OnEvent",
    "RetryScheduled",
    "TotalDiffers",
    "WindowClosed",
    "guarded",
]

T = TypeVar("T")

_log = logging.getLogger("devino_async")
_log.addHandler(logging.NullHandler())


@frozen(kw_only=True)
class AttemptStarted:
    """A request begins. `attempt` counts from 1, `messages` is how many SMS it carries, `size` its body in bytes."""

    operation: str
    attempt: int
    messages: int
    size: int


@frozen(kw_only=True)
class RetryScheduled:
    """Attempt `attempt` failed with `error`. Another one follows in `wait` seconds."""

    operation: str
    attempt: int
    wait: float
    error: CallFailed


@frozen(kw_only=True)
class BatchFinished:
    """A batch has a receipt for each of its messages."""

    messages: int
    accepted: int
    rejected: int
    not_sent: int
    unconfirmed: int


@frozen(kw_only=True)
class BatchUnconfirmed:
    """A whole batch may or may not have been sent. `error.message_ids` are ids that were found in the answer anyway."""

    messages: int
    error: CallFailed


@frozen(kw_only=True)
class LaneHeld:
    """A 429 holds one operation in one lane for `wait` seconds. `asked` is its Retry-After in seconds, or None.

    A hold lasts at most an hour, so `wait` may be shorter than `asked`.
    """

    lane: str
    operation: str
    wait: float
    asked: float | None


@frozen(kw_only=True)
class LaneChanged:
    """The breaker of one lane is now `open`, `half open` or `closed`. `wait` is the pause in seconds before a probe."""

    lane: str
    state: str
    wait: float


@frozen(kw_only=True)
class WindowClosed:
    """A stream is out of the window of its schedule. It sends nothing and reads no input until `opens_at`, in UTC."""

    opens_at: datetime


@frozen(kw_only=True)
class ItemsUnread:
    """`count` items of one answer could not be read completely.

    `statuses` leaves out an item whose id or status cannot be read. `details` gives the row, and the row's `extra`
    keeps what cannot be read. A field of a details page that cannot be read, such as `total`, is left unset. Rows that
    the service repeats without an end count too. `statistics` leaves out the period.
    `callback` is the operation of a CallbackReceiver, which drops the item. All other items are given as usual.
    """

    operation: str
    count: int


@frozen(kw_only=True)
class TotalDiffers:
    """A look-up ended with more or fewer rows than the `total` that the service counted for it.

    `rows` is how many different rows there were, including those before a `start_offset`. Either rows are missing, or
    new ones were added between the reading of one page and the next.
    """

    operation: str
    rows: int
    total: int


ClientEvent = (
    AttemptStarted
    | RetryScheduled
    | BatchFinished
    | BatchUnconfirmed
    | LaneChanged
    | LaneHeld
    | ItemsUnread
    | TotalDiffers
    | WindowClosed
)
"""Anything that `on_event` is called with."""

OnEvent = Callable[[ClientEvent], object]

_LEVELS = {
    AttemptStarted: logging.DEBUG,
    RetryScheduled: logging.INFO,
    BatchFinished: logging.DEBUG,
    LaneChanged: logging.WARNING,
    LaneHeld: logging.INFO,
    BatchUnconfirmed: logging.WARNING,
    ItemsUnread: logging.WARNING,
    TotalDiffers: logging.WARNING,
    WindowClosed: logging.INFO,
}


class Events:
    """Passes events to the logger and to the user's callable. An error of the callable is only logged."""

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self._on_event = on_event

    def heard(self, kind: type[ClientEvent]) -> bool:
        """Return whether the logger or the callable wants events of this kind. If not, none need be made."""
        try:
            return self._on_event is not None or _log.isEnabledFor(_LEVELS[kind])
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - it is raised again in `emit`, and logged
            return True

    def emit(self, event: ClientEvent) -> None:
        """Log one event and call the user's callable with it."""
        guarded(lambda each: _log.log(_LEVELS[type(each)], "%r", each), event)
        if self._on_event is not None:
            guarded(self._on_event, event)


def guarded(hook: Callable[[T], object], value: T) -> None:
    """Call a hook that the user supplied. If it raises, log that and go on."""
    try:
        hook(value)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - money must not depend on a hook
        # Its text may hold anything, so only the class is logged. The logger itself may be what failed.
        with suppress(Exception):
            _log.error("a hook raised %s", type(error).__name__)
