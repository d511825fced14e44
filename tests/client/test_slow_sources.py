"""Slow sources in virtual time: what a stream reads, and how long it waits, while the service is in trouble."""

import asyncio
import time
from collections.abc import AsyncIterator

import virtual_time
from storm_lab import OPTIONS, Lab, between, messages, refused, reset

from devino_async import Accepted, DeadlineExceeded, Message, NotSent, Receipt, RetryPolicy, Unconfirmed


class Slow:
    """Gives a message every so many seconds, and notes when each was read."""

    def __init__(self, pauses: list[float]) -> None:
        self.pauses = pauses
        self.read_at: list[float] = []

    async def __aiter__(self) -> AsyncIterator[Message]:
        for message, pause in zip(messages(len(self.pauses)), self.pauses, strict=True):
            await asyncio.sleep(pause)
            # The pacing goes by a clock that is not virtual. So much time has passed there too.
            began = time.perf_counter()
            while time.perf_counter() - began < 0.001:
                pass
            self.read_at.append(virtual_time.now())
            yield message


async def receipts_of(lab: Lab, source: Slow, batch_size: int) -> tuple[list[Receipt], DeadlineExceeded | None]:
    got: list[Receipt] = []
    try:
        async for receipt in lab.dispatch.stream(source, batch_size, OPTIONS):
            got += [receipt]
    except DeadlineExceeded as error:
        return got, error
    return got, None


def test_a_chunk_that_is_half_read() -> None:
    """While the lane is open a slow source is not read, even in the middle of a chunk."""
    lab = Lab(between(0.0, 300.0, refused))
    source = Slow([10.0] * 60)

    async def run() -> None:
        single = asyncio.create_task(lab.send(next(messages(1))))
        got, error = await receipts_of(lab, source, 50)
        assert [type(receipt) for receipt in got] == [Accepted] * 60
        assert error is None
        await single

    virtual_time.run(run())
    # One was being read when the lane opened.
    assert len([at for at in source.read_at if at < 300]) <= 1


def test_what_was_read_of_a_chunk() -> None:
    """A stream ends after `stream_deadline` of trouble in the middle of a chunk: what was read is NotSent."""
    lab = Lab(between(0.0, float("inf"), refused), retry=RetryPolicy(stream_deadline=60.0))
    source = Slow([10.0] * 60)

    async def run() -> None:
        single = asyncio.create_task(lab.send(next(messages(1))))
        got, error = await receipts_of(lab, source, 50)
        assert isinstance(error, DeadlineExceeded)
        assert [type(receipt) for receipt in got] == [NotSent] * len(source.read_at)
        assert 60 <= virtual_time.now() < 61
        await single

    virtual_time.run(run())
    assert len(source.read_at) <= 1
    assert lab.unclaimed == []


def test_one_bad_moment_long_ago() -> None:
    """A moment of trouble does not end a stream whose next message comes after the deadline: it is asked about then."""
    lab = Lab(service := between(0.0, 1.0, reset), retry=RetryPolicy(stream_deadline=60.0))

    async def run() -> None:
        got, error = await receipts_of(lab, Slow([0.0, 500.0]), 1)
        assert ([type(receipt) for receipt in got], error) == ([Unconfirmed, Accepted], None)

    virtual_time.run(run())
    assert service.probes == 1
