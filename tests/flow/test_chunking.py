"""Chunking: joined again, the chunks are the input. None is over its bounds, and nothing that was read gets lost."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.chunking import Chunk, Chunks
from devino_async.flow.steps import Pacing, Turns

KINDS = ["list", "iterator", "async"]

items = st.lists(st.integers(1, 40), max_size=60) | st.integers(0, 1_200).map(lambda count: [1] * count)
counts = st.integers(1, 8) | st.integers(200, 600)
limits = st.integers(1, 120) | st.integers(200, 3_000)


def encoded(sizes: Iterable[int]) -> Iterator[str]:
    return ("x" * size for size in sizes)


def source(values: list[Any], kind: str, read: list[Any] | None = None) -> Iterable[Any] | AsyncIterable[Any]:
    """The values as a list, an iterator or an async iterator ("ready" never waits). `read` notes what was read."""

    def sync() -> Iterator[Any]:
        for value in values:
            if isinstance(value, Exception):
                raise value
            if read is not None:
                read.append(value)
            yield value

    async def asynchronous() -> AsyncIterator[Any]:
        for value in sync():
            if kind != "ready":
                await asyncio.sleep(0)
            yield value

    if kind in {"async", "ready"}:
        return asynchronous()
    return values if kind == "list" and read is None else sync()


def chunked(values: list[Any], kind: str, count: int, size: int) -> list[Chunk[Any]]:
    async def all_of_them() -> list[Chunk[Any]]:
        return [each async for each in Chunks(source(values, kind), encode=encoded, max_count=count, max_bytes=size)]

    return asyncio.run(all_of_them())


@given(items, st.sampled_from(KINDS), counts, limits)
def test_joined_they_are_the_input(values: list[int], kind: str, count: int, size: int) -> None:
    """For any sizes, bounds and source: every item once and in order, and the slices hold exactly their bytes."""
    chunks = chunked(values, kind, count, size)
    assert [item for chunk in chunks for item in chunk.items] == values
    for chunk in chunks:
        assert b",".join(chunk.slices) == ",".join(encoded(chunk.items)).encode()


@given(items, st.sampled_from(KINDS), counts, limits)
def test_bounds(values: list[int], kind: str, count: int, size: int) -> None:
    """No chunk is over count or bytes, but for an item that is too large alone, which travels alone. None is empty."""
    for chunk in chunked(values, kind, count, size):
        assert 1 <= len(chunk.items) <= count
        assert len(b",".join(chunk.slices)) <= size or len(chunk.items) == 1


@given(items, counts, limits)
def test_chunks_are_full(values: list[int], count: int, size: int) -> None:
    """No chunk ends before its bounds make it: the next item would not have fitted."""
    chunks = chunked(values, "list", count, size)
    for chunk, following in pairwise(chunks):
        taken = sum(chunk.items) + len(chunk.items)
        assert len(chunk.items) == count or taken + following.items[0] + 1 > size


@given(items, st.sampled_from(KINDS), counts, limits)
def test_positions(values: list[int], kind: str, count: int, size: int) -> None:
    """A chunk knows the place of its first item in the input: as many items as the chunks before it hold."""
    chunks = chunked(values, kind, count, size)
    lengths = [len(chunk.items) for chunk in chunks]
    assert [chunk.position for chunk in chunks] == list(itertools.accumulate(lengths, initial=0))[:-1]


@given(items, counts, limits)
def test_every_source_is_cut_alike(values: list[int], count: int, size: int) -> None:
    """A list, an iterator and an async iterator of the same items give the same chunks."""
    lists, iterators, asyncs = (chunked(values, kind, count, size) for kind in KINDS)
    assert lists == iterators
    assert [chunk.items for chunk in lists] == [chunk.items for chunk in asyncs]


@given(items, items, st.sampled_from(["iterator", "async"]), counts, limits)
async def test_failing_source(before: list[int], after: list[int], kind: str, count: int, size: int) -> None:
    """What was read before the source failed still comes, then its own error. Nothing after it is read."""
    error = RuntimeError("the file ends in the middle")
    chunks = Chunks(source([*before, error, *after], kind), encode=encoded, max_count=count, max_bytes=size)
    got: list[int] = []
    with pytest.raises(RuntimeError) as raised:
        async for chunk in chunks:
            got += chunk.items
    assert got == before
    assert raised.value is error


@given(items, items, st.sampled_from(KINDS), counts, limits)
async def test_item_that_cannot_be_encoded(
    before: list[int], after: list[int], kind: str, count: int, size: int
) -> None:
    """A bad item costs no item before it, and none after it is read."""

    def encode(values: Iterable[int]) -> Iterator[str]:
        for value in values:
            if value < 0:
                raise ValueError("negative")
            yield "x" * value

    read: list[int] = []
    chunks = Chunks(source([*before, -1, *after], kind, read), encode=encode, max_count=count, max_bytes=size)
    got: list[int] = []
    with pytest.raises(ValueError, match="negative"):
        async for chunk in chunks:
            got += chunk.items
    assert got == before
    assert read == [*before, -1]


@pytest.mark.parametrize("kind", ["iterator", "async"])
async def test_lazy(kind: str) -> None:
    """An endless source is read no further than the chunk that is asked for needs."""
    read: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            read.append(1)
            yield 1

    async def endless_async() -> AsyncIterator[int]:
        for value in endless():
            yield value

    chunks = aiter(
        Chunks(endless() if kind == "iterator" else endless_async(), encode=encoded, max_count=300, max_bytes=10**6)
    )
    assert read == []
    for number in range(1, 4):
        assert len((await anext(chunks)).items) == 300
        assert 300 * number <= len(read) <= 300 * number + 256


@given(items, st.sampled_from(["iterator", "async"]), counts, st.integers(0, 3))
async def test_left_items_by_count(values: list[int], kind: str, count: int, taken: int) -> None:
    """A caller that stops in the middle gets what was read and is in no chunk, once: no item vanishes."""
    read: list[int] = []
    chunks = Chunks(source(values, kind, read), encode=encoded, max_count=count, max_bytes=10**9)
    reading = aiter(chunks)
    got: list[int] = []
    for _ in range(taken):
        chunk = await anext(reading, None)
        got += [] if chunk is None else chunk.items
    assert got + chunks.take_left() == read
    assert chunks.take_left() == []


@pytest.mark.parametrize("kind", ["iterator", "async"])
async def test_left_items_by_bytes(kind: str) -> None:
    """The same where bytes close the chunk: items that were read with it are left, not lost, or they get no receipt."""
    read: list[int] = []
    chunks = Chunks(source([10] * 9, kind, read), encode=encoded, max_count=100, max_bytes=35)
    first = await anext(aiter(chunks))
    assert first.items == [10, 10, 10]
    assert first.items + chunks.take_left() == read


async def test_left_items_of_a_cancelled_reader() -> None:
    """A reader cancelled while its source waits leaves what it had read."""

    async def stuck() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    chunks = Chunks(stuck(), encode=encoded, max_count=10, max_bytes=100)
    reader = asyncio.ensure_future(anext(aiter(chunks)))
    for _ in range(10):
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert chunks.take_left() == [1, 2]


async def test_a_source_that_bears_being_cancelled() -> None:
    """After `stop`, a source that catches its cancellation and goes on is read for one item more, and that is given."""

    async def stubborn() -> AsyncIterator[int]:
        for number in range(10):
            if number == 2:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            yield number

    chunks = Chunks(stubborn(), encode=encoded, max_count=100, max_bytes=10**6)
    reader = asyncio.ensure_future(anext(aiter(chunks)))
    for _ in range(10):
        await asyncio.sleep(0)
    chunks.stop()
    reader.cancel()
    assert (await reader).items == [0, 1, 2]
    assert chunks.take_left() == []


@pytest.mark.parametrize(("kind", "items_a_turn"), [("list", 64), ("ready", 1)])
async def test_loop_gets_turns(kind: str, items_a_turn: int) -> None:
    """A long source does not block the event loop, even if it never waits: others get a turn after each short step."""
    turns = 0
    done = False
    # Every look at the clock finds a millisecond gone, so a pause is due at each.
    milliseconds = itertools.count()

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    pacing = Pacing(Turns(), clock=lambda: next(milliseconds) / 1_000)
    chunks = Chunks(source([1] * 8_000, kind), encode=encoded, max_count=32_000, max_bytes=10**9, pacing=pacing)
    async for _ in chunks:
        pass
    done = True
    await task
    assert turns >= 8_000 // items_a_turn


@pytest.mark.parametrize("kind", ["iterator", "async"])
async def test_items_have_one_holder(kind: str) -> None:
    """What keeps a chunk's items gets them in runs, and only the list of a run refers to them: Packed counts that."""
    runs: list[list[int]] = []

    class Item:
        pass

    class Counting(list[Item]):
        def extend(self, items: Iterable[Item]) -> None:
            runs.append(list(map(sys.getrefcount, items)))
            super().extend(items)

    def made() -> Iterator[Item]:
        return (Item() for _ in range(640))

    async def made_async() -> AsyncIterator[Item]:
        for _ in range(640):
            yield Item()

    chunks = Chunks[Item](
        made() if kind == "iterator" else made_async(),
        encode=lambda items: ("x" for _ in items),
        hold=Counting,
        max_count=600,
        max_bytes=10**6,
    )
    assert [len(chunk.items) async for chunk in chunks] == [600, 40]
    assert max(map(len, runs)) <= 64
    assert len(runs) <= 12
    [alone] = map(sys.getrefcount, [Item()])
    assert {count for run in runs for count in run} == {alone}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("due", [False, True])
async def test_pauses(kind: str, due: bool) -> None:
    """It pauses before each chunk, and within one if that is due. What was read before a pause that raises comes."""
    read: list[int] = []
    read_at_pauses: list[int] = []
    seconds = itertools.count(step=1 if due else 0)

    async def ready() -> None:
        read_at_pauses.append(len(read))
        if len(read) > 250:
            raise ZeroDivisionError

    pacing = Pacing(Turns(), ready=ready, clock=lambda: next(seconds))
    chunks = Chunks(source(list(range(400)), kind, read), encode=encoded, max_count=100, max_bytes=10**6, pacing=pacing)
    got: list[int] = []
    with pytest.raises(ZeroDivisionError):
        async for chunk in chunks:
            got += chunk.items
    assert {0, 100, 200} <= set(read_at_pauses)
    assert got == read
    assert (len(read) < 300) is due
    assert due or read_at_pauses == [0, 100, 200, 300]


def test_chunks_are_quiet() -> None:
    """A chunk of thirty thousand items shows how many it has, not what they are."""
    assert repr(Chunk(["sesame"] * 30_000)) == "Chunk(<30000 items>)"
