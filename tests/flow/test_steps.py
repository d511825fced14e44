"""Long work in small steps: the same result in steps and at once."""

import asyncio
import random
from collections.abc import Generator

import pytest

from devino_async.flow.steps import Pacing, Turns, at_once, in_steps


def counting(steps: int, done: list[int]) -> Generator[None, None, str]:
    for step in range(steps):
        done.append(step)
        yield
    return "finished"


@pytest.mark.parametrize("steps", [0, 1, 5])
async def test_both_ways(steps: int) -> None:
    """in_steps and at_once give what the generator returns, after all of its steps."""
    first: list[int] = []
    second: list[int] = []
    assert await in_steps(counting(steps, first)) == at_once(counting(steps, second)) == "finished"
    assert first == second == list(range(steps))


async def test_others_get_turns() -> None:
    """Between two steps the event loop gets a turn."""
    done: list[int] = []
    seen: list[int] = []

    async def other() -> None:
        while len(done) < 5:
            seen.append(len(done))
            await asyncio.sleep(0)

    await asyncio.gather(in_steps(counting(5, done)), other())
    assert len(set(seen)) >= 4


async def test_the_urgent_have_more_turns() -> None:
    """As long as something urgent goes on, each step of long work gives it several turns, and afterwards one again."""
    done: list[int] = []
    turns = Turns()
    work = asyncio.ensure_future(in_steps(counting(30, done), turns))

    async def steps_while(times: int) -> int:
        before = len(done)
        for _ in range(times):
            await asyncio.sleep(0)
        return len(done) - before

    turns.urgent_begins()
    assert await steps_while(18) <= 3
    turns.urgent_ends()
    assert await steps_while(18) >= 15
    await work


async def test_pacing() -> None:
    """A pause is due at first, and half a millisecond after the last one ended, however long that took."""
    now = 100.0
    turns = Turns()

    async def late() -> None:
        nonlocal now
        now += 1.0

    pacing = Pacing(turns, clock=lambda: now)
    assert pacing.due()
    other = asyncio.create_task(late())
    await pacing.pause()
    assert (other.done(), now) == (True, 101.0)
    assert not pacing.due()
    now += 0.0004
    assert not pacing.due()
    now += 0.0002
    assert pacing.due()


async def test_at_once_goes_on_where_steps_were_cancelled() -> None:
    """A cancelled reading can be finished at once: no step is done twice and none left out."""
    done: list[int] = []
    work = counting(5, done)
    task = asyncio.ensure_future(in_steps(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < len(done) < 5
    assert at_once(work) == "finished"
    assert done == list(range(5))


def test_errors_come_through() -> None:
    """What the generator raises is raised."""

    def failing() -> Generator[None, None, None]:
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        at_once(failing())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_steps(failing()))


async def test_one_long_step_in_a_turn() -> None:
    """However many long works there are, a turn of the loop holds one step of one of them, and each has its share."""
    turn = 0
    steps: list[tuple[int, int]] = []
    turns = Turns()

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def work(number: int) -> None:
        await turns.give()
        for _ in range(10):
            steps.append((turn, number))
            await turns.give()

    counting_turns = asyncio.create_task(count_turns())
    await asyncio.gather(*(work(number) for number in range(4)))
    counting_turns.cancel()
    assert len({turn for turn, _ in steps}) == len(steps) == 40
    assert [number for _, number in steps] == [0, 1, 2, 3] * 10


@pytest.mark.parametrize("seed", range(50))
async def test_who_leaves_stops_nobody(seed: int) -> None:
    """Works that are cancelled while they wait, or when it is their turn, leave the others theirs."""
    dice = random.Random(seed)
    turns = Turns()
    tasks = [asyncio.create_task(in_steps(counting(dice.randint(0, 20), []), turns)) for _ in range(8)]
    for _ in range(dice.randint(1, 60)):
        await asyncio.sleep(0)
        if dice.random() < 0.1:
            dice.choice(tasks).cancel()
        if dice.random() < 0.1:
            turns.urgent_begins()
            await asyncio.sleep(0)
            turns.urgent_ends()
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns.give()
        await turns.give()


async def test_who_is_closed_stops_nobody() -> None:
    """A work whose coroutine is closed while it waits is passed over."""
    turns = Turns()
    first, second = turns.give(), turns.give()
    first.send(None)
    second.send(None)
    second.close()
    with pytest.raises(StopIteration):
        first.send(None)
    async with asyncio.timeout(30):
        await turns.give()
