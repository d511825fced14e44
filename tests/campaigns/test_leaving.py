"""A stream of a campaign that its caller leaves early, and the next run of that campaign."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all
from test_campaign import NAME, messages, sent

from devino_async import Accepted, DevinoClient, Receipt
from devino_async.campaigns import CampaignBusy, SQLiteJournal

pytestmark = pytest.mark.usefixtures("no_leaks")
COUNT, BATCH = 900, 100


class Held:
    """A service that answers its first request at once, and the others when the test lets it."""

    def __init__(self, service: Service) -> None:
        self.open = asyncio.Event()
        self.arrived: asyncio.Queue[None] = asyncio.Queue()
        self._first = True
        service.answering = self.answer

    async def answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        is_first, self._first = self._first, False
        if not is_first:
            self.arrived.put_nowait(None)
            await self.open.wait()
        return await accept_all(request, body)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal") as made:
        yield made


def stream_of(devino: DevinoClient) -> Any:
    return devino.send_many(messages(COUNT), campaign=NAME, batch_size=BATCH)


async def by_break(devino: DevinoClient, held: Held) -> None:
    async for _ in stream_of(devino):
        await held.arrived.get()
        break


async def by_break_through_another_generator(devino: DevinoClient, held: Held) -> None:
    async def mine() -> AsyncIterator[Receipt]:
        async for each in stream_of(devino):
            yield each

    async for _ in mine():
        await held.arrived.get()
        break


async def by_closing(devino: DevinoClient, held: Held) -> None:
    async with aclosing(stream_of(devino)) as stream:
        async for _ in stream:
            await held.arrived.get()
            break


async def by_cancellation(devino: DevinoClient, held: Held) -> None:
    task = asyncio.create_task(devino.send_all(messages(COUNT), campaign=NAME, batch_size=BATCH))
    await held.arrived.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


LEAVING = [by_break, by_break_through_another_generator, by_closing, by_cancellation]


@pytest.mark.parametrize("leave", LEAVING)
async def test_the_next_run_waits(
    service: Service, journal: SQLiteJournal, leave: Callable[[DevinoClient, Held], Awaitable[None]]
) -> None:
    """A run that was left does not refuse the next one of the same client, which waits for what is in flight."""
    held = Held(service)
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        await leave(devino, held)
        again = asyncio.create_task(devino.send_all(messages(COUNT), campaign=NAME, batch_size=BATCH))
        async with (
            SQLiteJournal(journal._path) as other,
            DevinoClient("key", base_url=service.url, journal=other) as elsewhere,
        ):
            # For any other client, a run is under way.
            with pytest.raises(CampaignBusy, match="Wait until it has ended"):
                await elsewhere.send_all(messages(COUNT), campaign=NAME)
        assert not again.done()
        held.open.set()
        report = await again
    assert len(report.accepted) == COUNT
    assert sorted(sent(service)) == [each.to for each in messages(COUNT)]


async def test_with_nothing_in_flight(service: Service, journal: SQLiteJournal) -> None:
    """A run that was left right before its end does not refuse the next one either, time after time."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        for _ in range(10):
            async for each in devino.send_many(messages(3), campaign=NAME):
                assert isinstance(each, Accepted)
                break
        report = await devino.send_all(messages(3), campaign=NAME)
    assert len(report.accepted) == 3
    assert len(sent(service)) == 3


async def test_a_stream_that_is_still_open(service: Service, journal: SQLiteJournal) -> None:
    """A run whose stream is still read refuses a second one at once. The error says what to do with that stream."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        stream = stream_of(devino)
        await anext(stream)
        with pytest.raises(CampaignBusy, match="aclosing"):
            await devino.send_all(messages(COUNT), campaign=NAME)
        assert len([each async for each in stream]) == COUNT - 1


@pytest.mark.parametrize("first", [0, 1])
async def test_ends_that_overlap(service: Service, journal: SQLiteJournal, first: int) -> None:
    """Two runs of one campaign whose ends overlap, in either order, disturb nothing. The next run begins."""
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        ends = [asyncio.Event(), asyncio.Event()]

        async def end(number: int) -> None:
            await ends[number].wait()

        tasks = [asyncio.create_task(end(number)) for number in (0, 1)]
        for each in tasks:
            devino._dispatch.journaled_for("campaign").ends(NAME, each)
        for number in (first, 1 - first):
            ends[number].set()
            await tasks[number]
            await asyncio.sleep(0)
        assert not failures
        assert len((await devino.send_all(messages(COUNT), campaign=NAME)).accepted) == COUNT


async def test_waiting_can_be_cancelled(service: Service, journal: SQLiteJournal) -> None:
    """A run that waits for an earlier one ends at once if it is cancelled, and the name stays free for a third."""
    held = Held(service)
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        await by_closing(devino, held)
        again = asyncio.create_task(devino.send_all(messages(COUNT), campaign=NAME))
        for _ in range(100):
            await asyncio.sleep(0)
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again
        third = asyncio.create_task(devino.send_all(messages(COUNT), campaign=NAME, batch_size=BATCH))
        held.open.set()
        assert len((await third).accepted) == COUNT
    assert len(sent(service)) == COUNT
