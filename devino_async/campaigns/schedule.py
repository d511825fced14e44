"""Schedule: when the batches of a stream may begin. A daily window in one time zone, and a deadline.

Everything here is pure: each function is given the moment. The waiting is in client/hours.py.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from attrs import field, frozen

from ..checks import require_kind
from ..errors import ConfigurationError

__all__ = ["Schedule"]

_DAY = timedelta(days=1)
_TICK = timedelta.resolution


def _zone(value: tzinfo | str | None) -> tzinfo | None:
    if not isinstance(value, str):
        require_kind("Schedule.time_zone", value, tzinfo, str, optional=True)
        return value
    try:
        # UTC needs no time zone data, which some machines do not have.
        return UTC if value == "UTC" else ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        # OSError comes from names of directories in the time zone data, such as Europe.
        raise ConfigurationError(
            "Schedule.time_zone must be an IANA name, such as Europe/Moscow. If it is one, this machine has no time "
            "zone data: pip install tzdata"
        ) from None


def _is_window(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, time) for each in value)


@frozen(kw_only=True)
class Schedule:
    """When the batches of a stream may begin, for `send_many(..., schedule=)`. Each part may be left out.

    - `window`: two times of day, such as (time(9), time(21)). A batch may begin at the first time or later, and before
      the second. If the second is earlier than the first, the window lasts over midnight.
    - `time_zone`: whose clocks show these times, as a tzinfo or an IANA name such as "Europe/Moscow". A window needs
      it.
    - `deadline`: an aware datetime. Nothing begins at this moment or later. The rest of the input is still read, and
      each of its messages is NotSent.

    A batch that has begun is finished, also after the window has closed. The recorded receipts of a campaign do not
    wait, because they need no request.

    What the clocks show decides, even on days when the clocks change. A window within the hour that is skipped does not
    open on that day. A window within the hour that comes twice opens twice.

    Raises ConfigurationError for parts that cannot work.
    """

    window: tuple[time, time] | None = None
    time_zone: tzinfo | None = field(default=None, converter=_zone)
    deadline: datetime | None = None

    def __attrs_post_init__(self) -> None:
        require_kind("Schedule.deadline", self.deadline, datetime, optional=True)
        if self.deadline is not None and self.deadline.utcoffset() is None:
            raise ConfigurationError("Schedule.deadline must have a time zone, such as datetime(..., tzinfo=UTC)")
        if self.window is None:
            return
        if not _is_window(self.window):
            raise ConfigurationError("Schedule.window must be a tuple of two times, such as (time(9), time(21))")
        start, end = self.window
        if start.tzinfo is not None or end.tzinfo is not None:
            raise ConfigurationError("the times of Schedule.window must have no zone: Schedule.time_zone says it")
        if start == end:
            raise ConfigurationError(
                "Schedule.window must end at another time than it begins. For all day, leave it out"
            )
        if self.time_zone is None:
            raise ConfigurationError("Schedule.window needs Schedule.time_zone, such as Europe/Moscow")

    def opens_at(self, now: datetime) -> datetime | None:
        """Return the first moment from `now` on when a batch may begin, in UTC. None if there will be none."""
        at = now.astimezone(UTC)
        while not self._is_in_window(at):
            at = self._next_step(at)
        return None if self._is_late(at) else at

    def closes_at(self, now: datetime) -> datetime | None:
        """Return the first moment from `now` on when no batch may begin, in UTC. None if there will be none."""
        at = now.astimezone(UTC)
        if self.window is None:
            return None if self.deadline is None else max(at, self.deadline.astimezone(UTC))
        while self._is_in_window(at) and not self._is_late(at):
            at = self._next_step(at)
        return at if self.deadline is None else max(now.astimezone(UTC), min(at, self.deadline.astimezone(UTC)))

    def _is_late(self, at: datetime) -> bool:
        return self.deadline is not None and at >= self.deadline.astimezone(UTC)

    def _is_in_window(self, at: datetime) -> bool:
        if self.window is None:
            return True
        start, end = self.window
        shown = at.astimezone(self.time_zone).time()
        return start <= shown < end if start < end else shown >= start or shown < end

    def _next_step(self, at: datetime) -> datetime:
        """Return the next moment when the window may open or close: at one of its ends, or when the clocks change.

        All moments are in UTC. Two datetimes of one zone would be compared and subtracted by what the clocks show.
        """
        assert self.window is not None  # noqa: S101
        shown = at.astimezone(self.time_zone).replace(tzinfo=None)
        # An end at this very moment comes again in a day.
        ends = [(datetime.combine(shown, each) - shown - _TICK) % _DAY + _TICK for each in self.window]
        before, after = at, at + min(ends)
        offset = self._offset(at)
        if self._offset(after) == offset:
            return after
        # The clocks change once in between: no zone has changed them twice within three days since 1970.
        while after - before > _TICK:
            middle = before + (after - before) / 2
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def _offset(self, at: datetime) -> timedelta | None:
        return at.astimezone(self.time_zone).utcoffset()
