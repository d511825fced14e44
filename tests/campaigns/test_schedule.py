"""Schedules against a model that looks at a clock on the wall, minute by minute."""

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devino_async import ConfigurationError
from devino_async.campaigns import Schedule

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
# In 2026 Berlin skips 02:00 to 03:00 on 29 March, and has 02:00 to 03:00 twice on 25 October.
SPRING = datetime(2026, 3, 29, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)

minutes_of_day = st.integers(0, 24 * 60 - 1).map(lambda minute: time(*divmod(minute, 60)))
windows = st.tuples(minutes_of_day, minutes_of_day).filter(lambda window: window[0] != window[1])
zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
moments = st.integers(5 * 365 * 24 * 60, 67 * 365 * 24 * 60).map(lambda minute: EPOCH + minute * MINUTE)


def _whole(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def shows_window(window: tuple[time, time], zone: tzinfo, moment: datetime) -> bool:
    """Whether the clocks of the zone show a time of the window."""
    start, end = window
    shown = moment.astimezone(zone).time()
    return start <= shown < end if start < end else not end <= shown < start


def first(moment: datetime, wanted: Any) -> datetime:
    """The first minute from this one on that is wanted."""
    for _ in range(5 * 24 * 60):
        if wanted(moment):
            return moment
        moment += MINUTE
    raise AssertionError("not within five days")


@given(windows, zones, moments)
@example((time(2, 15), time(2, 45)), BERLIN, SPRING)
@example((time(2, 15), time(2, 45)), BERLIN, AUTUMN)
@example((time(2, 30), time(5)), BERLIN, SPRING)
@example((time(22), time(2, 30)), BERLIN, AUTUMN)
@example((time(2, 45), time(2, 15)), BERLIN, AUTUMN)
@example((time(2, 45), time(2, 15)), BERLIN, SPRING)
@example((time(9), time(21)), ZoneInfo("Pacific/Apia"), datetime(2011, 12, 29, 12, tzinfo=UTC))
def test_a_window_is_what_the_clocks_show(window: tuple[time, time], zone: ZoneInfo, now: datetime) -> None:
    """A window opens and closes at the minutes when the clocks of its zone come to a time inside and outside of it."""
    schedule = Schedule(window=window, time_zone=zone)
    opens_at, closes_at = schedule.opens_at(now), schedule.closes_at(now)
    assert opens_at == first(now, lambda minute: shows_window(window, zone, minute))
    assert closes_at == first(now, lambda minute: not shows_window(window, zone, minute))
    assert (opens_at == now) != (closes_at == now), "either it is open now or it is not"


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
@given(windows=windows, seconds=st.floats(0, 86_400))
def test_days_on_which_the_clocks_change(day: datetime, zone: str, windows: tuple[time, time], seconds: float) -> None:
    """From any moment of such a day, nothing is skipped: just before it opens it is closed, and the other way round."""
    schedule = Schedule(window=windows, time_zone=zone)
    now = day + timedelta(seconds=seconds)
    for change, is_open in ((schedule.opens_at(now), True), (schedule.closes_at(now), False)):
        assert change is not None
        assert shows_window(windows, ZoneInfo(zone), change) is is_open
        minute = _whole(now) + MINUTE
        while minute < change:
            assert shows_window(windows, ZoneInfo(zone), minute) is not is_open
            minute += MINUTE
        if change > now:
            assert shows_window(windows, ZoneInfo(zone), change - timedelta.resolution) is not is_open


def test_the_hour_that_is_skipped_and_the_one_that_comes_twice() -> None:
    """A window inside the missing hour does not open on that day. Inside the double hour it opens twice."""
    schedule = Schedule(window=(time(2, 15), time(2, 45)), time_zone=BERLIN)
    assert schedule.opens_at(SPRING) == datetime(2026, 3, 30, 0, 15, tzinfo=UTC)
    for hour in (0, 1):
        begins, ends = (datetime(2026, 10, 25, hour, minute, tzinfo=UTC) for minute in (15, 45))
        assert schedule.opens_at(begins - timedelta(minutes=29)) == begins
        assert schedule.closes_at(begins) == ends
    # The clocks show 03:00 right after 01:59, which lies in this window.
    late = Schedule(window=(time(2, 30), time(5)), time_zone=BERLIN)
    assert late.opens_at(SPRING) == datetime(2026, 3, 29, 1, tzinfo=UTC)


@given(windows | st.none(), zones, moments, st.integers(-3 * 24 * 60, 3 * 24 * 60), st.integers(-14 * 60, 14 * 60))
def test_a_deadline(window: Any, zone: ZoneInfo, now: datetime, minutes: int, offset: int) -> None:
    """At the deadline and later nothing opens, and what is open closes then at the latest, whatever zone it is in."""
    deadline = now + minutes * MINUTE
    told = deadline.astimezone(timezone(timedelta(minutes=offset)))
    without, schedule = (Schedule(window=window, time_zone=zone, deadline=each) for each in (None, told))
    opens_at, closes_at = without.opens_at(now), without.closes_at(now)
    assert opens_at is not None
    assert schedule.opens_at(now) == (opens_at if opens_at < deadline else None)
    assert schedule.closes_at(now) == max(now, min(deadline, closes_at or deadline))


def test_the_double_hour_of_a_deadline() -> None:
    """A deadline in the second 02:30 of an autumn night is an hour after the first, though both show the same time."""
    first_time, second_time = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN) for fold in (0, 1))
    schedule = Schedule(deadline=second_time)
    assert schedule.opens_at(first_time) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert schedule.closes_at(first_time) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert schedule.opens_at(second_time) is None


def test_nothing_given() -> None:
    """A schedule without any part is always open. Moments come back in UTC."""
    now = datetime(2026, 11, 28, 12, tzinfo=MOSCOW)
    opens_at = Schedule(time_zone="Europe/Moscow").opens_at(now)
    assert opens_at == now
    assert opens_at.tzinfo is UTC
    assert Schedule().closes_at(now) is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window": (time(9), time(21))}, "needs Schedule.time_zone"),
        ({"window": (time(9), time(9)), "time_zone": UTC}, "For all day, leave it out"),
        ({"window": (time(9), time(21, tzinfo=UTC)), "time_zone": UTC}, "must have no zone"),
        ({"window": (time(9),), "time_zone": UTC}, "a tuple of two times"),
        ({"window": ("09:00", "21:00"), "time_zone": UTC}, "a tuple of two times"),
        ({"window": 5, "time_zone": UTC}, "a tuple of two times"),
        ({"window": (time(9), time(21)), "time_zone": "Moscow"}, "an IANA name"),
        ({"time_zone": "Europe"}, "an IANA name"),
        ({"time_zone": "../UTC"}, "an IANA name"),
        ({"time_zone": 3}, "tzinfo or str or None, not int"),
        (
            {"deadline": datetime(2026, 12, 1, 21)},  # noqa: DTZ001
            "must have a time zone",
        ),
        ({"deadline": "2026-12-01T21:00"}, "datetime or None, not str"),
    ],
)
def test_parts_that_cannot_work(options: dict[str, Any], told: str) -> None:
    """A part that cannot work is refused when the schedule is made, by its name."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        Schedule(**options)
    assert "Schedule." in str(caught.value)


def test_utc_needs_no_data() -> None:
    """UTC is known without time zone data, which some machines do not have."""
    assert Schedule(time_zone="UTC").time_zone is UTC
