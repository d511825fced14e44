"""Buffer: what goes in comes out once and in order, within its bounds, and nobody waits for room that is there."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.buffer import Buffer, Entry, Full

Ints = Buffer[int, str]


def buffer(**options: Any) -> Ints:
    bounds = {"most": 100, "most_bytes": 10_000, "batch_count": 10, "batch_bytes": 1_000}
    return Buffer(**{**bounds, **options})


def entry(number: int, size: int = 1, group: Any = "g") -> Entry[int, str]:
    return Entry(number, b"x" * size, size, group, asyncio.get_running_loop().create_future())


def add(into: Ints, *entries: Entry[int, str], now: float = 0.0) -> None:
    for each in entries:
        assert into.enter(each.size)
        into.add(each, now)


async def test_first_in_first_out() -> None:
    """Batches are taken in the order of arrival, the group with the oldest item first, groups never mixed."""
    made = buffer(batch_count=3)
    add(made, *(entry(number, group="ab"[number % 3 == 2]) for number in range(8)))
    taken = []
    while batch := made.take(0.0):
        taken.append([each.item for each in batch])
    assert taken == [[0, 1, 3], [2, 5], [4, 6, 7]]
    assert made.due() is None


@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from("ab"), st.booleans()), max_size=60),
    st.integers(1, 8),
    st.integers(1, 120),
)
async def test_batches_have_bounds(items: list[tuple[int, str, bool]], count: int, size: int) -> None:
    """Whatever goes in, some of it taken back: no batch is over count or bytes, but for an item that is alone."""
    made = buffer(batch_count=count, batch_bytes=size)
    entries = [entry(number, size, group) for number, (size, group, _) in enumerate(items)]
    add(made, *entries)
    for each, (_, _, stays) in zip(entries, items, strict=True):
        assert stays or made.discard(each)
    out: dict[str, list[int]] = {"a": [], "b": []}
    while batch := made.take(0.0):
        assert len(batch) <= count
        assert sum(each.size for each in batch) <= size or len(batch) == 1
        [group] = {each.group for each in batch}
        out[group] += [each.item for each in batch]
    for group, got in out.items():
        assert got == [number for number, (_, of, stays) in enumerate(items) if of == group and stays]
    assert len(made) == 0
    assert all(not made.discard(each) for each in entries)


async def test_linger() -> None:
    """An item waits so long for others; less if a batch is full or it is flushed, which hurries nothing later."""
    made = buffer(linger=5.0, batch_count=3)
    add(made, entry(0), now=10.0)
    add(made, entry(1), now=12.0)
    assert made.due() == 15.0
    assert made.take(14.9) == []
    assert [each.item for each in made.take(15.0)] == [0, 1]
    add(made, entry(2), entry(3), entry(4), now=20.0)
    assert made.due() == 0.0, "a full batch waits for nothing"
    assert len(made.take(20.0)) == 3
    add(made, entry(5), now=30.0)
    made.flush()
    add(made, entry(6, group="other"), now=30.0)
    assert [each.item for each in made.take(30.0)] == [5]
    assert made.due() == 35.0


async def test_bounds_and_waiting() -> None:
    """Beyond its bounds whoever brings an item waits, first come first served, until there is room."""
    made = buffer(most=2, most_bytes=10)
    first, second = entry(0, 4), entry(1, 4)
    add(made, first, second)
    with pytest.raises(Full):
        await made.make_room(1, wait=False)
    order: list[int] = []

    async def bring(number: int, size: int) -> None:
        await made.make_room(size)
        order.append(number)
        made.add(entry(number, size), 0.0)

    tasks = [asyncio.create_task(bring(number, size)) for number, size in ((2, 7), (3, 1), (4, 1))]
    await asyncio.sleep(0)
    assert not made.enter(1), "whoever comes later overtakes nobody"
    assert made.discard(first)
    await asyncio.sleep(0)
    assert order == [], "7 bytes have no room, and the small one behind does not overtake"
    assert not made.enter(1), "nor does whoever comes now"
    assert made.discard(second)
    await asyncio.sleep(0)
    assert order == [2, 3]
    assert len(made.take(0.0)) == 2
    await asyncio.gather(*tasks)
    assert order == [2, 3, 4]


async def test_an_item_that_is_too_large_comes_in_alone() -> None:
    """An item larger than all the room is taken when nothing else is there, instead of never."""
    made = buffer(most_bytes=10)
    assert made.enter(50)
    assert not made.enter(1)
    made.leave_room(50)
    assert made.enter(1)


async def test_turning_away() -> None:
    """Whoever waits for room when nobody is let in any more hears it at once."""
    made = buffer(most=1)
    assert made.enter(1)
    task = asyncio.create_task(made.make_room(1))
    await asyncio.sleep(0)
    made.turn_away()
    with pytest.raises(Full):
        await task


@given(
    st.lists(
        st.tuples(st.sampled_from(["bring", "cancel", "take", "turn", "discard"]), st.integers(0, 50)), max_size=60
    )
)
async def test_no_room_is_ever_lost(actions: list[tuple[str, int]]) -> None:
    """Bring, cancel, take and discard in any order: at the end the buffer is empty and has all its room again."""
    made = buffer(most=4, most_bytes=40, batch_count=3)
    tasks: list[asyncio.Task[None]] = []
    inside: list[Entry[int, str]] = []

    async def bring(size: int) -> None:
        await made.make_room(size)
        each = entry(0, size)
        inside.append(each)
        made.add(each, 0.0)

    for action, number in actions:
        if action == "bring":
            tasks.append(asyncio.create_task(bring(number + 1)))
        elif action == "cancel" and tasks:
            tasks[number % len(tasks)].cancel()
        elif action == "take":
            made.take(0.0)
        elif action == "discard" and inside:
            made.discard(inside[number % len(inside)])
        else:
            await asyncio.sleep(0)
        assert len(made) <= 4
    while not all(task.done() for task in tasks):
        made.take(0.0)
        await asyncio.sleep(0)
    made.take_all()
    assert len(made) == 0
    for _ in range(4):
        assert made.enter(10), "all the room is there again"
    assert not made.enter(1)


async def test_it_is_quiet() -> None:
    """Its repr tells how many items wait, not what they are."""
    made = buffer()
    add(made, entry(79000000001))
    assert repr(made) == "Buffer(<1 items>)"
