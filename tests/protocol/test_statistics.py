"""Statistics: the T form of dates, counts sorted by date, and tolerance for what is left out."""

# ruff: noqa: DTZ001 - the API docs name no zone for dates, so they are naive

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import BadAnswer, DateCount, GroupBy, InvalidQuery, Statistics, StatisticsStatus, Status
from devino_async.exchange import Answer
from devino_async.protocol import statistics

START, END = datetime(2022, 10, 6, 13, 45, 30), datetime(2023, 2, 6, 13, 45, 30)
MOSCOW = timezone(timedelta(hours=3))


def read(result: Any, **more: Any) -> Statistics:
    text = result if isinstance(result, str) else json.dumps({"result": result})
    return statistics.read(Answer(status=200, body=text.encode()), **more)


def refs(start: Any = START, end: Any = END, **more: Any) -> list[str | None]:
    with pytest.raises(InvalidQuery) as raised:
        statistics.call(start, end, **more)
    return [each.ref for each in raised.value.problems]


def test_every_parameter() -> None:
    """All six parameters travel under the API docs' names; what is not given is not sent."""
    call = statistics.call(START, END, group_by=GroupBy.HOUR, task_id=1, trigger_id=2, time_offset=-180)
    assert parse_qs(call.query) == {
        "startDate": ["2022-10-06T13:45:30"],
        "endDate": ["2023-02-06T13:45:30"],
        "groupBy": ["HOUR"],
        "taskId": ["1"],
        "triggerId": ["2"],
        "timeOffset": ["-180"],
    }
    assert set(parse_qs(statistics.call(START, END).query)) == {"startDate", "endDate", "groupBy"}
    assert (call.method, call.body, call.repeatable) == ("GET", None, True)


@pytest.mark.parametrize("group", ["NONE", "YEAR", "MONTH", "WEEK", "DAY", "HOUR"])
def test_groups(group: str) -> None:
    """The six groupings of the API docs, as members or by name."""
    assert statistics.call(START, END, group_by=group) == statistics.call(START, END, group_by=GroupBy(group))
    assert f"groupBy={group}" in statistics.call(START, END, group_by=group).query


def test_dates() -> None:
    """Parts of seconds are cut, years have four digits, aware dates go as the wall clock of a known zone."""
    assert "startDate=0023-01-02T03%3A04%3A05" in statistics.call(datetime(23, 1, 2, 3, 4, 5, 999999), END).query
    aware = statistics.call(START.replace(tzinfo=UTC), END.replace(tzinfo=UTC), zone=MOSCOW)
    assert "startDate=2022-10-06T16%3A45%3A30" in aware.query
    assert statistics.call(START, START)


def test_aware_dates_need_a_zone() -> None:
    """Without a zone of the service an aware date is refused, by its name. Its zone is never dropped."""
    assert refs(START.replace(tzinfo=UTC), END.replace(tzinfo=UTC)) == ["startDate", "endDate"]
    assert refs(START, END.replace(tzinfo=UTC)) == ["endDate"]
    assert refs(START.replace(tzinfo=UTC), START, zone=MOSCOW) == ["endDate"]


def test_naive_and_aware_dates_are_not_mixed() -> None:
    """A naive date and an aware one in one query are refused, with a zone of the service or without, as in details."""
    for zone in (None, MOSCOW):
        assert refs(START, END.replace(tzinfo=UTC), zone=zone) == ["endDate"]
        assert refs(START.replace(tzinfo=UTC), END, zone=zone) == ["endDate"]


def test_order_of_dates_after_conversion() -> None:
    """From and to are compared as they travel: a later moment written with an earlier hour is in order."""
    start, end = datetime(2026, 1, 1, 13, 29, tzinfo=MOSCOW), datetime(2026, 1, 1, 10, 30, tzinfo=UTC)
    assert "endDate=2026-01-01T13%3A30%3A00" in statistics.call(start, end, zone=MOSCOW).query
    assert refs(end, start, zone=MOSCOW) == ["endDate"]


def test_all_problems_at_once() -> None:
    """Everything that is wrong with the request is told at once, before it is sent."""
    assert refs("2022-10-06", date(2023, 2, 6), group_by="day", task_id="1", trigger_id=True, time_offset=1.5) == [
        "startDate", "endDate", "groupBy", "taskId", "triggerId", "timeOffset",
    ]  # fmt: skip
    assert refs(END, START) == ["endDate"]


counts = st.lists(
    st.tuples(
        st.datetimes(datetime(1000, 1, 1)).map(lambda moment: moment.replace(microsecond=0)), st.integers(0, 10**25)
    ),
    max_size=8,
)
names = st.sampled_from([*StatisticsStatus, "brand_new"])


@given(st.dictionaries(names, counts, max_size=5), st.dictionaries(names, counts, max_size=5))
def test_sorted_and_complete(messages: dict[str, Any], segments: dict[str, Any]) -> None:
    """Buckets come in the order of their dates whatever order the service has, none lost, amounts exact."""

    def table(given_counts: dict[str, Any]) -> dict[str, Any]:
        return {
            str(name): [{"date": str(moment), "amount": amount} for moment, amount in listed]
            for name, listed in given_counts.items()
        }

    found = read({"messages": table(messages), "segments": table(segments)})
    for given_counts, made in ((messages, found.messages), (segments, found.segments)):
        assert made.keys() == given_counts.keys()
        for name, listed in given_counts.items():
            assert [each.date for each in made[name]] == sorted(moment for moment, _ in listed)
            assert sorted((each.date, each.amount) for each in made[name]) == sorted(listed)  # type: ignore[type-var]
    for name, listed in messages.items():
        assert found.total(name) == sum(amount for _, amount in listed)


def test_null_absent_extra() -> None:
    """Tables, statuses and dates may be null or absent, unknown statuses and columns may come."""
    for result in ({}, {"messages": None, "segments": None}, {"new": 1}, {"messages": {}}):
        assert read({**result, "x": None}) == Statistics({}, {})
    found = read(
        {
            "messages": {
                "sent": None,
                "brand_new": [{"date": None, "amount": 2, "new": 1}, {"date": None, "amount": "3"}],
            }
        }
    )
    assert found.messages == {StatisticsStatus.SENT: (), "brand_new": (DateCount(None, 2), DateCount(None, 3))}
    assert type(next(iter(found.messages))) is StatisticsStatus
    assert found.total("brand_new") == 5


def test_dates_that_are_none() -> None:
    """What `date` holds for groupBy=NONE is not documented: text that is not a date is kept, after the dates."""
    listed = [{"date": "ALL", "amount": 1}, {"date": "2023-01-01 00:00:00", "amount": 2}, {"date": "", "amount": 3}]
    assert [each.date for each in read({"messages": {"sent": listed}}).messages["sent"]] == [
        datetime(2023, 1, 1), None, "ALL",
    ]  # fmt: skip


def test_zone() -> None:
    """Dates are naive unless the user names the zone."""
    listed = [{"date": "2023-01-01 00:00:00", "amount": 2}, {"date": "ALL", "amount": 1}]
    [first, second] = read({"messages": {"sent": listed}}, zone=MOSCOW).messages["sent"]
    assert (first.date, second.date) == (datetime(2023, 1, 1, tzinfo=MOSCOW), "ALL")


def test_total_understands_every_vocabulary() -> None:
    """A total may be asked by the name on the wire, by member, or by the Status of callbacks."""
    found = read({"messages": {"enrouted": [{"date": None, "amount": 4}], "delivered": [{"date": None, "amount": 5}]}})
    for name in ("enrouted", "ENROUTED", StatisticsStatus.ENROUTED, Status.ENROUTE, "enroute"):
        assert found.total(name) == 4
    assert found.total(Status.DELIVERED) == 5
    assert found.total("nothing") == 0


def test_statuses_are_the_pages() -> None:
    """The twelve keys of the API docs, and no other."""
    listed = "accepted scheduled enrouted sent deleted delivered expired seen clicked rejected undeliverable unknown"
    assert [str(each) for each in StatisticsStatus] == listed.split()


@pytest.mark.parametrize(
    "result",
    [5, "x", [], True, {"messages": []}, {"messages": "x"}, {"segments": 5}, {"messages": 1, "segments": []}],
)
def test_results_that_break_the_page(result: Any) -> None:
    """A result that is not an object, or that holds no table that can be read, is BadAnswer."""
    with pytest.raises(BadAnswer) as raised:
        read(result)
    assert raised.value.operation == "statistics"
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    "odd",
    [5, "x", None, [], {}, True, {"amount": None}, {"amount": ""}, {"amount": 1.5}, {"amount": True}, {"amount": "x"},
     {"amount": 1, "date": []}, {"amount": 1, "date": True}, {"amount": 1, "date": {}}, {"date": "2023-01-01"}],
)  # fmt: skip
def test_odd_buckets(odd: Any) -> None:
    """A bucket that cannot be read costs that bucket and is counted. Null never counts as 0."""
    good = [{"date": "2023-01-01 00:00:00", "amount": 2}, {"date": "2023-02-01 00:00:00", "amount": 3}]
    found = read({"messages": {"sent": [good[0], odd, good[1]], "seen": good}, "segments": {"sent": good}})
    assert found.messages["sent"] == found.messages["seen"] == found.segments["sent"]
    assert (found.total("sent"), found.unread) == (5, 1)


@pytest.mark.parametrize(
    ("bucket", "count"),
    [
        ({"date": 2023, "amount": 1}, DateCount("2023", 1)),
        ({"date": None, "amount": 7.0}, DateCount(None, 7)),
        ({"date": "", "amount": "7"}, DateCount(None, 7)),
    ],
)
def test_lenient_buckets(bucket: Any, count: DateCount) -> None:
    """A number is a date's text, a whole float is a whole number, an empty date is not known."""
    found = read({"messages": {"sent": [bucket]}})
    assert (found.messages["sent"], found.unread) == ((count,), 0)


@pytest.mark.parametrize("listed", [0, False, "", {}, "abc", {"date": None, "amount": 1}])
def test_odd_statuses(listed: Any) -> None:
    """Only null and an empty list mean that nothing was counted. Any other value costs its status."""
    found = read({"messages": {"sent": listed, "seen": None, "new": []}})
    assert (found.messages, found.unread) == ({StatisticsStatus.SEEN: (), "new": ()}, 1)


@pytest.mark.parametrize("odd", [5, [], "x", True])
def test_odd_tables(odd: Any) -> None:
    """A table that cannot be read costs itself and is counted. The other one is given."""
    good = {"sent": [{"date": None, "amount": 1}]}
    assert read({"messages": odd, "segments": good}) == Statistics(
        {}, {StatisticsStatus.SENT: (DateCount(None, 1),)}, 1
    )
    assert read({"messages": good, "segments": odd}).unread == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"result":{"messages":{"sent":[{"date":null,"amount":1}],"sent":[]}}}',
        '{"result":{"messages":{},"messages":{"sent":[]}}}',
    ],
)
def test_double_keys(text: str) -> None:
    """Two values under one key cannot be counted."""
    with pytest.raises(BadAnswer):
        read(text)


def test_double_keys_in_a_bucket() -> None:
    """A bucket with two amounts has none that can be trusted. That costs no other bucket."""
    found = read('{"result":{"messages":{"sent":[{"date":null,"amount":1,"amount":2},{"date":null,"amount":4}]}}}')
    assert (found.total("sent"), found.unread) == (4, 1)


def test_bucket_without_a_date() -> None:
    """A count over the whole time (groupBy=NONE) needs no date: the key may be absent like any other."""
    assert read({"messages": {"sent": [{"amount": 3}]}}).messages == {StatisticsStatus.SENT: (DateCount(None, 3),)}
