"""A run that others took for dead: its batch was planned again by a person, and another run has claimed it since."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all
from test_campaign import NAME, messages, sent

from devino_async import Accepted, DevinoClient, DevinoError, Receipt, Unconfirmed
from devino_async.campaigns import CampaignBusy, CampaignState, JournalError, JournalFailed, SQLiteJournal
from devino_async.campaigns.blobs import pack_bytes
from devino_async.campaigns.states import Record

pytestmark = pytest.mark.usefixtures("no_leaks")
COUNT, BATCH = 600, 100
Deed = Callable[[SQLiteJournal], Awaitable[Any]]


class Frozen:
    """A run that stands still while its first batches are on their way, as a stopped process does.

    A person removes its sign of life, so that another process takes it for dead.
    """

    def __init__(self, service: Service, path: Path) -> None:
        self.service, self.path = service, path
        self.go_on = asyncio.Event()
        self.arrived: asyncio.Queue[None] = asyncio.Queue()
        self.receipts: list[Receipt] = []
        self.error: DevinoError | None = None
        self.answering: Any = accept_all
        service.answering = self._answer

    async def _answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        if "messages" in body:
            self.arrived.put_nowait(None)
            await self.go_on.wait()
        return await self.answering(request, body)  # type: ignore[no-any-return]

    async def run(self) -> None:
        async with (
            SQLiteJournal(self.path) as journal,
            DevinoClient("key", base_url=self.service.url, journal=journal) as devino,
        ):
            try:
                async for each in devino.send_many(messages(COUNT), campaign=NAME, batch_size=BATCH):
                    self.receipts.append(each)
            except DevinoError as error:
                self.error = error


async def state_of(journal: SQLiteJournal) -> CampaignState:
    [state] = await journal.campaigns()
    return state


async def buried(service: Service, path: Path, *, batches: int) -> tuple[Frozen, "asyncio.Task[None]"]:
    """A run with so many batches in flight, which is then taken for dead."""
    frozen = Frozen(service, path)
    task = asyncio.create_task(frozen.run())
    for _ in range(batches):
        await frozen.arrived.get()
    for each in path.parent.glob("*.claimer"):
        each.unlink()
    return frozen, task


async def resent(service: Service, path: Path) -> list[Receipt]:
    """Another process takes the run for dead, a person decides, and the campaign is run again."""
    service.answering = accept_all
    async with (
        SQLiteJournal(path) as journal,
        DevinoClient("key", base_url=service.url, journal=journal) as devino,
    ):
        await journal.resolve(NAME, "resend")
        return [each async for each in devino.send_many(messages(COUNT), campaign=NAME, batch_size=BATCH)]


async def test_late_answers_are_evidence(service: Service, tmp_path: Path) -> None:
    """Answers that come late are given to their callers, kept as evidence, shown as sent twice, and change nothing."""
    path = tmp_path / "sms.journal"
    frozen, task = await buried(service, path, batches=4)
    again = await resent(service, path)
    assert [type(each) for each in again] == [Accepted] * COUNT
    frozen.go_on.set()
    await task
    # Its four batches were accepted. The others it did not send, but the second run has.
    assert [type(each) for each in frozen.receipts] == [Accepted] * 4 * BATCH + [Unconfirmed] * 2 * BATCH
    assert isinstance(frozen.error, CampaignBusy)
    for each in frozen.receipts[4 * BATCH :]:
        assert isinstance(each, Unconfirmed)
        assert "another one may have" in str(each.error)
    assert len(sent(service)) == COUNT + 4 * BATCH
    async with SQLiteJournal(path) as journal:
        state = await state_of(journal)
        assert (state.accepted, state.messages, state.sent_twice) == (COUNT, COUNT, 4 * BATCH)
        assert state.finished


async def test_an_answer_before_the_next_claim(service: Service, tmp_path: Path) -> None:
    """A late answer settles what a person planned again but no run has claimed since, so that it is not sent again."""
    path = tmp_path / "sms.journal"
    frozen, task = await buried(service, path, batches=4)
    async with SQLiteJournal(path) as journal:
        assert await journal.resolve(NAME, "resend") == (4 * BATCH, 0)
        frozen.go_on.set()
        await task
        assert (await state_of(journal)).sent_twice == 0
    again = await resent(service, path)
    assert [type(each) for each in again] == [Accepted] * COUNT
    assert sorted(sent(service)) == [each.to for each in messages(COUNT)]


async def stop_it(journal: SQLiteJournal) -> None:
    await journal.cancel(NAME)


async def pause_it(journal: SQLiteJournal) -> None:
    await journal.pause(NAME)


async def forget_it(journal: SQLiteJournal) -> None:
    await journal.forget(NAME)


async def leave_it(journal: SQLiteJournal) -> None:
    """Do nothing more."""


@pytest.mark.parametrize("deed", [leave_it, stop_it, pause_it, forget_it])
async def test_never_not_sent(service: Service, tmp_path: Path, deed: Deed) -> None:
    """A run that was taken over never says NotSent, because the other run may have sent the message.

    Whatever a person does with the campaign after that, and whether it had batches in flight or read on later.
    """
    path = tmp_path / "sms.journal"
    frozen, task = await buried(service, path, batches=4)
    await resent(service, path)
    async with SQLiteJournal(path) as journal:
        await deed(journal)

    async def refused(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response({"code": "BUSY"}, status=429, headers={"Retry-After": "0"})

    # Its attempts are proved unsent, and it would try again.
    frozen.answering = refused
    frozen.go_on.set()
    await task
    assert isinstance(frozen.error, JournalError)
    assert len(frozen.receipts) >= 4 * BATCH
    assert {type(each) for each in frozen.receipts} == {Unconfirmed}
    assert sorted(sent(service)[4 * BATCH :]) == [each.to for each in messages(COUNT)]


class SettledMeanwhile(SQLiteJournal):
    """After each look at its parts, all their messages become accepted, as by a callback or a late answer."""

    is_late = False

    async def records(self, name: str, start: int, stop: int) -> Sequence[Record]:
        found = await super().records(name, start, stop)
        if self.is_late:
            values = (pack_bytes(b"a" * BATCH), BATCH)
            await self._together(lambda db: db.execute("UPDATE part SET marks = ?, accepted = ?, not_sent = 0", values))
        return found


async def test_what_was_settled_meanwhile(service: Service, tmp_path: Path) -> None:
    """If a message was settled since it was looked up, its batch is not sent, and nothing of it is NotSent."""

    async def no(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response({"code": "VALIDATION_ERROR", "description": "no", "reasons": []}, status=400)

    path = tmp_path / "sms.journal"
    async with (
        SettledMeanwhile(path) as journal,
        DevinoClient("key", base_url=service.url, journal=journal) as devino,
    ):
        service.answering = no
        assert len((await devino.send_all(messages(BATCH), campaign=NAME)).not_sent) == BATCH
        service.answering = accept_all
        service.requests.clear()
        journal.is_late = True
        with pytest.raises(JournalFailed, match="sent before, or may have been") as raised:
            await devino.send_all(messages(BATCH), campaign=NAME)
        assert raised.value.report is not None
        assert len(raised.value.report.unconfirmed) == BATCH == raised.value.report.total
    assert not sent(service)
