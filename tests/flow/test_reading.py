"""Reading in runs: raw items become items a run at a time, and chunking them is like chunking the items."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.chunking import Chunk, Chunks
from devino_async.flow.reading import InRuns
from devino_async.flow.steps import Pacing, Turns

KINDS = ["list", "iterator", "async"]
items = st.lists(st.integers(1, 40), max_size=60) | st.integers(0, 1_200).map(lambda count: [1] * count)
counts = st.integers(1, 8) | st.integers(200, 600)
limits = st.integers(1, 120) | st.integers(200, 3_000)


@frozen
class Sizes:
    """A run of items, each of which is encoded as so many letters. Raw items are one less."""

    items: list[int]

    @property
    def joined(self) -> bytes:
        return b",".join(self.each())

    def each(self) -> Iterable[bytes]:
        return [b"x" * size for size in self.items]


def make(raw: list[int]) -> tuple[Sizes, Exception | None]:
    """A raw item below 0 cannot be used."""
    bad = next((at for at, each in enumerate(raw) if each < 0), None)
    return Sizes([each + 1 for each in raw[:bad]]), None if bad is None else ValueError("negative")


def source(values: list[Any], kind: str, read: list[Any] | None = None) -> Any:
    def sync() -> Iterator[Any]:
        for value in values:
            if isinstance(value, BaseException):
                raise value
            if read is not None:
                read.append(value)
            yield value

    async def asynchronous() -> AsyncIterator[Any]:
        for value in sync():
            await asyncio.sleep(0)
            yield value

    if kind == "async":
        return asynchronous()
    return values if kind == "list" and read is None else sync()


async def read_all(chunks: Chunks[int], got: list[Chunk[int]]) -> None:
    async for chunk in chunks:
        got.append(chunk)  # noqa: PERF401 - what came before an error counts


@given(items, st.sampled_from(KINDS), counts, limits)
async def test_cut_like_items(values: list[int], kind: str, count: int, size: int) -> None:
    """For any source and bounds, raw items are cut into the same chunks as items that are encoded one by one."""
    one_by_one: list[Chunk[int]] = []
    in_runs: list[Chunk[int]] = []
    encode = lambda values: ("x" * size for size in values)  # noqa: E731
    await read_all(Chunks(values, encode=encode, max_count=count, max_bytes=size), one_by_one)
    raw = source([value - 1 for value in values], kind)
    await read_all(Chunks(raw, encode=InRuns(make), max_count=count, max_bytes=size), in_runs)
    assert [(each.items, each.position) for each in in_runs] == [(each.items, each.position) for each in one_by_one]
    assert [b",".join(each.slices) for each in in_runs] == [b",".join(each.slices) for each in one_by_one]


@given(items, items, st.sampled_from(KINDS), counts, limits)
async def test_item_that_cannot_be_used(before: list[int], after: list[int], kind: str, count: int, size: int) -> None:
    """What stands before a bad item still comes, then the error. Nothing behind it comes, and little of it is read."""
    read: list[int] = []
    raw = source([value - 1 for value in before] + [-1] + after, kind, read)
    got: list[Chunk[int]] = []
    with pytest.raises(ValueError, match="negative"):
        await read_all(Chunks(raw, encode=InRuns(make), max_count=count, max_bytes=size), got)
    assert [item for chunk in got for item in chunk.items] == before
    assert len(read) <= len(before) + 64


@given(items, st.booleans(), st.sampled_from(["iterator", "async"]), counts)
async def test_failing_source(values: list[int], bad: bool, kind: str, count: int) -> None:
    """If a source fails, what was read before comes first. An item before that which cannot be used is told instead."""
    raw = [value - 1 for value in values] + ([-1] if bad else []) + [RuntimeError("the file ends in the middle")]
    got: list[Chunk[int]] = []
    with pytest.raises(ValueError if bad else RuntimeError):
        await read_all(Chunks(source(raw, kind), encode=InRuns(make), max_count=count, max_bytes=10**6), got)
    assert [item for chunk in got for item in chunk.items] == values


@given(items, st.sampled_from(["iterator", "async"]), counts, limits, st.integers(0, 3))
async def test_left_items(values: list[int], kind: str, count: int, size: int, taken: int) -> None:
    """A caller that stops in the middle gets what was read and is in no chunk, once: no item vanishes."""
    read: list[int] = []
    raw = source([value - 1 for value in values], kind, read)
    chunks = Chunks(raw, encode=InRuns(make), max_count=count, max_bytes=size)
    reading = aiter(chunks)
    got: list[int] = []
    for _ in range(taken):
        chunk = await anext(reading, None)
        got += [] if chunk is None else chunk.items
    assert got + chunks.take_left() == [value + 1 for value in read]
    assert chunks.take_left() == []


async def test_left_items_of_a_cancelled_reader() -> None:
    """A reader cancelled while its source waits leaves what it had read, made into items."""

    async def stuck() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    chunks = Chunks[int](
        stuck(), encode=InRuns(make), max_count=10, max_bytes=100, pacing=Pacing(Turns(), clock=lambda: 0)
    )
    reader = asyncio.ensure_future(anext(aiter(chunks)))
    for _ in range(10):
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert chunks.take_left() == [2, 3]


async def test_a_source_that_bears_being_cancelled() -> None:
    """After `stop`, a source that catches its cancellation and goes on is read for one item more, and that is given."""

    async def stubborn() -> AsyncIterator[int]:
        for number in range(10):
            if number == 2:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            yield number

    chunks = Chunks[int](stubborn(), encode=InRuns(make), max_count=100, max_bytes=10**6)
    reader = asyncio.ensure_future(anext(aiter(chunks)))
    for _ in range(10):
        await asyncio.sleep(0)
    chunks.stop()
    reader.cancel()
    assert (await reader).items == [1, 2, 3]
    assert chunks.take_left() == []


async def test_a_slow_source_is_checked_at_once() -> None:
    """If items come slowly, each is made as it comes: a bad one ends the reading without waiting for a whole run."""
    read: list[int] = []
    milliseconds = itertools.count()
    pacing = Pacing(Turns(), clock=lambda: next(milliseconds) / 1_000)
    raw = source([1, 2, -1, 3, 4], "async", read)
    got: list[Chunk[int]] = []
    with pytest.raises(ValueError, match="negative"):
        await read_all(Chunks(raw, encode=InRuns(make), max_count=100, max_bytes=10**6, pacing=pacing), got)
    assert read == [1, 2, -1]
    assert [chunk.items for chunk in got] == [[2, 3]]
