"""Hours: a stream waits until its schedule lets a batch begin. What a schedule allows is in campaigns/schedule.py."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from ..checks import require_kind
from ..events import Events, WindowClosed

if TYPE_CHECKING:
    from ..campaigns.schedule import Schedule

__all__ = ["StreamHours", "require_schedule"]

# A stream looks at the clock at least this often, in seconds. The machine may be suspended meanwhile, or its clock set.
_MAX_REST = 60.0


def require_schedule(schedule: "Schedule | None") -> "Schedule | None":
    """Return the schedule. Raises ConfigurationError for anything else."""
    if schedule is not None:
        from ..campaigns.schedule import Schedule  # noqa: PLC0415 - a stream without a schedule does not pay for it

        require_kind("schedule", schedule, Schedule)
    return schedule


class StreamHours:
    """The hours of one stream, by the clock `now`.

    `rest` sleeps for a number of seconds, and returns False once the stream has ended.
    """

    def __init__(
        self,
        schedule: "Schedule",
        *,
        now: Callable[[], datetime],
        rest: Callable[[float], Awaitable[bool]],
        events: Events,
    ) -> None:
        self._schedule = schedule
        self._now = now
        self._rest = rest
        self._events = events
        self._announced: datetime | None = None

    def open_for(self) -> float:
        """Return for how many seconds from now a batch may begin, 0 if it may not."""
        now = self._now()
        closes_at = self._schedule.closes_at(now)
        return inf if closes_at is None else (closes_at - now).total_seconds()

    async def until_open(self) -> str | None:
        """Wait until a batch may begin, and return None. If no batch may ever begin, return why at once."""
        while True:
            now = self._now()
            opens_at = self._schedule.opens_at(now)
            if opens_at is None:
                return self._too_late(now)
            if opens_at <= now:
                return None
            if opens_at != self._announced:
                # All batches of the stream wait for the same moment, and the reader too. One event is enough.
                self._announced = opens_at
                self._events.emit(WindowClosed(opens_at=opens_at))
            if not await self._rest(min((opens_at - now).total_seconds(), _MAX_REST)):
                return "the stream ended while it waited for the window of its schedule"

    def _too_late(self, now: datetime) -> str:
        deadline = self._schedule.deadline
        assert deadline is not None  # noqa: S101 - without one a window always opens again
        told = deadline.isoformat(timespec="minutes")
        if now >= deadline:
            return f"the deadline of the schedule, {told}, has passed"
        return f"the window of the schedule does not open before its deadline, {told}"
