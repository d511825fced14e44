"""Statistics: GET /sms-stat/statistics/of-group, counts of messages and segments by status and period."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from attrs import evolve, frozen

from ..exchange import Answer, Call
from .wire.converter import Mismatch, as_list, as_moment, as_object, as_text, in_zone, structure, wire_class
from .wire.endpoint import Endpoint
from .wire.envelope import result_of
from .wire.query import Problems, is_aware, wall_clocks

__all__ = ["ENDPOINT", "DateCount", "GroupBy", "Statistics", "StatisticsStatus", "call", "read"]

ENDPOINT = Endpoint(operation="statistics", method="GET", path="/sms-stat/statistics/of-group")


class GroupBy(StrEnum):
    """The length of the periods that messages are counted by."""

    NONE = "NONE"
    YEAR = "YEAR"
    MONTH = "MONTH"
    WEEK = "WEEK"
    DAY = "DAY"
    HOUR = "HOUR"


class StatisticsStatus(StrEnum):
    """The statuses that statistics count (API docs, "MessageStatusObject"). They differ from those of Status."""

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
    """The count in one period. `date` is the start of the period, or the service's text if that is not a date."""

    date: datetime | str | None
    amount: int


Counts = Mapping[StatisticsStatus | str, tuple[DateCount, ...]]


@frozen(hash=False)
class Statistics:
    """Counts by status, of whole messages and of the segments that are billed.

    `messages` and `segments` map each status to its periods, in order of date. A status that the service left out is
    absent. `unread` counts the periods, and lists of periods, that could not be read. They are missing here and in the
    totals.
    """

    messages: Counts
    segments: Counts
    unread: int = 0

    def total(self, status: str) -> int:
        """Return how many messages have this status, over all periods.

        A Status is accepted too: Status.ENROUTE is looked up as `enrouted`.
        """
        return _sum(self.messages, status)

    def total_segments(self, status: str) -> int:
        """Return how many segments the messages with this status have, over all periods."""
        return _sum(self.segments, status)


def _sum(counts: Counts, status: str) -> int:
    name = status.lower()
    return sum(each.amount for each in counts.get("enrouted" if name == "enroute" else name, ()))


def _date(value: Any, _: Any = None) -> datetime | str:
    text = as_text(value)
    try:
        return as_moment(text)
    except Mismatch:
        return text


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
    """Return the call that counts what was sent between two dates.

    Raises InvalidQuery for bad arguments, and for an aware date without a `zone` to convert it to.
    """
    problems = Problems()
    problems.moment("startDate", start_date)
    problems.moment("endDate", end_date)
    if not problems.found and is_aware(start_date) != is_aware(end_date):
        problems.add("endDate", "must have a time zone if and only if startDate has one")
    if str(group_by) not in GroupBy.__members__:
        problems.add("groupBy", f"must be one of {', '.join(GroupBy)}")
    numbers = {"taskId": task_id, "triggerId": trigger_id, "timeOffset": time_offset}
    for ref, number in numbers.items():
        problems.whole(ref, number)
    problems.raise_any()
    start, end = wall_clocks({"startDate": start_date, "endDate": end_date}, zone)
    pairs = {
        "startDate": start.isoformat(timespec="seconds"),
        "endDate": end.isoformat(timespec="seconds"),
        "groupBy": str(group_by),
    }
    pairs |= {ref: str(number) for ref, number in numbers.items() if number is not None}
    return ENDPOINT.call(query=urlencode(pairs))


def read(answer: Answer, *, zone: tzinfo | None = None) -> Statistics:
    """Return the counts that can be read. Raises BadAnswer or Refused."""
    return result_of(answer, ENDPOINT.operation, lambda result: _Reading(zone).statistics(result))


class _Reading:
    """Reads one result and counts what it could not read."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._unread = 0

    def statistics(self, result: Any) -> Statistics:
        """Return what can be read. Raises Mismatch if neither of the tables can be read."""
        tables = as_object(result)
        given = [name for name in ("messages", "segments") if tables.get(name) is not None]
        odd = [name for name in given if type(tables[name]) is not dict]
        if odd and odd == given:
            as_object(tables[odd[0]])
        self._unread = len(odd)
        messages, segments = (
            self._counts({} if name in odd else tables.get(name) or {}) for name in ("messages", "segments")
        )
        return Statistics(messages, segments, self._unread)

    def _counts(self, table: dict[str, Any]) -> dict[StatisticsStatus | str, tuple[DateCount, ...]]:
        counts = {}
        for name, listed in table.items():
            try:
                counts[_status(name)] = self._periods(as_list(listed))
            except Mismatch:
                self._unread += 1
        return counts

    def _periods(self, listed: list[Any]) -> tuple[DateCount, ...]:
        counts = []
        for each in listed:
            try:
                count = structure(_dated(each), DateCount)
            except Mismatch:
                self._unread += 1
            else:
                counts.append(evolve(count, date=in_zone(count.date, self._zone)))
        return tuple(sorted(counts, key=_sortable))


def _status(name: str) -> StatisticsStatus | str:
    return StatisticsStatus(name) if name in StatisticsStatus._value2member_map_ else name


def _dated(period: Any) -> Any:
    """Return the period, with a date of None if it has no date.

    The API docs do not say whether it has a date with groupBy=NONE.
    """
    return {"date": None, **period} if type(period) is dict else period


def _sortable(count: DateCount) -> tuple[int, str]:
    if isinstance(count.date, datetime):
        return 0, count.date.isoformat()
    return 1, count.date or ""
