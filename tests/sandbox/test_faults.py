"""Callbacks that go wrong on purpose, received by a real server on loopback."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from asking import START, Asking, Receiver, message

from devino_async.sandbox import CallbackFaults, ManualClock, Sandbox

Made = Callable[[CallbackFaults], AbstractAsyncContextManager[Asking]]
COUNT = 200
STEPS = ["ACCEPTED", "ENROUTE", "SENT", "DELIVERED"]


@pytest.fixture
def faulty() -> Made:
    @asynccontextmanager
    async def made(faults: CallbackFaults) -> AsyncIterator[Asking]:
        clock = ManualClock(START)
        async with Sandbox(clock=clock, stage=10.0, callback_faults=faults) as sandbox:
            async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
                yield Asking(sandbox, clock, session)

    return made


async def told(asking: Asking, url: str, rounds: int = 8) -> None:
    await asking.send(*[message(callbackUrl=url)] * COUNT)
    for _ in range(rounds):
        await asking.sandbox.report()
        asking.clock.advance(10)


def times(receiver: Receiver) -> Counter[tuple[str, str]]:
    return Counter((event["messageId"], event["status"]) for event in receiver.events)


async def test_duplicates(faulty: Made, receiver: tuple[Receiver, str]) -> None:
    """With duplicates some events come twice, the others once, and none is missing."""
    made, url = receiver
    async with faulty(CallbackFaults(duplicate=0.3)) as asking:
        await told(asking, url)
    seen = times(made)
    assert len(seen) == 4 * COUNT
    assert set(seen.values()) == {1, 2}


async def test_drops(faulty: Made, receiver: tuple[Receiver, str]) -> None:
    """With drops some events never come, after any wait."""
    made, url = receiver
    async with faulty(CallbackFaults(drop=0.3)) as asking:
        await told(asking, url, rounds=12)
    assert 0.5 * 4 * COUNT < len(times(made)) < 0.9 * 4 * COUNT


async def test_delay(faulty: Made, receiver: tuple[Receiver, str]) -> None:
    """With a delay events come later, and all of them once it has passed."""
    made, url = receiver
    async with faulty(CallbackFaults(delay=100.0)) as asking:
        await told(asking, url, rounds=4)
        assert len(times(made)) < 4 * COUNT
        asking.clock.advance(200)
        await asking.sandbox.report()
    assert set(times(made).values()) == {1}
    assert len(times(made)) == 4 * COUNT


async def test_disorder(faulty: Made, receiver: tuple[Receiver, str]) -> None:
    """With disorder a later status may come before an earlier one, and all of them come once."""
    made, url = receiver
    async with faulty(CallbackFaults(disorder=True)) as asking:
        await asking.send(*[message(callbackUrl=url)] * COUNT)
        asking.clock.advance(100)
        await asking.sandbox.report()
    by_message: dict[str, list[str]] = {}
    for event in made.events:
        by_message.setdefault(event["messageId"], []).append(event["status"])
    assert all(sorted(statuses) == sorted(STEPS) for statuses in by_message.values())
    assert any(statuses != STEPS for statuses in by_message.values())


async def test_failing_addresses_are_asked_again(faulty: Made, receiver: tuple[Receiver, str]) -> None:
    """An address that does not answer 200 is tried again with the same events, whose faults are not drawn again."""
    made, url = receiver
    async with faulty(CallbackFaults(duplicate=0.3)) as asking:
        await asking.send(*[message(callbackUrl=url)] * COUNT)
        made.status = 500
        assert await asking.sandbox.report() == 0
        made.status = 200
        reached = await asking.sandbox.report()
    assert reached == len(made.bodies[-1])
    assert sorted(map(str, made.bodies[0])) == sorted(map(str, made.bodies[-1]))


async def test_the_same_again(faulty: Made, receiver: tuple[Receiver, str]) -> None:
    """The same seed gives the same faults."""
    made, url = receiver
    runs = []
    for _ in range(2):
        made.bodies.clear()
        async with faulty(CallbackFaults(drop=0.5, disorder=True, seed=5)) as asking:
            await told(asking, url)
        runs.append([(event["messageId"], event["status"]) for event in made.events])
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    "wrong",
    [{"duplicate": 1.5}, {"drop": -0.1}, {"delay": float("nan")}, {"drop": True}]
    + [{"seed": "x"}, {"seed": [1]}, {"seed": None}, {"disorder": "yes"}, {"disorder": 1}, {"delay": 10**400}],
)
def test_faults_that_cannot_be(wrong: dict[str, Any]) -> None:
    """A chance outside 0 to 1, an impossible delay, or a value of another type is refused by name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CallbackFaults(**wrong)
