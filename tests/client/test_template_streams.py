"""Streams of filled templates: everything that a caller or the service can see is as if each row had made a Message."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import chain
from typing import Any

import pytest
from dispatch_lab import NOON, dispatch_on
from hypothesis import given
from hypothesis import strategies as st

from devino_async import (
    Accepted,
    DevinoClient,
    InvalidMessage,
    Limits,
    Message,
    NotSent,
    OutcomeUnknown,
    Receipt,
    RequestNotSent,
    SendReport,
    Template,
    Unconfirmed,
)
from devino_async.campaigns import Schedule
from devino_async.client.pieces import SendOptions
from devino_async.exchange import Answer, Call, TooManyForHalfOpen
from devino_async.protocol.filling import AsyncFilled, Filled

Rows = list[dict[str, Any]]


class Fate:
    """A service whose answer to a batch depends on its first recipient alone. It notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str, int, int]] = []

    async def exchange(self, call: Call) -> Answer:
        body = b"".join(call.body or ())
        self.asked.append((body, call.query, call.messages, call.segments))
        await asyncio.sleep(0)
        first, items = int(json.loads(body)["messages"][0]["to"]), []
        if first % 5 == 1:
            raise RequestNotSent("no connection", operation="send")
        if first % 5 == 2:
            raise OutcomeUnknown("no answer", operation="send")
        for number in range(call.messages):
            if first % 5 == 3 and number % 3 == 1:
                items.append('{"code":"REJECTED","reasons":[{"key":"to.invalid","ref":"to"}]}')
            else:
                segments = ',"segmentsId":["1","2"]' if "includeSegmentId" in call.query else ""
                items.append(f'{{"code":"OK","messageId":"{first}{number}"{segments}}}')
        return Answer(status=200, body=f'{{"result":[{",".join(items)}]}}'.encode())


def async_rows(rows: Iterable[Any]) -> AsyncIterator[Any]:
    async def one_by_one() -> AsyncIterator[Any]:
        for row in rows:
            await asyncio.sleep(0)
            yield row

    return one_by_one()


def told(receipts: Iterable[Receipt]) -> list[tuple[Any, ...]]:
    """Receipts that can be compared: two runs have different error objects."""
    return [
        (type(each), each.message, repr(each.error) if isinstance(each, NotSent | Unconfirmed) else each)
        for each in receipts
    ]


async def seen(messages: Any, batch_size: int, limits: Limits, options: SendOptions, most: int) -> list[Any]:
    """All that can be seen of a stream whose consumer stops after `most` receipts."""
    service, unclaimed = Fate(), list[Receipt]()
    receipts: list[Receipt] = []
    failure: Any = None
    made = dispatch_on(service, limits=limits, on_unclaimed=unclaimed.extend)
    stream = made.stream(messages, batch_size, options)
    try:
        async for receipt in stream:
            receipts.append(receipt)
            if len(receipts) == most:
                break
    except InvalidMessage as error:
        failure = error.problems
    await stream.aclose()
    for _ in range(200):
        await asyncio.sleep(0)
    # What was left unread when the consumer stopped depends on how far ahead the input was read.
    return [told(receipts), failure, service.asked] if most < 0 else [told(receipts), failure]


templates = st.builds(
    Template,
    sender=st.just("MyCompany"),
    text=st.sampled_from(['Привет,\n"{Имя}" 100%', "{Имя|клиент} {n:>4}", "{Имя}", "the same for all"]),
    scheduled_time=st.sampled_from([None, None, NOON - timedelta(days=1), NOON + timedelta(days=1)]),
    options=st.sampled_from([None, {"a": '"b'}]),
)
values = st.fixed_dictionaries({"Имя": st.sampled_from(["Анна", '"', "😀", "x" * 300]), "n": st.integers(0, 99)})
odd_values = st.fixed_dictionaries(
    {}, optional={"Имя": st.sampled_from(["Анна", "", "\ud800"]), "n": st.just(1), "validity": st.sampled_from([5, -5])}
)
runs = st.tuples(st.integers(0, 90), values).map(lambda each: [each[1]] * each[0])


def numbered(cells: list[list[dict[str, Any]]]) -> Rows:
    return [{"to": f"7900{number:07}", **each} for number, each in enumerate(chain.from_iterable(cells))]


many_rows = st.lists(runs | st.lists(odd_values, max_size=3), max_size=5).map(numbered)


@given(
    templates,
    many_rows,
    st.sampled_from(["sync", "async"]),
    st.sampled_from([1, 3, 50, 64, 100, 32_000]),
    st.sampled_from([1_500, 50_000_000]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([-1, -1, 1, 70]),
)
async def test_a_stream_is_the_same(
    template: Template, rows: Rows, kind: str, size: int, size_in_bytes: int, tolerant: bool, more: bool, most: int
) -> None:
    """For any rows and options: the same bytes on the wire, receipts, order and errors as with single messages."""
    limits = Limits(batch_bytes=size_in_bytes, segments_per_second=10_000 if more else None)
    options = SendOptions.of(more, False)
    skipped: list[int] = []
    skipped_singly: list[int] = []

    def single() -> Iterator[Message]:
        for position, row in enumerate(rows):
            try:
                yield template.message(row)
            except InvalidMessage:
                if not tolerant:
                    raise
                skipped_singly.append(position)

    on_invalid = (lambda position, row, error: skipped.append(position)) if tolerant else None
    filled = template.fill(rows if kind == "sync" else async_rows(rows), on_invalid)
    expected = await seen(single() if kind == "sync" else async_rows(single()), size, limits, options, most)
    assert await seen(filled, size, limits, options, most) == expected
    if most < 0:
        assert skipped == skipped_singly


ROWS = [{"to": f"7900{number:07}", "a": f"№ {number}"} for number in range(1_200)]
TEMPLATE = Template(sender="MyCompany", text="Заказ {a}")


async def test_a_batch_that_is_cut() -> None:
    """A half-open lane takes a batch in small pieces, with the bytes that single messages have."""

    class HalfOpen(Fate):
        async def exchange(self, call: Call) -> Answer:
            if call.messages > 500:
                raise TooManyForHalfOpen
            return await super().exchange(call)

    asked = []
    for messages in (TEMPLATE.fill(ROWS), map(TEMPLATE.message, ROWS)):
        service = HalfOpen()
        receipts = [each async for each in dispatch_on(service).stream(messages, 32_000, SendOptions())]
        assert [each.message for each in receipts] == list(map(TEMPLATE.message, ROWS))
        asked.append(service.asked)
    assert [count for _, _, count, _ in asked[0]] == [500, 500, 200]
    assert asked[0] == asked[1]


async def test_a_schedule_that_is_over() -> None:
    """After the deadline of a schedule each row gets a NotSent with its message."""
    service = Fate()
    schedule = Schedule(window=(time(9), time(21)), time_zone=UTC, deadline=datetime(2026, 1, 1, tzinfo=UTC))
    stream = dispatch_on(service).stream(TEMPLATE.fill(ROWS[:90]), 40, SendOptions(), schedule=schedule)
    receipts = [each async for each in stream]
    assert {type(each) for each in receipts} <= {NotSent}
    assert [each.message for each in receipts] == [TEMPLATE.message(row) for row in ROWS[: len(receipts)]]
    assert not service.asked


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_send_all(service: Any, kind: str) -> None:
    """`send_all` takes a filled template as `send_many` does. The service gets each text with its own values."""
    told_: list[int] = []
    rows: list[dict[str, Any]] = [*ROWS[:100], {"to": "sesame", "a": "x"}, *ROWS[100:200]]
    filled: Filled | AsyncFilled
    if kind == "sync":
        filled = TEMPLATE.fill(rows, lambda position, row, error: told_.append(position))
    else:
        filled = TEMPLATE.fill(async_rows(rows), lambda position, row, error: told_.append(position))
    async with DevinoClient("key", base_url=service.url) as devino:
        report = await devino.send_all(filled)
    assert report.total == len(report.accepted) == 200
    assert told_ == [100]
    [(_, _, _, body)] = service.requests
    assert body["messages"] == [
        {"from": "MyCompany", "to": row["to"], "text": f"Заказ {row['a']}"} for row in ROWS[:200]
    ]
    assert [each.message for each in report.accepted] == [TEMPLATE.message(row) for row in ROWS[:200]]


async def test_send_all_with_a_bad_row(service: Any) -> None:
    """The error of a bad row says its position and carries the report of what was read before it."""
    async with DevinoClient("key", base_url=service.url) as devino:
        with pytest.raises(InvalidMessage) as raised:
            await devino.send_all(TEMPLATE.fill([*ROWS[:70], {"to": "79000000001"}, *ROWS[71:]]))
    assert raised.value.position == 70
    report = raised.value.report
    assert isinstance(report, SendReport)
    assert [each.message for each in report.accepted] == [TEMPLATE.message(row) for row in ROWS[:70]]
    assert sum(len(body["messages"]) for _, _, _, body in service.requests) == 70


async def test_single_sends_of_a_template(service: Any) -> None:
    """The message of a row can be sent alone."""
    async with DevinoClient("key", base_url=service.url) as devino:
        receipt = await devino.send(TEMPLATE.message(ROWS[0]))
    assert isinstance(receipt, Accepted)
