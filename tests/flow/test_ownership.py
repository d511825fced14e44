"""Ownership: what a caller leaves behind is finished by its owner and accounted for."""

import asyncio

import pytest

from devino_async.flow.ownership import Owner, hand_over


async def answer_after(go: asyncio.Event) -> int:
    await go.wait()
    return 7


async def test_what_is_handed_over() -> None:
    """A task goes on when nobody waits for it, and its result is handed over when it is there, or at once."""
    owner, go, unclaimed = Owner(), asyncio.Event(), list[int]()
    task = owner.start(answer_after(go))
    hand_over(task, unclaimed.append)
    await asyncio.sleep(0)
    assert (len(owner), unclaimed) == (1, [])
    go.set()
    assert await owner.drain(grace=10.0) == 0
    hand_over(task, unclaimed.append)
    await asyncio.sleep(0)
    assert (len(owner), unclaimed) == (0, [7, 7])


async def test_work_that_nobody_misses() -> None:
    """A look-up is cancelled with its caller."""
    owner = Owner()
    caller = asyncio.create_task(owner.run(answer_after(asyncio.Event())))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.sleep(0)
    assert len(owner) == 0


async def test_draining() -> None:
    """After its grace, draining cancels what is left and says how much that was; an idle owner drains at once."""
    owner = Owner()
    assert await owner.drain(grace=10.0) == 0
    stuck = owner.start(answer_after(asyncio.Event()))
    assert await owner.drain(grace=0.0) == 1
    assert stuck.cancelled()


async def test_results_that_are_no_results() -> None:
    """A task that failed or was cancelled hands nothing over."""

    async def failing() -> int:
        raise ValueError

    unclaimed: list[int] = []
    owner = Owner()
    for task in (owner.start(failing()), owner.start(answer_after(asyncio.Event()))):
        hand_over(task, unclaimed.append)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    await asyncio.sleep(0)
    assert unclaimed == []
