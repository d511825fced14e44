"""Limits: permits, pace and the hold after a 429."""

import asyncio
from collections import Counter

import pytest

from devino_async.errors import ConfigurationError
from devino_async.events import Events
from devino_async.exchange import Answer, Call, Lane
from devino_async.transport.limits import Limited, Limits

SEND = Call(operation="send", method="POST", path="/", repeatable=False, messages=10)
URGENT = Call(operation="send", method="POST", path="/", repeatable=False, urgent=True, messages=1)
READ = Call(operation="account", method="GET", path="/")


class Counting:
    """A transport that notes how many attempts run at once, until it is let go."""

    def __init__(self) -> None:
        self.now: Counter[Lane] = Counter()
        self.most: Counter[Lane] = Counter()
        self.go = asyncio.Event()

    async def exchange(self, call: Call) -> Answer:
        self.now[call.lane] += 1
        self.most[call.lane] = max(self.most[call.lane], self.now[call.lane])
        await self.go.wait()
        self.now[call.lane] -= 1
        return Answer(status=200, body=b"")


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_in_flight_than_allowed() -> None:
    """At most `in_flight` sends run at once, and as many urgent ones and as many look-ups beside them."""
    inner = Counting()
    limited = Limited(inner, Limits(in_flight=3), clock=lambda: 0.0, sleep=asyncio.sleep, events=Events())
    tasks = [asyncio.create_task(limited.exchange(call)) for call in [SEND] * 10 + [URGENT] * 10 + [READ] * 10]
    await turns()
    assert inner.now == dict.fromkeys({Lane.BULK, Lane.URGENT, Lane.LOOK_UPS}, 3)
    inner.go.set()
    await asyncio.gather(*tasks)
    assert inner.most == dict.fromkeys({Lane.BULK, Lane.URGENT, Lane.LOOK_UPS}, 3)


async def test_a_cancelled_waiter_gives_its_place_back() -> None:
    """Cancelling a call that waits for a permit, or holds one, never loses a permit."""
    inner = Counting()
    limited = Limited(inner, Limits(in_flight=1), clock=lambda: 0.0, sleep=asyncio.sleep, events=Events())
    tasks = [asyncio.create_task(limited.exchange(SEND)) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    tasks[1].cancel()
    inner.go.set()
    assert (await tasks[2]).status == 200
    await asyncio.gather(*tasks[:2], return_exceptions=True)


async def test_requests_and_messages_are_both_paced() -> None:
    """A call begins when both rates allow it."""
    now, slept = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    inner = Counting()
    inner.go.set()
    limits = Limits(requests_per_second=10, messages_per_second=5)
    limited = Limited(inner, limits, clock=lambda: now, sleep=sleep, events=Events())
    for _ in range(3):
        await limited.exchange(SEND)
    assert now == pytest.approx(4.0)
    await limited.exchange(READ)
    assert now == pytest.approx(4.1), "a look-up carries no messages"


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_flight": 0},
        {"batch_bytes": 0},
        {"requests_per_second": 0},
        {"messages_per_second": float("nan")},
        {"segments_per_second": -1},
    ],
)
def test_options_that_cannot_work(wrong: dict[str, float]) -> None:
    """Options that cannot work are refused when they are made, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]
