"""Statistics: GET /sms-stat/statistics/of-group, counts of messages and segments by status and period."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from attrs import evolve, frozen

from ..errors import InvalidQuery, Reason
from ..exchange import Answer, Call
from .wire.converter import Mismatch, as_list, as_moment, as_object, in_zone, wire_class
from .wire.endpoint import Endpoint
from .wire.envelope import result_of
from .wire.query import Problems, wall_clock

__all__ = ["ENDPOINT", "DateCount", "GroupBy", "Statistics", "StatisticsStatus", "call", "read"]

ENDPOINT = Endpoint(operation="statistics", method="GET", path="/sms-stat/statistics/of-group")


class GroupBy(StrEnum):
    """The periods that counts are gathered into."""

    NONE = "NONE"
    YEAR = "YEAR"
    MONTH = "MONTH"
    WEEK = "WEEK"
    DAY = "DAY"
    HOUR = "HOUR"


class StatisticsStatus(StrEnum):
    """The statuses that statistics count, a vocabulary of their own (API docs, "MessageStatusObject")."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    ENROUTED = "enrouted"
    SENT = "sent"
    DELETED = "deleted"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    SEEN = "seen"
    CLICKED = "clicked"
    REJECTED = "rejected"
    UNDELIVERABLE = "undeliverable"
    UNKNOWN = "unknown"


@frozen
class DateCount:
    """How many in one period. `date` is when the period begins, or the service's text where that is not a date."""

    date: datetime | str | None
    amount: int


Counts = Mapping[StatisticsStatus | str, tuple[DateCount, ...]]


@frozen(hash=False)
class Statistics:
    """Counts by status, of whole messages and of the segments that are billed.

    Each maps a status to its periods in the order of their dates. A status that the service left out is absent.
    """

    messages: Counts
    segments: Counts

    def total(self, status: str) -> int:
        """Return how many messages have this status, over all periods.

        A Status is understood too, where ENROUTE is counted as `enrouted`.
        """
        return _sum(self.messages, status)

    def total_segments(self, status: str) -> int:
        """Return how many segments the messages with this status have, over all periods."""
        return _sum(self.segments, status)


def _sum(counts: Counts, status: str) -> int:
    name = status.lower()
    return sum(each.amount for each in counts.get("enrouted" if name == "enroute" else name, ()))


def _date(value: Any, _: Any = None) -> datetime | str:
    try:
        return as_moment(value)
    except Mismatch:
        if isinstance(value, str):
            return value
        raise


wire_class(DateCount, hooks={"date": _date})


def call(
    start_date: datetime,
    end_date: datetime,
    *,
    group_by: GroupBy | str = GroupBy.NONE,
    task_id: int | None = None,
    trigger_id: int | None = None,
    time_offset: int | None = None,
    zone: tzinfo | None = None,
) -> Call:
    """Return the counting of what was sent between two dates. Raises InvalidQuery naming everything that is wrong."""
    problems = Problems()
    problems.moment("startDate", start_date)
    problems.moment("endDate", end_date)
    if str(group_by) not in GroupBy.__members__:
        problems.add("groupBy", f"must be one of {', '.join(GroupBy)}")
    numbers = {"taskId": task_id, "triggerId": trigger_id, "timeOffset": time_offset}
    for ref, number in numbers.items():
        problems.whole(ref, number)
    problems.raise_any()
    start, end = wall_clock("startDate", start_date, zone), wall_clock("endDate", end_date, zone)
    if end < start:
        raise InvalidQuery([Reason("invalid", "endDate", "must not be before startDate")])
    pairs = {
        "startDate": start.isoformat(timespec="seconds"),
        "endDate": end.isoformat(timespec="seconds"),
        "groupBy": str(group_by),
    }
    pairs |= {ref: str(number) for ref, number in numbers.items() if number is not None}
    return ENDPOINT.call(query=urlencode(pairs))


def read(answer: Answer, *, zone: tzinfo | None = None) -> Statistics:
    """Return the counts. Raises BadAnswer or Refused."""
    return result_of(answer, ENDPOINT.operation, lambda result: _statistics(result, zone))


def _statistics(result: Any, zone: tzinfo | None) -> Statistics:
    result = as_object(result)
    return Statistics(_counts(result.get("messages"), zone), _counts(result.get("segments"), zone))


def _counts(table: Any, zone: tzinfo | None) -> dict[StatisticsStatus | str, tuple[DateCount, ...]]:
    counts = {} if table is None else as_object(table)
    return {_status(name): _periods(periods, zone) for name, periods in counts.items()}


def _status(name: str) -> StatisticsStatus | str:
    return StatisticsStatus(name) if name in StatisticsStatus._value2member_map_ else name


def _periods(listed: Any, zone: tzinfo | None) -> tuple[DateCount, ...]:
    counts = as_list(_dated(listed), DateCount)
    return tuple(sorted((evolve(each, date=in_zone(each.date, zone)) for each in counts), key=_sortable))


def _dated(listed: Any) -> Any:
    """Give each period a date. With groupBy=NONE it may come without, which the API docs leave open."""
    return (
        [{"date": None, **each} if type(each) is dict else each for each in listed]
        if isinstance(listed, list)
        else listed
    )


def _sortable(count: DateCount) -> tuple[int, str]:
    if isinstance(count.date, datetime):
        return 0, count.date.isoformat()
    return 1, count.date or ""
