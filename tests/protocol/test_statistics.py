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
    assert (
        statistics.call(START.replace(tzinfo=UTC), END.replace(tzinfo=UTC)).query == statistics.call(START, END).query
    )
    assert statistics.call(START, START)


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
        datetime(2023, 1, 1), "", "ALL",
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
    [5, "x", [], True, {"messages": []}, {"messages": "x"}, {"segments": 5}, {"messages": {"sent": "abc"}},
     {"messages": {"sent": [5]}}, {"messages": {"sent": [None]}}, {"messages": {"sent": [{}]}},
     {"messages": {"sent": {"date": None, "amount": 1}}},
     {"messages": {"sent": [{"amount": None}]}}, {"messages": {"sent": [{"amount": 1.5}]}},
     {"messages": {"sent": [{"amount": True}]}}, {"messages": {"sent": [{"amount": 1, "date": 20230101}]}}],
)  # fmt: skip
def test_results_that_break_the_page(result: Any) -> None:
    """A table that is not an object and an amount that is not a whole number are BadAnswer. Null never counts as 0."""
    with pytest.raises(BadAnswer) as raised:
        read({"messages": result} if result == [] else result)
    assert raised.value.operation == "statistics"
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        '{"result":{"messages":{"sent":[{"date":null,"amount":1}],"sent":[]}}}',
        '{"result":{"messages":{"sent":[{"date":null,"amount":1,"amount":2}]}}}',
        '{"result":{"messages":{},"messages":{"sent":[]}}}',
    ],
)
def test_double_keys(text: str) -> None:
    """Two values under one key cannot be counted."""
    with pytest.raises(BadAnswer):
        read(text)


@pytest.mark.parametrize("listed", [0, False, "", {}])
def test_empty_values_that_are_no_list(listed: Any) -> None:
    """Only null and an empty list mean that nothing was counted."""
    with pytest.raises(BadAnswer):
        read({"messages": {"sent": listed}})


def test_bucket_without_a_date() -> None:
    """A count over the whole time (groupBy=NONE) needs no date: the key may be absent like any other."""
    assert read({"messages": {"sent": [{"amount": 3}]}}).messages == {StatisticsStatus.SENT: (DateCount(None, 3),)}
