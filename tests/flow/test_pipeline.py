"""The pipeline: order kept under any concurrency, a bounded number in flight, and every item accounted for."""

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.chunking import Chunk, Chunks
from devino_async.flow.pipeline import Pipeline


class Bench:
    """A pipeline over numbers whose chunks finish when, and in the order, the test says."""

    def __init__(self, values: Any, *, in_flight: int, size: int = 2, **options: Any) -> None:
        self.begun: list[Chunk[int]] = []
        self.running = 0
        self.max_running = 0
        self.gates: dict[int, asyncio.Future[None]] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.read: list[int] = []
        self.pipeline: Pipeline[int, list[int]] = Pipeline(
            Chunks(self.noting(values), encode=partial(map, str), max_count=size, max_bytes=10**6),
            self.work,
            in_flight=in_flight,
            start=self.start,
            **options,
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
        self.max_running = max(self.max_running, self.running)
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
def test_order_and_number_in_flight(count: int, in_flight: int, size: int, data: st.DataObject) -> None:
    """Whatever chunk finishes first, results come in input order, and no more are begun than may be in flight."""

    async def scenario() -> None:
        bench = Bench(range(count), in_flight=in_flight, size=size)
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
            assert len(bench.begun) * size - len(got) <= (in_flight + 1) * size
            bench.gates[data.draw(st.sampled_from(waiting))].set_result(None)
            await bench.settle()
        await consumer
        assert got == list(range(count))
        assert bench.max_running <= in_flight
        assert bench.pipeline.take_left_items() == []
        assert bench.pipeline.left_tasks == []

    asyncio.run(scenario())


async def test_backpressure() -> None:
    """A slow consumer stops the reading: no more is read than what is in flight and the next chunk."""
    bench = Bench(range(10_000), in_flight=3, size=2)
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
    """A chunk whose work fails raises in its turn. What was begun beside it is finished by its owner."""
    bench = Bench(range(6), in_flight=3, size=2)
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
def test_stop_accounts_for_everything(count: int, in_flight: int, size: int, taken: int) -> None:
    """After stop(), what was begun is still given, and what was read and not begun is left: nothing vanishes."""

    async def scenario() -> None:
        bench = Bench(range(count), in_flight=in_flight, size=size)
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
        assert len(bench.begun) <= taken + in_flight + 1

    asyncio.run(scenario())


async def test_a_result_ends_the_reading() -> None:
    """A result for which `stop_after` is true ends the reading at once, before it is given. What was begun is given."""
    bench = Bench(range(100), in_flight=3, size=2, stop_after=lambda items: 2 in items)
    async with aclosing(bench.pipeline.results()) as results:
        first = asyncio.ensure_future(anext(results))
        await bench.settle()
        bench.gates[1].set_result(None)
        await bench.settle()
        for number in (0, 2):
            bench.gates[number].set_result(None)
        assert [await first, *[items async for items in results]] == [[0, 1], [2, 3], [4, 5]]
    assert len(bench.begun) == 3
    assert list(range(6)) + bench.pipeline.take_left_items() == bench.read


@pytest.mark.parametrize("fails", [False, True], ids=["left while work is in flight", "the source fails"])
async def test_the_input_is_let_go(fails: bool) -> None:
    """When the results end early, the input is freed at once, without a garbage collection: it may be an open file."""
    freed = []

    def source() -> Iterator[int]:
        try:
            yield from range(2)
            if fails:
                raise OSError("no such line")
            yield from range(1_000)
        finally:
            freed.append(True)

    bench = Bench(source(), in_flight=3, size=1)

    async def consume() -> None:
        async with aclosing(bench.pipeline.results()) as results:
            following = asyncio.ensure_future(anext(results))
            await bench.settle()
            bench.gates[0].set_result(None)
            await following
            bench.gates[1].set_result(None)
            while fails:
                await anext(results)

    gc.collect()
    gc.disable()
    try:
        with suppress(OSError):
            await consume()
        del bench.pipeline
        await bench.settle()
        assert freed
        assert all(task.done() for task in bench.tasks) == fails
    finally:
        gc.enable()
        for gate in bench.open_gates():
            bench.gates[gate].set_result(None)
        await asyncio.gather(*bench.tasks)


async def test_late_items_are_told() -> None:
    """What an async source gives after it was cancelled is not begun, and goes to `on_late`."""
    late: list[int] = []

    async def source() -> AsyncIterator[int]:
        yield 1
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield 2
        yield 3

    async def work(chunk: Chunk[int]) -> Any:
        return chunk.items

    pipeline: Pipeline[int, Any] = Pipeline(
        Chunks(source(), encode=partial(map, str), max_count=1, max_bytes=10**6),
        work,
        in_flight=2,
        start=asyncio.create_task,
        on_late=late.extend,
    )
    async with aclosing(pipeline.results()) as results:
        assert await anext(results) == [1]
    assert pipeline.take_left_items() == []
    for _ in range(10):
        await asyncio.sleep(0)
    assert late == [2]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_leaving_early_accounts_for_everything(count: int, in_flight: int, size: int, taken: int) -> None:
    """A consumer that leaves gets told what was begun (left_tasks) and what was only read (left items)."""

    async def scenario() -> None:
        bench = Bench(range(count), in_flight=in_flight, size=size)
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
    bench = Bench(range(4), in_flight=2, size=2)

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

    bench = Bench(broken(), in_flight=2, size=2)
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
    bench = Bench(range(100), in_flight=2, size=2)
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
