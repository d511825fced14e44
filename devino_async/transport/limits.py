"""Limits: how many attempts are in flight at once in each lane, and what a 429 holds. The breaker is asked first.

A permit covers one attempt and is not held while waiting for the next one. pace.py decides how fast attempts may
begin, and retry.py whether there is a next one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

from attrs import frozen

from ..checks import require_number
from ..errors import CallFailed, DeadlineExceeded, TooManyRequests
from ..events import AttemptStarted, Events, LaneHeld
from ..exchange import Answer, Call, Lane, TooManyForHalfOpen, Transport
from .pace import Pace

__all__ = ["Limited", "Limits"]

# How long a 429 without Retry-After holds its lane and operation, in seconds: doubled for each 429 in a row, but
# short, so that sending soon resumes.
_DEFAULT_HOLD = 1.0
_MAX_DEFAULT_HOLD = 4.0
# A longer Retry-After holds them only for this long. The error still carries the full wait.
_MAX_HOLD = 3600.0
# No 429 holds them for less than this, or a Retry-After of 0 would cause a loop without a pause.
_MIN_HOLD = 0.05


@frozen(kw_only=True)
class Limits:
    """How much may happen at once, and how fast.

    - `in_flight`: how many sends are in flight at once. Urgent sends and look-ups each have a further limit of the same
      size.
    - `requests_per_second`, `messages_per_second`, `segments_per_second`: off by default, and shared by everything that
      the client does. Any second admits at most the rate plus one batch. The next batch of that lane waits until the
      excess is made up. Choose a `batch_size` of about as many messages as one second may carry. The API docs name no
      limit. The vendor's older SOAP docs say 10 requests a second. Segments are the parts that a long text is sent in:
      160 characters or 153 each for a Latin text, 70 or 67 for any other.
    - `batch_bytes`: the largest body of one batch, in bytes.
    """

    in_flight: int = 4
    requests_per_second: float | None = None
    messages_per_second: float | None = None
    segments_per_second: float | None = None
    batch_bytes: int = 32_000_000

    def __attrs_post_init__(self) -> None:
        for name in ("in_flight", "batch_bytes"):
            require_number(f"Limits.{name}", getattr(self, name), minimum=1, whole=True)
        for name in ("requests_per_second", "messages_per_second", "segments_per_second"):
            if getattr(self, name) is not None:
                require_number(f"Limits.{name}", getattr(self, name), above=True)


def _always() -> float:
    return inf


class Limited:
    """Lets attempts begin at the allowed pace, each with a permit of its lane, and none while a 429 holds it back."""

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
        self._pace = Pace(
            limits.requests_per_second,
            limits.messages_per_second,
            limits.segments_per_second,
            clock=clock,
            sleep=sleep,
        )
        # The last default hold of each lane and operation, while 429 follows 429.
        self._default_holds: dict[tuple[Lane, str], float] = {}

    async def exchange(self, call: Call) -> Answer:
        """Make one attempt as soon as it may begin. Raises DeadlineExceeded if that would be too late."""
        admission = call.admission
        if admission is None:
            return await self._exchange(call)
        try:
            return await self._exchange(call)
        except TooManyForHalfOpen:
            raise
        except BaseException:
            # Whatever ended it, a half-open lane must not wait for a batch that will not begin.
            admission.give_back()
            raise

    async def _exchange(self, call: Call) -> Answer:
        paced = 0.0
        while True:
            if call.admission is not None:
                await call.admission.admit(call)
            # Held calls wait without a permit: the hold may be long, and a permit is for what is in flight.
            await self._wait_for_the_hold(call, call.give_up_at + paced)
            since = self._clock()
            async with self._in_flight[call.lane]:
                # The caller asked for this pace, so waiting for it is not trouble and no deadline runs. Meanwhile a 429
                # may come to another call, or the lane may open. Then nothing is booked, and the permit is given back.
                if await self._pace.turn(call, _always if call.admission is None else call.admission.may_begin_for):
                    return await self._attempt(call)
            # Waiting for the pace is not trouble, so it moves the deadline for waiting out a hold by its own length.
            paced += self._clock() - since

    async def _attempt(self, call: Call) -> Answer:
        if self._events.heard(AttemptStarted):
            self._events.emit(
                AttemptStarted(operation=call.operation, attempt=call.attempt, messages=call.messages, size=call.size)
            )
        try:
            answer = await self._inner.exchange(call)
        except CallFailed as error:
            # No await until the error is raised again, so nothing else in this lane begins before the lane knows.
            if isinstance(error, TooManyRequests):
                self._hold(call, error.retry_after)
            else:
                self._default_holds.pop((call.lane, call.operation), None)
            if call.admission is not None:
                call.admission.attempt_failed(error)
            raise
        self._default_holds.pop((call.lane, call.operation), None)
        return answer

    def _hold(self, call: Call, asked: float | None) -> None:
        key = call.lane, call.operation
        if asked is None:
            wait = min(2 * self._default_holds.get(key, _DEFAULT_HOLD / 2), _MAX_DEFAULT_HOLD)
            # Several 429s for calls that were in flight together count once.
            if self._pace.held_until(call) <= self._clock():
                self._default_holds[key] = wait
            else:
                wait = 0.0
        else:
            wait = max(_MIN_HOLD, min(asked, _MAX_HOLD))
        self._pace.hold(call, wait)
        self._events.emit(LaneHeld(lane=call.lane.value, operation=call.operation, wait=wait, asked=asked))

    async def _wait_for_the_hold(self, call: Call, give_up_at: float) -> None:
        while (wait := self._pace.held_until(call) - self._clock()) > 0:
            if self._pace.held_until(call) > give_up_at:
                raise DeadlineExceeded(
                    f"nothing may be sent for another {wait:.0f} s, which is beyond the deadline",
                    operation=call.operation,
                    attempts=0,
                )
            await self._sleep(wait)
