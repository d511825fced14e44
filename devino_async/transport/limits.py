"""Limits: how many exchanges at once, how fast, and when nobody may send at all.

A permit covers one attempt and is not held while waiting for the next. Why to wait is retry.py's.
"""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import frozen

from ..errors import DeadlineExceeded, TooManyRequests
from ..events import AttemptStarted, Events
from ..exchange import Answer, Call, Transport
from .numbers import require_number

__all__ = ["Limited", "Limits", "Pace"]

# What a 429 without Retry-After holds everybody for, in seconds.
_DEFAULT_HOLD = 1.0
# No Retry-After stops a client for longer; the error still tells the whole wish.
_LONGEST_HOLD = 3600.0


@frozen(kw_only=True)
class Limits:
    """How much at once.

    - `in_flight`: sends under way at the same time; look-ups have as many places of their own.
    - `requests_per_second`, `messages_per_second`: off by default. The page documents no limit; the vendor's older
      SOAP page says 10 requests a second.
    - `batch_bytes`: the largest body of one batch, in bytes.
    """

    in_flight: int = 4
    requests_per_second: float | None = None
    messages_per_second: float | None = None
    batch_bytes: int = 32_000_000

    def __attrs_post_init__(self) -> None:
        for name in ("in_flight", "batch_bytes"):
            require_number(f"Limits.{name}", getattr(self, name), least=1, whole=True)
        for name in ("requests_per_second", "messages_per_second"):
            if getattr(self, name) is not None:
                require_number(f"Limits.{name}", getattr(self, name), least=0, above=True)


class Pace:
    """A fair weighted rate: whoever asks first goes first, and no second sees more than the rate plus one weight."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    def book(self, weight: float, now: float) -> float:
        """Take a place in the line; gives when it begins."""
        begins = max(now, self._free_at)
        self._free_at = begins + weight / self._per_second
        return begins


class Limited:
    """Lets attempts through one permit each, at the pace, and none while a 429 holds."""

    def __init__(
        self,
        inner: Transport,
        limits: Limits,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        events: Events,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._sleep = sleep
        self._events = events
        self._permits = {repeatable: asyncio.Semaphore(limits.in_flight) for repeatable in (False, True)}
        self._requests = None if limits.requests_per_second is None else Pace(limits.requests_per_second)
        self._messages = None if limits.messages_per_second is None else Pace(limits.messages_per_second)
        self._held_until = 0.0

    async def exchange(self, call: Call) -> Answer:
        """One attempt, when it may begin. Raises DeadlineExceeded where it would begin too late."""
        while True:
            await self._wait_until(self._held_until, call)
            async with self._permits[call.repeatable]:
                if self._held_until <= self._clock():
                    # Waiting for one's own pace is wanted, however long; it is no failure to give up on.
                    await self._wait_until(self._booked(call), None)
                    return await self._attempt(call)

    async def _attempt(self, call: Call) -> Answer:
        self._events.emit(
            AttemptStarted(operation=call.operation, attempt=call.attempt, messages=call.messages, size=call.size)
        )
        try:
            return await self._inner.exchange(call)
        except TooManyRequests as refused:
            wait = _DEFAULT_HOLD if refused.retry_after is None else refused.retry_after
            self._held_until = max(self._held_until, self._clock() + min(wait, _LONGEST_HOLD))
            raise

    def _booked(self, call: Call) -> float:
        now = self._clock()
        begins = [now]
        if self._requests is not None:
            begins.append(self._requests.book(1, now))
        if self._messages is not None and call.messages:
            begins.append(self._messages.book(call.messages, now))
        return max(begins)

    async def _wait_until(self, moment: float, call: Call | None) -> None:
        while (wait := moment - self._clock()) > 0:
            if call is not None and moment > call.give_up_at:
                raise DeadlineExceeded(
                    f"nothing may be sent for another {wait:.0f} s, which is beyond the deadline",
                    operation=call.operation,
                    attempts=0,
                )
            await self._sleep(wait)
