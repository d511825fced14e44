"""Pace: when the next attempt may begin. Weighted rates shared by all calls of a client, and holds after a 429.

An attempt is booked only when it begins, so a waiter that is cancelled costs the others nothing. Nothing is polled.
limits.py decides how many attempts are in flight at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf

from ..exchange import Call, Lane

__all__ = ["Pace"]


class _Rate:
    """A limit of weight per second. Any second admits at most the rate plus the heaviest single weight."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0
        self._recent: deque[tuple[float, float]] = deque()

    def free_at(self, weight: float, now: float, urgent: bool) -> float:
        """Return when a call of this weight may begin.

        Usually that is when everything begun before is paid off. An urgent call may also use what is left of this
        second's allowance.
        """
        if not urgent or self._free_at <= now:
            return self._free_at
        while self._recent and self._recent[0][0] <= now - 1:
            self._recent.popleft()
        total, heaviest = weight, weight
        for begun_at, begun in reversed(self._recent):
            total, heaviest = total + begun, max(heaviest, begun)
            if total > self._per_second + heaviest:
                return min(begun_at + 1, self._free_at)
        return now

    def book(self, weight: float, now: float) -> None:
        self._free_at = max(now, self._free_at) + weight / self._per_second
        self._recent.append((now, weight))
        while self._recent[0][0] <= now - 1:
            self._recent.popleft()


class Pace:
    """Lets the calls of each lane begin in order of arrival.

    Urgent calls do not wait until earlier batches are paid off.
    """

    def __init__(
        self,
        requests_per_second: float | None,
        messages_per_second: float | None,
        segments_per_second: float | None = None,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._requests = None if requests_per_second is None else _Rate(requests_per_second)
        self._messages = None if messages_per_second is None else _Rate(messages_per_second)
        self._segments = None if segments_per_second is None else _Rate(segments_per_second)
        self._lines = {lane: asyncio.Lock() for lane in Lane}
        self._holds: dict[tuple[Lane, str], float] = {}

    def hold(self, call: Call, seconds: float) -> None:
        """Let no call of the same lane and operation begin for that many seconds."""
        key = call.lane, call.operation
        self._holds[key] = max(self._holds.get(key, 0.0), self._clock() + seconds)

    def held_until(self, call: Call) -> float:
        """Return when the hold of this call's lane and operation ends, or ended."""
        return self._holds.get((call.lane, call.operation), 0.0)

    async def turn(self, call: Call, may_begin_for: Callable[[], float] = lambda: inf) -> bool:
        """Wait until the rates let the call begin, and book it.

        Return False, with nothing booked, if a hold came or the call may not begin any more. `may_begin_for` says for
        how many seconds it may.
        """
        candidates = ((self._requests, 1), (self._messages, call.messages), (self._segments, call.segments))
        rates = [(rate, weight) for rate, weight in candidates if rate is not None and weight]
        if not rates:
            return may_begin_for() > 0 and self.held_until(call) <= self._clock()
        # The lock is the queue of a lane: one waiter sleeps, and the others wait behind it in order. There is no await
        # between the last look at the rates and the booking, so waiters of other lanes cannot book in between.
        async with self._lines[call.lane]:
            while (left := may_begin_for()) and self.held_until(call) <= (now := self._clock()):
                begins = max(rate.free_at(weight, now, call.urgent) for rate, weight in rates)
                if begins <= now:
                    for rate, weight in rates:
                        rate.book(weight, now)
                    return True
                await self._sleep(min(begins - now, left))
            return False
