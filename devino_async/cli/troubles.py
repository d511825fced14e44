"""Troubles: tells when sending waits because the service is in trouble, so that this does not look like a hang.

What counts as trouble is decided by the client, which says so in events.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import devino_async

from .console import say

if TYPE_CHECKING:
    from devino_async import ClientEvent

__all__ = ["Troubles"]

_LANE = "bulk"
_OPERATION = "send"
# A shorter hold after 429 is not worth a line. Seconds.
_MIN_HOLD = 5.0
# A service that fails and recovers again and again gets a line at most this often. Seconds.
_PAUSE = 60.0


class Troubles:
    """Follows the lane that campaigns use. An instance is passed to a client as `on_event`."""

    def __init__(self) -> None:
        self._is_open = False
        self._held_until = 0.0
        self._is_told = False
        self._quiet_until = 0.0
        self._wanted: Callable[[], object] | None = None

    def __call__(self, event: "ClientEvent") -> None:
        """Note one event."""
        if isinstance(event, devino_async.LaneChanged) and event.lane == _LANE:
            self._is_open = event.state != "closed"
            if not self._is_open and self._is_told:
                self._is_told = False
                say("the service takes messages again")
        elif isinstance(event, devino_async.LaneHeld) and event.lane == _LANE and event.operation == _OPERATION:
            self._held_until = max(self._held_until, _now() + event.wait)
            if event.wait >= _MIN_HOLD:
                self._tell(f"the service allows no more messages for {event.wait:,.0f} s (HTTP 429); waiting")
        elif isinstance(event, devino_async.RetryScheduled | devino_async.BatchUnconfirmed) and self._is_open:
            self._tell_why(event.error)
        self._call_if_present()

    def when_present(self, call: Callable[[], object]) -> None:
        """Call a function one time: now if there is trouble, or else as soon as there is."""
        self._wanted = call
        self._call_if_present()

    def _call_if_present(self) -> None:
        if self._wanted is not None and (self._is_open or _now() + _MIN_HOLD < self._held_until):
            call, self._wanted = self._wanted, None
            call()

    def _tell_why(self, error: "devino_async.CallFailed") -> None:
        if error.operation != _OPERATION or self._is_told:
            return
        status = "" if error.status is None else f"HTTP {error.status}: "
        what = "the service cannot be reached" if error.proves_unsent else "the service is in trouble"
        self._is_told = self._tell(f"{what} ({status}{error.problem}); trying again")

    def _tell(self, text: str) -> bool:
        """Write the text to stderr, unless the last one is less than a minute old."""
        if _now() < self._quiet_until:
            return False
        self._quiet_until = _now() + _PAUSE
        say(text)
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
