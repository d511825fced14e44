"""Limits: how many attempts are in flight at once in each lane, and that a 429 holds all of them.

A permit covers one attempt and is not held while waiting for the next one. How fast attempts may begin is pace.py's,
and whether there is a next one is retry.py's.
"""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import frozen

from ..checks import require_number
from ..errors import DeadlineExceeded, TooManyRequests
from ..events import AttemptStarted, Events
from ..exchange import Answer, Call, Lane, Transport
from .pace import Pace

__all__ = ["Limited", "Limits"]

# How long a 429 without Retry-After holds every call, in seconds.
_DEFAULT_HOLD = 1.0
# A Retry-After of more than this holds the client only for so long. The error still gives the whole wait.
_MAX_HOLD = 3600.0


@frozen(kw_only=True)
class Limits:
    """How much at once.

    - `in_flight`: how many sends are in flight at once. Urgent sends and look-ups have the same number each, beside it.
    - `requests_per_second`, `messages_per_second`: off by default, and shared by everything that the client does. No
      second sees more than the rate plus one batch, which is paid off before others of its lane begin. Choose a
      `batch_size` of about what a second may carry. The API docs name no limit. The vendor's older SOAP docs say
      10 requests a second.
    - `batch_bytes`: the largest body of one batch, in bytes.
    """

    in_flight: int = 4
    requests_per_second: float | None = None
    messages_per_second: float | None = None
    batch_bytes: int = 32_000_000

    def __attrs_post_init__(self) -> None:
        for name in ("in_flight", "batch_bytes"):
            require_number(f"Limits.{name}", getattr(self, name), minimum=1, whole=True)
        for name in ("requests_per_second", "messages_per_second"):
            if getattr(self, name) is not None:
                require_number(f"Limits.{name}", getattr(self, name), above=True)


class Limited:
    """Lets attempts through at the pace, each with a permit of its lane, and none while a 429 holds."""

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
        self._in_flight = {lane: asyncio.Semaphore(limits.in_flight) for lane in Lane}
        self._pace = Pace(limits.requests_per_second, limits.messages_per_second, clock=clock, sleep=sleep)

    async def exchange(self, call: Call) -> Answer:
        """Make one attempt as soon as it may begin. Raises DeadlineExceeded if that would be too late."""
        while True:
            # Held calls wait without a permit: the hold may be long, and a permit is for what is in flight.
            await self._wait_for_the_hold(call)
            async with self._in_flight[call.lane]:
                # The caller asked for this pace, so waiting for it is not trouble and no deadline runs. A 429 may come
                # to another call meanwhile. Then nothing was booked: give the permit back and wait for the hold.
                if await self._pace.turn(call):
                    return await self._attempt(call)

    async def _attempt(self, call: Call) -> Answer:
        if self._events.heard(AttemptStarted):
            self._events.emit(
                AttemptStarted(operation=call.operation, attempt=call.attempt, messages=call.messages, size=call.size)
            )
        try:
            return await self._inner.exchange(call)
        except TooManyRequests as refused:
            wait = _DEFAULT_HOLD if refused.retry_after is None else refused.retry_after
            self._pace.hold(min(wait, _MAX_HOLD))
            raise

    async def _wait_for_the_hold(self, call: Call) -> None:
        while (wait := self._pace.held_until - self._clock()) > 0:
            if self._pace.held_until > call.give_up_at:
                raise DeadlineExceeded(
                    f"nothing may be sent for another {wait:.0f} s, which is beyond the deadline",
                    operation=call.operation,
                    attempts=0,
                )
            await self._sleep(wait)
