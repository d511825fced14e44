"""Look-ups through a scripted transport: what is odd is told in events, and aware dates are refused in time."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devino_async import ClientEvent, DetailQuery, GroupBy, InvalidQuery, ItemsUnread, Limits, TotalDiffers
from devino_async.client.lookups import LookUps
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns
from devino_async.protocol import statistics

START, END = datetime(2026, 1, 1), datetime(2026, 2, 1)  # noqa: DTZ001 - the API docs name no zone


class Answering:
    """A transport that gives the scripted results one after another, the last one for ever."""

    def __init__(self, *results: Any) -> None:
        self.results = [*results]
        self.calls: list[Call] = []

    async def exchange(self, call: Call) -> Answer:
        self.calls.append(call)
        result = self.results.pop(0) if self.results[1:] else self.results[0]
        return Answer(status=200, body=json.dumps({"result": result}).encode())


class Lab:
    """Look-ups over such a transport, and what was told of them."""

    def __init__(self, *results: Any, zone: Any = None) -> None:
        self.transport = Answering(*results)
        self.events: list[ClientEvent] = []
        events = Events(self.events.append)
        self.look_ups = LookUps(self.transport, Owner(), Turns(), Limits(), zone, events=events)


def pages(*rows: list[Any], total: int | None = None) -> list[dict[str, Any]]:
    return [*({"data": each, "total": total, "more": True} for each in rows), {"data": [], "more": False}]


async def test_odd_statuses_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """An item that cannot be read is left out, and one event and one log line say how many there were, and not what."""
    rows = [{"smsId": "1", "status": "SENT"}, {"smsId": "2", "status": None, "note": "sesame"}, "sesame"]
    lab = Lab(rows)
    assert [each.message_id async for each in lab.look_ups.statuses(["1", "2"])] == ["1"]
    assert lab.events == [ItemsUnread(operation="statuses", count=2)]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "sesame" not in caplog.text


async def test_odd_rows_are_told() -> None:
    """A page tells of its rows that could not be read whole, and gives them all the same."""
    lab = Lab(*pages([{"messageId": "1"}, 5], [{"messageId": "2"}], [{"messageId": "3", "price": "free"}]))
    paginator = lab.look_ups.details(DetailQuery(task_id=1), 2, 0)
    assert [row.message_id async for row in paginator] == ["1", None, "2", "3"]
    assert paginator.offset == 4
    assert lab.events == [ItemsUnread(operation="details", count=1)] * 2


async def test_odd_buckets_are_told() -> None:
    """Periods that cannot be read are missing from the counts, and an event says how many there were."""
    lab = Lab({"messages": {"sent": [{"amount": 1}, {"amount": None}], "seen": 5}})
    found = await lab.look_ups.statistics(statistics.call(START, END, group_by=GroupBy.NONE))
    assert (found.total("sent"), found.unread) == (1, 2)
    assert lab.events == [ItemsUnread(operation="statistics", count=2)]


async def test_good_answers_tell_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Answers that can be read whole and totals that are met are no event."""
    lab = Lab(*pages([{"messageId": "1"}], [{"messageId": "2"}], total=2))
    assert len([row async for row in lab.look_ups.details(DetailQuery(task_id=1), 1, 0)]) == 2
    assert (lab.events, caplog.records) == ([], [])


async def test_repeated_and_missing_rows() -> None:
    """A row that two pages have is given once. That another one must be missing shows in the total."""
    lab = Lab(*pages([{"messageId": "1"}, {"messageId": "2"}], [{"messageId": "2"}, {"messageId": "4"}], total=4))
    paginator = lab.look_ups.details(DetailQuery(task_id=1), 2, 0)
    assert [row.message_id async for row in paginator] == ["1", "2", "4"]
    assert lab.events == [TotalDiffers(operation="details", rows=3, total=4)]


async def test_segments_are_rows_of_their_own() -> None:
    """Parts of one message on both sides of a page border are two rows, with segment ids or without."""
    for rows in ([{"messageId": "1", "segmentId": str(each)} for each in range(4)], [{"messageId": "1"}] * 4):
        lab = Lab(*pages(rows[:2], rows[2:]))
        query = DetailQuery(task_id=1, by_segments=True)
        assert len([row async for row in lab.look_ups.details(query, 2, 0)]) == 4


async def test_aware_dates_are_refused_at_once() -> None:
    """Without a zone, an aware date is refused where the look-up is made, before anything is asked."""
    lab = Lab(*pages())
    query = DetailQuery(date_time_from=START.replace(tzinfo=UTC), date_time_to=END.replace(tzinfo=UTC))
    with pytest.raises(InvalidQuery, match="time_zone"):
        lab.look_ups.details(query, 10, 0)
    assert lab.transport.calls == []


async def test_aware_dates_are_converted() -> None:
    """With a zone, one moment travels as one wall clock, however it was written."""
    lab = Lab(*pages(), zone=ZoneInfo("Europe/Moscow"))
    begin = START.replace(tzinfo=UTC)
    for start in (begin, begin.astimezone(ZoneInfo("Asia/Tokyo"))):
        query = DetailQuery(date_time_from=start, date_time_to=begin + timedelta(hours=1))
        assert [row async for row in lab.look_ups.details(query, 10, 0)] == []
    first, second = (call.query for call in lab.transport.calls)
    assert first == second
    assert "dateTimeFrom=2026-01-01+03:00:00&dateTimeTo=2026-01-01+04:00:00" in first
    assert "order=ASC&orderField=MESSAGE_ID" in first


ODD_COUNTS: list[Any] = ["true", 1, "x", [], {}, 1.5]


@pytest.mark.parametrize("odd", ODD_COUNTS)
@pytest.mark.parametrize("name", ["more", "total", "size"])
async def test_odd_counts_of_a_page(name: str, odd: Any) -> None:
    """An odd field of a page ends no walk unseen: an empty page must end it, and the odd field is told."""
    rows = [[{"messageId": "1"}], [{"messageId": "2"}], [{"messageId": "3"}]]
    usual: dict[str, Any] = {"total": None, "size": 1}
    lab = Lab(*({**usual, "data": each, name: odd} for each in rows), {"data": [], "more": False})
    assert [row.message_id async for row in lab.look_ups.details(DetailQuery(task_id=1), 2, 0)] == ["1", "2", "3"]
    assert len(lab.transport.calls) == 4
    if name == "more" or odd not in (1, "1"):
        assert lab.events == [ItemsUnread(operation="details", count=1)] * 3


async def test_a_page_without_counts() -> None:
    """Where no page says anything but its rows, the walk goes on until an empty one."""
    lab = Lab(*({"data": [{"messageId": str(each)}]} for each in range(3)), {"data": []})
    assert len([row async for row in lab.look_ups.details(DetailQuery(task_id=1), 2, 0)]) == 3
    assert len(lab.transport.calls) == 4
    assert lab.events == []


async def test_pages_that_repeat_without_an_end_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """A walk that ends because no page has anything new says so in an event and a log line, with the offset."""
    lab = Lab({"data": [{"messageId": "1"}, {"messageId": "2"}], "more": True})
    assert len([row async for row in lab.look_ups.details(DetailQuery(task_id=1), 2, 0)]) == 2
    assert lab.events == [ItemsUnread(operation="details", count=20)]
    assert "the same rows again and again, so the look-up ended at offset 22" in caplog.text
