"""The pipeline: order kept under any concurrency, a bounded window, and every item accounted for."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.chunking import Chunk, Chunks
from devino_async.flow.pipeline import Pipeline


class Bench:
    """A pipeline over numbers whose chunks finish when, and in the order, the test says."""

    def __init__(self, values: Any, *, window: int, size: int = 2) -> None:
        self.begun: list[Chunk[int]] = []
        self.running = 0
        self.most = 0
        self.gates: dict[int, asyncio.Future[None]] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.read: list[int] = []
        self.pipeline: Pipeline[int, list[int]] = Pipeline(
            Chunks(self.noting(values), encode=partial(map, str), max_count=size, max_bytes=10**6),
            self.work,
            window=window,
            start=self.start,
        )

    def noting(self, values: Any) -> Iterator[int]:
        for value in values:
            self.read.append(value)
            yield value

    def start(self, work: Coroutine[Any, Any, list[int]]) -> "asyncio.Task[list[int]]":
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def work(self, chunk: Chunk[int]) -> list[int]:
        number = len(self.begun)
        self.begun.append(chunk)
        self.running += 1
        self.most = max(self.most, self.running)
        self.gates[number] = asyncio.get_running_loop().create_future()
        try:
            await self.gates[number]
        finally:
            self.running -= 1
        return chunk.items

    def open_gates(self) -> list[int]:
        return [number for number, gate in self.gates.items() if not gate.done()]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 5), st.data())
def test_order_and_window(count: int, window: int, size: int, data: st.DataObject) -> None:
    """Whatever chunk finishes first, results come in input order; never are more begun than the window allows."""

    async def scenario() -> None:
        bench = Bench(range(count), window=window, size=size)
        got: list[int] = []

        async def consume() -> None:
            async with aclosing(bench.pipeline.results()) as results:
                async for items in results:
                    got.extend(items)

        consumer = asyncio.create_task(consume())
        await bench.settle()
        while not consumer.done():
            waiting = bench.open_gates()
            assert waiting
            assert len(bench.begun) * size - len(got) <= (window + 1) * size
            bench.gates[data.draw(st.sampled_from(waiting))].set_result(None)
            await bench.settle()
        await consumer
        assert got == list(range(count))
        assert bench.most <= window
        assert bench.pipeline.take_left_items() == []
        assert bench.pipeline.left_tasks == []

    asyncio.run(scenario())


async def test_backpressure() -> None:
    """A slow consumer stops the reading: no more is read than the window and the next chunk."""
    bench = Bench(range(10_000), window=3, size=2)
    async with aclosing(bench.pipeline.results()) as results:
        first = asyncio.ensure_future(anext(results))
        await bench.settle()
        assert len(bench.begun) == 3
        assert len(bench.read) <= 3 * 2 + 2
        bench.gates[0].set_result(None)
        assert await first == [0, 1]
    for task in bench.tasks[1:]:
        task.cancel()
    await asyncio.gather(*bench.tasks, return_exceptions=True)


async def test_one_failure_cancels_no_sibling() -> None:
    """A chunk whose work fails raises in its turn; what was begun beside it is finished by its owner."""
    bench = Bench(range(6), window=3, size=2)
    got: list[int] = []
    with pytest.raises(ZeroDivisionError):
        async with aclosing(bench.pipeline.results()) as results:
            following = asyncio.ensure_future(anext(results))
            await bench.settle()
            bench.gates[1].set_exception(ZeroDivisionError())
            bench.gates[0].set_result(None)
            got += await following
            async for items in results:
                got += items
    await bench.settle()
    assert got == [0, 1]
    [left] = [task for task in bench.pipeline.left_tasks if not task.done()]
    assert not left.cancelled()
    bench.gates[2].set_result(None)
    assert await left == [4, 5]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 4), st.integers(0, 6))
def test_stop_accounts_for_everything(count: int, window: int, size: int, taken: int) -> None:
    """After stop(), what was begun is still given, and what was read and not begun is left: nothing vanishes."""

    async def scenario() -> None:
        bench = Bench(range(count), window=window, size=size)
        got: list[int] = []
        number = 0
        async with aclosing(bench.pipeline.results()) as results:
            while True:
                following = asyncio.ensure_future(anext(results, None))
                await bench.settle()
                if number == taken:
                    bench.pipeline.stop()
                if bench.open_gates():
                    bench.gates[bench.open_gates()[0]].set_result(None)
                items = await following
                if items is None:
                    break
                number += 1
                got += items
        assert got + bench.pipeline.take_left_items() == bench.read
        assert bench.pipeline.left_tasks == []
        assert len(bench.begun) <= taken + window + 1

    asyncio.run(scenario())


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_leaving_early_accounts_for_everything(count: int, window: int, size: int, taken: int) -> None:
    """A consumer that leaves gets told what was begun (left_tasks) and what was only read (left items)."""

    async def scenario() -> None:
        bench = Bench(range(count), window=window, size=size)
        got: list[int] = []
        async with aclosing(bench.pipeline.results()) as results:
            for _ in range(taken):
                following = asyncio.ensure_future(anext(results, None))
                await bench.settle()
                if bench.open_gates():
                    bench.gates[bench.open_gates()[0]].set_result(None)
                got += await following or []
        await bench.settle()
        for gate in bench.open_gates():
            bench.gates[gate].set_result(None)
        for task in bench.pipeline.left_tasks:
            got += await task
        assert got + bench.pipeline.take_left_items() == bench.read

    asyncio.run(scenario())


async def test_cancelled_while_it_waits() -> None:
    """A consumer cancelled while it waits leaves the chunk that it waited for among the tasks, unharmed."""
    bench = Bench(range(4), window=2, size=2)

    async def consume() -> None:
        async with aclosing(bench.pipeline.results()) as results:
            async for _ in results:
                pass

    consumer = asyncio.create_task(consume())
    await bench.settle()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    for gate in bench.open_gates():
        bench.gates[gate].set_result(None)
    assert [await task for task in bench.pipeline.left_tasks] == [[0, 1], [2, 3]]


async def test_failing_source() -> None:
    """An error of the source is raised after everything that was read before it was given."""

    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("no such line")

    bench = Bench(broken(), window=2, size=2)
    got: list[int] = []

    async def consume() -> None:
        async with aclosing(bench.pipeline.results()) as results:
            async for items in results:
                got.extend(items)

    consumer = asyncio.create_task(consume())
    await bench.settle()
    while bench.open_gates():
        bench.gates[bench.open_gates()[0]].set_result(None)
        await bench.settle()
    with pytest.raises(OSError, match="no such line"):
        await consumer
    assert got == [0, 1, 2, 3, 4]


async def test_reader_ends_with_the_consumer() -> None:
    """No task of the pipeline's own outlives its results."""
    bench = Bench(range(100), window=2, size=2)
    async with aclosing(bench.pipeline.results()) as results:
        following = asyncio.ensure_future(anext(results))
        await bench.settle()
        bench.gates[0].set_result(None)
        await following
    await bench.settle()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "devino-reader" and not task.done()]
    for task in bench.tasks:
        task.cancel()
    await asyncio.gather(*bench.tasks, return_exceptions=True)
