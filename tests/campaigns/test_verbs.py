"""Verbs: what a person decides about campaigns and keys, and what the next run makes of it."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all
from sqlite_lab import selected
from stores import answer

from devino_async import Accepted, ConfigurationError, DevinoClient, Message, NotSent, Receipt, Rejected, Unconfirmed
from devino_async.campaigns import (
    CampaignBusy,
    CampaignCancelled,
    CampaignForgotten,
    CampaignPaused,
    JournalError,
    SQLiteJournal,
    State,
)
from devino_async.campaigns.states import KeyedSend

pytestmark = pytest.mark.usefixtures("no_leaks")
NAME = "spring-sale"
KEY = "order-17"
NOW = [1_800_000_000.0]


def messages(count: int, first: int = 0) -> list[Message]:
    numbers = range(first, first + count)
    return [Message(sender="MyCompany", to=f"7900{number:07}", text=f"secret {number}") for number in numbers]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal", clock=lambda: NOW[0]) as made:
        yield made


async def run(service: Service, journal: SQLiteJournal, some: list[Message], batch_size: int = 10) -> list[Receipt]:
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        return [each async for each in devino.send_many(some, campaign=NAME, batch_size=batch_size)]


async def gathered(stream: AsyncIterator[Receipt]) -> tuple[list[Receipt], Exception | None]:
    receipts: list[Receipt] = []
    try:
        async for each in stream:
            receipts.append(each)  # noqa: PERF401 - what came before the error counts
    except JournalError as error:
        return receipts, error
    return receipts, None


def sent(service: Service) -> list[str]:
    return [each["to"] for _, _, _, body in service.requests if "messages" in body for each in body["messages"]]


async def cut(request: web.Request, body: Any) -> web.StreamResponse:
    """Lose the answer to a send. Look-ups are answered."""
    if "messages" in body:
        assert request.transport is not None
        request.transport.close()
    return web.json_response({"result": []})


async def half_unreadable(request: web.Request, body: Any) -> web.StreamResponse:
    """Accept a batch, with results of which every other one cannot be read."""
    results = [{"code": "OK", "messageId": each["to"]} if n % 2 else {} for n, each in enumerate(body["messages"])]
    return web.json_response({"result": results})


async def poor(request: web.Request, body: Any) -> web.StreamResponse:
    """Reject every third message for the balance, and every third for its number."""
    keys = ["balance.not.enough", "to.format.invalid"]
    results: list[Any] = [
        {"code": "REJECTED", "messageId": None, "reasons": [{"key": keys[n % 3], "ref": "to"}]}
        if n % 3 < 2
        else {"code": "OK", "messageId": each["to"]}
        for n, each in enumerate(body["messages"])
    ]
    return web.json_response({"result": results})


def kinds(receipts: list[Receipt]) -> Counter[type]:
    return Counter(map(type, receipts))


async def test_resend(service: Service, journal: SQLiteJournal) -> None:
    """Messages in doubt whose batch gave no sign of arrival are sent by the next run, once a person says so."""
    service.answering = cut
    assert kinds(await run(service, journal, messages(30), 30)) == {Unconfirmed: 30}
    service.answering = accept_all
    service.requests.clear()
    assert await journal.resolve(NAME, "resend") == (30, 0)
    assert await journal.resolve(NAME, "resend") == (0, 0)
    assert kinds(await run(service, journal, messages(30), 30)) == {Accepted: 30}
    assert sent(service) == [each.to for each in messages(30)]


async def test_resend_passes_over_what_arrived(service: Service, journal: SQLiteJournal) -> None:
    """If one message of a batch has an answer, the batch arrived: none of it is sent again, unless it is named."""
    service.answering = half_unreadable
    first = await run(service, journal, messages(30), 30)
    assert kinds(first) == {Accepted: 15, Unconfirmed: 15}
    service.answering = accept_all
    service.requests.clear()
    assert await journal.resolve(NAME, "resend") == (0, 15)
    assert kinds(await run(service, journal, messages(30))) == kinds(first)
    assert sent(service) == []
    assert await journal.resolve(NAME, "resend", positions=[0, 1, 4]) == (2, 0)
    again = await run(service, journal, messages(30))
    assert sent(service) == [messages(30)[0].to, messages(30)[4].to]
    assert kinds(again) == {Accepted: 17, Unconfirmed: 13}
    ids = [each.message_id for each in again if isinstance(each, Accepted)]
    assert ids == [each.message.to for each in again if isinstance(each, Accepted)]


async def test_assume_sent(service: Service, journal: SQLiteJournal, tmp_path: Path) -> None:
    """What counts as sent by decision is final. Its receipts stay Unconfirmed and say so, and its text goes."""
    service.answering = cut
    await run(service, journal, messages(30), 30)
    assert await journal.resolve(NAME, "assume_sent", positions=range(20)) == (20, 0)
    service.answering = accept_all
    again = await run(service, journal, messages(30))
    assert kinds(again) == {Unconfirmed: 30}
    assert sum("assumed" in each.error.problem for each in again if isinstance(each, Unconfirmed)) == 20
    [state] = await journal.campaigns()
    assert (state.assumed_sent, state.unconfirmed, state.finished) == (20, 10, False)
    await journal.resolve(NAME, "assume_sent")
    [state] = await journal.campaigns()
    assert state.finished


async def test_reopen(service: Service, journal: SQLiteJournal) -> None:
    """Rejected messages with the named reasons are sent by the next run. Others keep their reasons."""
    service.answering = poor
    first = await run(service, journal, messages(30), 30)
    assert kinds(first) == {Rejected: 20, Accepted: 10}
    service.answering = accept_all
    service.requests.clear()
    assert await journal.reopen(NAME, reasons={"balance.not.enough"}) == 10
    assert await journal.reopen(NAME, reasons={"balance.not.enough"}) == 0
    again = await run(service, journal, messages(30))
    assert kinds(again) == {Accepted: 20, Rejected: 10}
    assert {each.reasons[0].key for each in again if isinstance(each, Rejected)} == {"to.format.invalid"}
    assert sent(service) == [each.to for n, each in enumerate(messages(30)) if n % 3 == 0]
    assert [each.message_id for each in again if isinstance(each, Accepted)] == [
        each.message.to for each in again if isinstance(each, Accepted)
    ]


async def test_pause(service: Service, journal: SQLiteJournal) -> None:
    """A run that meets a pause gives NotSent for what it has read, then raises. A paused one does not begin."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        stream = devino.send_many(messages(2_000), campaign=NAME, batch_size=10)
        await anext(stream)
        await journal.pause(NAME)
        rest, error = await gathered(stream)
        assert isinstance(error, CampaignPaused)
        assert set(kinds(rest)) == {Accepted, NotSent}
        with pytest.raises(CampaignPaused):
            await devino.send_all(messages(2_000), campaign=NAME)
        await journal.unpause(NAME)
        assert len((await devino.send_all(messages(2_000), campaign=NAME)).accepted) == 2_000
    assert sorted(sent(service)) == [each.to for each in messages(2_000)]


async def test_cancel_and_run_again(service: Service, journal: SQLiteJournal) -> None:
    """A cancelled campaign sends nothing more: its runs give the recorded receipts, and NotSent for all else."""
    first = await run(service, journal, messages(30))
    await journal.cancel(NAME)
    service.requests.clear()
    again = await run(service, journal, messages(60))
    assert again[:30] == first
    assert kinds(again[30:]) == {NotSent: 30}
    [refused] = {str(each.error.__cause__) for each in again[30:] if isinstance(each, NotSent)}
    assert "cancelled" in refused
    assert isinstance(again[30], NotSent)
    assert isinstance(again[30].error.__cause__, CampaignCancelled)
    assert service.requests == []


async def test_cancel_in_mid_run(service: Service, journal: SQLiteJournal) -> None:
    """A run that is cancelled by another process finishes what is in flight, and gives a receipt for every message."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        stream = devino.send_many(messages(1_000), campaign=NAME, batch_size=10)
        first = await anext(stream)
        await journal.cancel(NAME)
        rest, error = await gathered(stream)
    assert error is None
    receipts = [first, *rest]
    assert len(receipts) == 1_000
    assert kinds(receipts)[Accepted] == len(sent(service)) < 1_000
    assert set(kinds(receipts)) == {Accepted, NotSent}


async def test_forget(service: Service, journal: SQLiteJournal, tmp_path: Path) -> None:
    """Of a forgotten campaign only name, address, count and moment stay. Running it again sends nothing."""
    service.answering = cut
    await run(service, journal, messages(30), 30)
    with pytest.raises(JournalError, match=r"30 messages .* unconfirmed"):
        await journal.forget(NAME)
    assert await journal.forget(NAME, even_unconfirmed=True) == 30
    assert await journal.campaigns() == ()
    service.requests.clear()
    with pytest.raises(CampaignForgotten):
        await run(service, journal, messages(30))
    assert service.requests == []
    await journal.aclose()
    with closing(sqlite3.connect(tmp_path / "sms.journal")) as file:
        assert file.execute("SELECT count(*) FROM part").fetchone() == (0,)
        assert file.execute("SELECT count(*) FROM evidence").fetchone() == (0,)


async def test_a_run_cannot_be_forgotten(service: Service, journal: SQLiteJournal) -> None:
    """A campaign that is being sent is not forgotten, because nothing would record its answers."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        stream = devino.send_many(messages(100), campaign=NAME, batch_size=10)
        await anext(stream)
        with pytest.raises(CampaignBusy):
            await journal.forget(NAME, even_unconfirmed=True)
        assert len([each async for each in stream]) == 99


async def test_prune(service: Service, journal: SQLiteJournal) -> None:
    """Finished campaigns and settled keys go once they are old. What is unfinished, in doubt or young stays."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        await devino.send_all(messages(10), campaign="finished")
        await devino.send(messages(1)[0], key="settled")
        service.answering = cut
        await devino.send_all(messages(10), campaign="doubted")
        await devino.send(messages(1)[0], key="doubted")
        service.answering = accept_all
        assert await journal.prune(timedelta(days=30)) == (0, 0)
        NOW[0] += 86_400 * 31
        await devino.send_all(messages(10), campaign="young")
        assert await journal.prune(timedelta(days=30)) == (1, 1)
        assert [each.name for each in await journal.campaigns()] == ["doubted", "young"]
        assert [each.key async for each in journal.keys(None)] == ["doubted"]
        with pytest.raises(CampaignForgotten):
            await devino.send_all(messages(10), campaign="finished")


@pytest.mark.parametrize("how", ["found", "assume_sent"])
async def test_prune_counts_from_the_settling(service: Service, journal: SQLiteJournal, how: Any) -> None:
    """A key that was in doubt until today is not pruned today, however old it is. A repeated call sends nothing."""
    service.answering = cut
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        await devino.send(messages(1)[0], key=KEY)
        NOW[0] += 86_400 * 31
        if how == "found":
            [doubt] = [each async for each in journal.evidence.in_doubt(service.url)]
            assert await journal.evidence.settle(doubt, {0: "55"}) == {0}
        else:
            assert await journal.resolve_key(KEY, how)
        assert await journal.prune(timedelta(days=30)) == (0, 0)
        await devino.send(messages(1)[0], key=KEY)
        assert len(sent(service)) == 1
        NOW[0] += 86_400 * 31
        assert await journal.prune(timedelta(days=30)) == (0, 1)


async def claimed(journal: SQLiteJournal, keys: list[str]) -> None:
    """Settled keys, of which an answer came a moment after the claim."""
    for at in range(0, len(keys), 500):
        some = keys[at : at + 500]
        sends = [KeyedSend(key=each, fingerprint=b"8 bytes.", body=b"{}") for each in some]
        assert not await journal.claim_keys(str(at), "https://api.example:443", sends, NOW[0] + 60)
        await journal.settle_keys(str(at), dict.fromkeys(some, (State.ACCEPTED, answer([0], "a")[1])))


@pytest.mark.parametrize(("keys", "campaigns"), [(3_000, 0), (0, 500)])
async def test_prune_gives_turns(journal: SQLiteJournal, keys: int, campaigns: int) -> None:
    """However many old keys and campaigns there are, others write between its transactions, and exactly they stay."""
    await claimed(journal, [f"old {number}" for number in range(keys)])
    for number in range(campaigns):
        run = await journal.begin(f"old {number}", "https://api.example:443")
        await journal.end(run, complete=True)
    NOW[0] += 86_400 * 31
    pruning = asyncio.ensure_future(journal.prune(timedelta(days=30)))
    young, left = 0, set()
    while not pruning.done():
        young += 1
        await claimed(journal, [f"new {young}"])
        query = "SELECT (SELECT count(*) FROM keyed WHERE key LIKE 'old%') + (SELECT count(*) FROM campaign WHERE NOT "
        left.add((await selected(journal, f"{query} forgotten)"))[0][0])
    assert await pruning == (campaigns, keys)
    assert len(left - {0, keys + campaigns}) >= 3
    assert len([each async for each in journal.keys(None)]) == young
    assert [each.name for each in await journal.forgotten()] == [f"old {number}" for number in range(campaigns)]
    assert await journal.campaigns() == ()


async def test_prune_leaves_what_changes_meanwhile(journal: SQLiteJournal) -> None:
    """A campaign that a person goes on with while others are pruned stays."""
    runs = [await journal.begin(f"old {number}", "https://api.example:443") for number in range(300)]
    for each in runs:
        await journal.end(each, complete=True)
    NOW[0] += 86_400 * 31
    pruning = asyncio.ensure_future(journal.prune(timedelta(days=30)))
    while len(await journal.forgotten()) < 1:
        await asyncio.sleep(0)
    await journal.cancel("old 299")
    assert await pruning == (299, 0)
    assert [each.name for each in await journal.campaigns()] == ["old 299"]


@pytest.mark.parametrize("state", [None, State.ACCEPTED])
async def test_keys_that_are_pruned_while_they_are_read(
    journal: SQLiteJournal, tmp_path: Path, state: State | None
) -> None:
    """A list of keys that another process prunes meanwhile ends in an error. It is never short without a word."""
    await claimed(journal, [f"key {number:04}" for number in range(2_500)])
    NOW[0] += 86_400 * 31
    read: list[str | None] = []
    async with SQLiteJournal(tmp_path / "sms.journal", clock=lambda: NOW[0]) as other:
        with pytest.raises(JournalError, match=r"pruned while they were read\. Read them again"):
            async for each in journal.keys(state):
                read.append(each.key)
                if len(read) == 10:
                    assert await other.prune(timedelta(days=30)) == (0, 2_500)
    assert len(read) == 1_000
    assert [each async for each in journal.keys(state)] == []


async def test_many_campaigns(journal: SQLiteJournal) -> None:
    """All campaigns are listed, the oldest first, however many there are. Others have their turn between."""
    for number in range(600):
        await journal.end(await journal.begin(f"{number}", "https://api.example:443"), complete=True)
        if number % 2:
            await journal.forget(f"{number}")
    assert [each.name for each in await journal.campaigns()] == [f"{number}" for number in range(0, 600, 2)]
    forgotten = await journal.forgotten()
    assert [each.name for each in forgotten] == [f"{number}" for number in range(1, 600, 2)]
    assert forgotten[0].forgotten_at.timestamp() == NOW[0]
    listing = asyncio.ensure_future(journal.campaigns())
    looks = 0
    while not listing.done():
        looks += 1
        await journal.find_keys(["key"])
    assert looks >= 2


@pytest.mark.parametrize(("how", "after"), [("resend", State.ACCEPTED), ("assume_sent", State.ASSUMED_SENT)])
async def test_resolve_key(service: Service, journal: SQLiteJournal, how: Any, after: State) -> None:
    """A key in doubt is free again, or counts as sent, as a person decides."""
    service.answering = cut
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        assert isinstance(await devino.send(messages(1)[0], key=KEY), Unconfirmed)
        service.answering = accept_all
        assert await journal.resolve_key(KEY, how)
        assert not await journal.resolve_key(KEY, how)
        receipt = await devino.send(messages(1)[0], key=KEY)
        assert isinstance(receipt, Accepted if how == "resend" else Unconfirmed)
        [outcome] = [each async for each in journal.keys(None)]
    assert outcome.state == after
    assert len(sent(service)) == (2 if how == "resend" else 1)


async def test_unknown_names(journal: SQLiteJournal) -> None:
    """A verb for a campaign or a key that is not there says so, and so does a decision that does not exist."""
    for verb in (journal.pause, journal.unpause, journal.cancel, journal.forget):
        with pytest.raises(JournalError, match="no campaign 'x'"):
            await verb("x")
    with pytest.raises(JournalError, match="no campaign 'x'"):
        await journal.resolve("x", "resend")
    with pytest.raises(JournalError, match="no campaign 'x'"):
        await journal.reopen("x", ["balance.not.enough"])
    with pytest.raises(JournalError, match="does not know this key"):
        await journal.resolve_key("x", "resend")
    with pytest.raises(ConfigurationError, match="resend"):
        await journal.resolve("x", "forget")  # type: ignore[arg-type]
