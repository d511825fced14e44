"""Reconciling with a real journal against a real service on loopback that loses answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from account import LINK, Account
from aiohttp import web
from attrs import evolve
from loopback_service import Service
from sqlite_lab import bodies_of, selected

from devino_async import Accepted, ConfigurationError, DevinoClient, Message, OutcomeUnknown, Unconfirmed
from devino_async.campaigns import CampaignChanged, JournalError, KeyConflict, ReconcileReport, SQLiteJournal, State
from devino_async.campaigns.reconciling import Reconciling
from devino_async.campaigns.results import pack
from devino_async.campaigns.states import Part
from devino_async.flow.steps import at_once
from devino_async.protocol.detail_rows import DetailRow
from devino_async.protocol.details import DetailPage, DetailQuery
from devino_async.protocol.receipt_runs import Receipts
from devino_async.protocol.sending import encode
from devino_async.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("no_leaks")
DAY = 86_400.0


def messages(count: int, first: int = 0, text: str = "text {}", **options: Any) -> list[Message]:
    return [
        Message(sender="MyCompany", to=f"7900{number:07}", text=text.format(number), **options)
        for number in range(first, first + count)
    ]


@pytest.fixture
def account(service: Service) -> Account:
    made = Account()
    service.answering = made
    return made


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal") as made:
        yield made


@pytest.fixture
async def devino(service: Service, journal: SQLiteJournal, account: Account) -> AsyncIterator[DevinoClient]:
    async with DevinoClient("key", base_url=service.url, journal=journal) as made:
        yield made


def figures(report: ReconcileReport) -> tuple[int, int, int]:
    return len(report.settled), len(report.absent), len(report.unclear)


async def outcomes(journal: SQLiteJournal, name: str) -> list[str | None]:
    return [each.message_id async for each in journal.outcomes(name)]


@pytest.mark.parametrize("hours", [-14, -7.75, 0, 3, 5.75, 14])
async def test_what_arrived_is_found(
    devino: DevinoClient, journal: SQLiteJournal, account: Account, hours: float
) -> None:
    """In every zone the messages of a lost answer get their ids, as soon as one answer has shown the zone."""
    account.hours, account.lost = hours, {1}
    some = messages(300)
    before = await devino.send_all(some, campaign="sale", batch_size=100)
    assert len(before.unconfirmed) == 100
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (100, 0, 0)
    assert {each.state for each in report.settled} == {State.ACCEPTED}
    sends = account.sends
    again = await devino.send_all(some, campaign="sale")
    ids = account.ids_of([each.to for each in some])
    assert [each.message_id for each in again.accepted] == ids == await outcomes(journal, "sale")
    assert account.sends == sends
    [state] = await journal.campaigns()
    assert state.finished
    assert figures(await devino.reconcile(campaign="sale")) == (0, 0, 0)


@pytest.mark.parametrize("hours", [-7.75, 0, 3, 14])
async def test_a_first_batch_is_found(devino: DevinoClient, account: Account, hours: float) -> None:
    """Where the journal knows no accepted message, the rows of the batch must agree on a zone, and then they count."""
    account.hours, account.lost = hours, {0}
    account.add("79990000000", "another program's")
    await devino.send_all(messages(50), campaign="sale")
    assert figures(await devino.reconcile(campaign="sale")) == (50, 0, 0)


async def test_in_a_named_zone(service: Service, account: Account, journal: SQLiteJournal) -> None:
    """A client that knows the zone of the dates looks only there, and needs no other proof."""
    account.hours, account.lost = -12, {0}
    async with DevinoClient(
        "key", base_url=service.url, journal=journal, time_zone=timezone(timedelta(hours=-12))
    ) as devino:
        await devino.send_all(messages(5), campaign="sale")
        report = await devino.reconcile(campaign="sale")
    assert figures(report) == (5, 0, 0)
    [searched] = report.searched
    assert searched.end - searched.start < timedelta(minutes=10)


@pytest.mark.parametrize("hours", [-14, 0, 3, 9, 12, 14])
@pytest.mark.parametrize("is_known", [True, False])
async def test_the_reminder_of_the_day_before(
    devino: DevinoClient, account: Account, hours: float, is_known: bool
) -> None:
    """Rows of another program with the same texts to the same people, a day before, are never taken for ours."""
    account.hours = hours
    for each in messages(20):
        account.add(each.to, each.text, ago=DAY)
    if is_known:
        await devino.send_all(messages(1, first=500), campaign="earlier")
    account.dropped = {account.sends}
    await devino.send_all(messages(20), campaign="sale")
    report = await devino.reconcile(campaign="sale")
    assert not report.settled
    assert len(report.absent) == 20 or (not is_known and hours > 8)


async def test_known_ids_are_no_evidence(devino: DevinoClient, account: Account) -> None:
    """Messages that the journal has under another campaign, equal and of the same minute, are not found again."""
    await devino.send_all(messages(20), campaign="first")
    await devino.send(messages(1)[0], key="order")
    account.dropped = {account.sends}
    await devino.send_all(messages(20), campaign="second")
    assert figures(await devino.reconcile(campaign="second")) == (0, 20, 0)


async def test_a_row_is_evidence_once(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """Of two equal campaigns in doubt, one that arrived settles neither, and two that arrived settle both."""
    account.lost, account.dropped = {0}, {1}
    for name in ("first", "second"):
        await devino.send_all(messages(3), campaign=name)
    assert figures(await devino.reconcile(campaign="first")) == (0, 0, 3)
    for each in messages(3):
        account.add(each.to, each.text)
    assert figures(await devino.reconcile(campaign="first")) == (3, 0, 0)
    assert figures(await devino.reconcile(campaign="second")) == (3, 0, 0)
    ids = await outcomes(journal, "first") + await outcomes(journal, "second")
    assert len(set(ids)) == 6


async def test_late_rows(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """What is not shown yet stays in doubt. The report says that its batch arrived, and resend passes it over."""
    account.lost = {0}
    some = messages(30)
    await devino.send_all(some, campaign="sale")
    account.hidden = set(account.ids_of([each.to for each in some[10:]]))
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (10, 20, 0)
    assert report.arrived == 20
    assert "20 of the rest were in requests that arrived" in str(report)
    resolved = await journal.resolve("sale", "resend")
    assert (resolved.set, resolved.passed_over) == (0, 20)
    account.hidden.clear()
    assert figures(await devino.reconcile(campaign="sale")) == (20, 0, 0)
    assert await outcomes(journal, "sale") == account.ids_of([each.to for each in some])


async def test_nothing_found_is_proof_of_nothing(devino: DevinoClient, account: Account) -> None:
    """A batch of which nothing is shown stays unconfirmed, with its words, and is not sent by the next run."""
    account.dropped = {0}
    before = await devino.send_all(messages(5), campaign="sale")
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (0, 5, 0)
    assert report.arrived == 0
    again = await devino.send_all(messages(5), campaign="sale")
    assert [str(each.error) for each in again.unconfirmed] == [str(each.error) for each in before.unconfirmed]
    assert account.sends == 1


async def test_shortened_links(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """Texts with shortened links are found, in campaigns and under keys, though other messages went to these people."""
    account.lost = {0, 1}
    some = messages(5, text=f"{{}}: see {LINK} now")
    await devino.send_all(some, campaign="sale", shorten_url=True)
    await devino.send(messages(1, first=7, text=LINK)[0], key="order", shorten_url=True)
    ids = account.ids_of([each.to for each in some])
    for each in some:
        account.add(each.to, "Your code is 17")
    assert figures(await devino.reconcile(campaign="sale")) == (5, 0, 0)
    assert await outcomes(journal, "sale") == ids
    assert figures(await devino.reconcile()) == (1, 0, 0)


async def test_scheduled_messages(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """A scheduled message is found before its time, and around it, though an equal one was sent at once."""
    soon = datetime.now(UTC) + timedelta(hours=5)
    account.lost = {0}
    [now], [later] = messages(1, text="Hello"), messages(1, text="Hello", scheduled_time=soon)
    [other] = messages(1, first=3, scheduled_time=soon)
    await devino.send_all([now, later, other], campaign="sale")
    report = await devino.reconcile(campaign="sale")
    assert [each.position for each in report.settled] == [0, 1, 2]
    assert await outcomes(journal, "sale") == [each.message_id for each in account.stored]
    assert max(each.end for each in report.searched) > soon.replace(tzinfo=None)


@pytest.mark.parametrize("with_key", [True, False])
async def test_a_scheduled_message_shows_no_zone(
    devino: DevinoClient, account: Account, journal: SQLiteJournal, with_key: bool
) -> None:
    """The date of sending of a scheduled message is no evidence of the zone, though it lies whole hours ahead."""
    [later] = messages(1, first=50, scheduled_time=datetime.now(UTC) + timedelta(hours=2))
    if with_key:
        await devino.send(later, key="order")
    else:
        await devino.send_all([later], campaign="earlier")
    account.lost = {1}
    await devino.send_all(messages(5), campaign="sale")
    # All that was three hours ago. By now the scheduled message has been sent, and shows when.
    ago = 3 * 3_600
    for table in ("part", "keyed"):
        await selected(journal, f"UPDATE {table} SET claimed_at = claimed_at - {ago}")
    account.stored = [
        evolve(each, accepted_at=each.accepted_at - ago, sent_at=each.sent_at - ago) for each in account.stored
    ]
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (5, 0, 0)


async def test_keys(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """A key in doubt is looked up alone, by its recipient. Without a name all keys in doubt are."""
    account.lost = {0, 1, 2}
    some = messages(3)
    for number, each in enumerate(some):
        assert isinstance(await devino.send(each, key=f"order-{number}"), Unconfirmed)
    report = await devino.reconcile(key="order-1")
    assert [each.key for each in report.settled] == ["order-1"]
    assert account.queries[-1]["recipient"] == some[1].to
    rest = await devino.reconcile()
    assert sorted(str(each.key) for each in rest.settled) == ["order-0", "order-2"]
    ids = account.ids_of([each.to for each in some])
    receipts = [await devino.send(each, key=f"order-{number}") for number, each in enumerate(some)]
    assert [each.message_id for each in receipts if isinstance(each, Accepted)] == ids
    assert account.sends == 3
    assert await selected(journal, "SELECT count(*) FROM keyed WHERE body IS NOT NULL") == [(0,)]


@pytest.mark.parametrize(("shorten", "link"), [(False, LINK), (True, LINK), (True, "https://other.example/x")])
async def test_an_equal_campaign_that_begins_meanwhile(
    devino: DevinoClient, service: Service, account: Account, shorten: bool, link: str
) -> None:
    """Rows of a request that began while rows were read are not taken, though its answer is not there yet."""
    some = messages(5, text=f"See {LINK}")
    account.dropped = {0}
    await devino.send_all(some, campaign="first", shorten_url=shorten)
    begun, answer, sending = asyncio.Event(), asyncio.Event(), []

    async def hold() -> None:
        begun.set()
        await answer.wait()

    async def answering(request: web.Request, body: Any) -> web.StreamResponse:
        if request.path == "/sms-stat/detail" and not sending:
            account.hold = hold
            others = messages(5, text=f"See {link}")
            sending.append(asyncio.create_task(devino.send_all(others, campaign="second", shorten_url=shorten)))
            await begun.wait()
        return await account(request, body)

    service.answering = answering
    report = await devino.reconcile(campaign="first")
    assert figures(report) == (0, 0, 5)
    assert report.without_zone == 0
    answer.set()
    [second] = await asyncio.gather(*sending)
    assert len(second.accepted) == 5
    assert figures(await devino.reconcile(campaign="first")) == (0, 5, 0)


@pytest.mark.parametrize("has_arrived", [True, False])
async def test_an_equal_campaign_that_is_under_way(devino: DevinoClient, account: Account, has_arrived: bool) -> None:
    """Rows that may be of a request that is being sent are left to it. Its answer says which of them are its own."""
    some = messages(5)
    (account.lost if has_arrived else account.dropped).add(0)
    await devino.send_all(some, campaign="first")
    begun, answer = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await answer.wait()

    account.hold = hold
    sending = asyncio.create_task(devino.send_all(some, campaign="second"))
    await begun.wait()
    assert figures(await devino.reconcile(campaign="first")) == (0, 0, 5)
    answer.set()
    assert len((await sending).accepted) == 5
    assert figures(await devino.reconcile(campaign="first")) == ((5, 0, 0) if has_arrived else (0, 5, 0))


async def test_a_zone_that_only_the_rows_agree_on(devino: DevinoClient, account: Account) -> None:
    """A report says which zone the dates were read in, if nothing but the settled rows themselves shows it."""
    account.hours, account.lost = 5.75, {0, 2}
    await devino.send_all(messages(5), campaign="first")
    report = await devino.reconcile(campaign="first")
    assert report.agreed == (timedelta(hours=5.75),)
    assert "read as UTC+05:45, because" in str(report)
    await devino.send_all(messages(1, first=9), campaign="answered")
    await devino.send_all(messages(1, first=19), campaign="second")
    report = await devino.reconcile(campaign="second")
    assert (figures(report), report.agreed) == ((1, 0, 0), ())


async def test_a_zone_that_must_be_given(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal
) -> None:
    """If rows make sense in no zone that is proved, the report says what to give the client. With it they are found."""
    account.hours, account.lost = -9, {0}
    await devino.send_all(messages(5), campaign="sale")
    report = await devino.reconcile(campaign="sale")
    assert (figures(report), report.without_zone) == ((0, 0, 5), 5)
    assert "5 are unclear because the zone of the service's dates is not known" in str(report)
    assert "time_zone=" in str(report)
    zone = timezone(timedelta(hours=-9))
    async with DevinoClient("key", base_url=service.url, journal=journal, time_zone=zone) as aware:
        assert figures(await aware.reconcile(campaign="sale")) == (5, 0, 0)


async def test_twin_keys_of_one_request(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """Two equal messages under two keys that one request carried: one row is not said to be of either."""
    account.lost = {0}
    [same] = messages(1)
    await asyncio.gather(devino.send(same, key="a"), devino.send(same, key="b"))
    assert account.sends == 1
    account.hidden = {account.stored[0].message_id}
    report = await devino.reconcile(key="a")
    assert figures(report) == (0, 0, 1)
    assert "1 are unclear because rows fit several messages" in str(report)
    account.hidden.clear()
    assert figures(await devino.reconcile(key="a")) == (1, 0, 0)
    assert [each.key async for each in journal.keys("unconfirmed")] == ["b"]


async def test_pages_that_shift(devino: DevinoClient, account: Account) -> None:
    """Rows that come while pages are read, before and behind what was read, hide nothing."""
    account.lost = {0}
    some = messages(1_200)
    await devino.send_all(some, campaign="sale")
    ids = set(account.ids_of([each.to for each in some]))

    def shift() -> None:
        account.add("79990000000", "another program's")
        if account.pages % 2:
            first = account.stored[0]
            account.stored.insert(0, type(first)(str(4_000 + account.pages), "79990000001", "Bank", "x", *[
                first.accepted_at, first.sent_at
            ]))  # fmt: skip

    account.before_page = shift
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (1_200, 0, 0)
    assert {each.message_id for each in report.settled} == ids


async def test_rows_that_go_while_pages_are_read(devino: DevinoClient, account: Account) -> None:
    """Where rows went and others moved up, the service's count says so, and the rows are read again."""
    account.lost = {0}
    others = [account.add("79990000000", "another program's") for _ in range(10)]
    some = messages(1_200)
    await devino.send_all(some, campaign="sale")

    def go() -> None:
        if account.pages == 2:
            account.hidden = set(others)

    account.before_page = go
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (1_200, 0, 0)
    assert all(each.complete for each in report.searched)


@pytest.mark.parametrize("on_a_page", [500, 1])
async def test_rows_without_end(devino: DevinoClient, account: Account, on_a_page: int) -> None:
    """A service that always has more rows is left after so many, and what is in doubt there stays so, with advice."""
    account.lost = {0}
    await devino.send_all(messages(5), campaign="sale")

    async def pages(_: DetailQuery) -> AsyncIterator[DetailPage]:
        for page in range(10_000):
            rows = [DetailRow(message_id=f"{page}-{row}", recipient="79000000001") for row in range(on_a_page)]
            yield DetailPage(rows=tuple(rows), more=True)
        raise AssertionError("it does not end")

    journaled = devino._dispatch.journaled_for("reconcile")
    report = await Reconciling(
        journaled._journal,
        journaled._address,
        pages,
        turns=journaled._turns,
        total_for=journaled._total_for,
        has_zone=False,
        max_rows=2_000,
    ).run("sale", None)
    assert figures(report) == (0, 0, 5)
    assert report.unread == 5
    [searched] = report.searched
    assert searched.stopped
    assert searched.rows == 20 * on_a_page if on_a_page == 1 else searched.rows == 2_000
    assert f"stopped after {searched.rows:,} rows" in str(report)
    assert "too many rows at these times" in str(report)
    assert "fit several" not in str(report)
    # The honest service is asked, and the same messages are found.
    assert figures(await devino.reconcile(campaign="sale")) == (5, 0, 0)


async def test_ids_that_several_people_share(devino: DevinoClient, account: Account) -> None:
    """Where the service gives one id to messages of two people, neither of them gets it, across pages too."""
    account.lost = {0}
    some = messages(600)
    await devino.send_all(some, campaign="sale")
    account.stored = [evolve(each, message_id=str(int(each.message_id) // 7 * 7)) for each in account.stored]
    report = await devino.reconcile(campaign="sale")
    alone = [each for each, count in Counter(each.message_id for each in account.stored).items() if count == 1]
    assert [each.message_id for each in report.settled] == alone
    assert len(report.unclear) == 600 - len(alone)


async def test_texts_go(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """The text of a settled message leaves the journal. That of one in doubt stays."""
    account.lost = {0}
    some = messages(2)
    await devino.send_all(some, campaign="sale")
    account.hidden = {account.stored[1].message_id}
    await devino.reconcile(campaign="sale")
    [lines] = await bodies_of(journal)
    assert lines is not None
    assert [bool(each) for each in lines] == [False, True]
    account.hidden.clear()
    await devino.reconcile(campaign="sale")
    assert await bodies_of(journal) == [None]


async def test_what_is_being_sent_now(devino: DevinoClient, account: Account) -> None:
    """What a process is sending is left to it, even if its rows are shown already, and is counted."""
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        arrived.set()
        await answer.wait()

    account.hold = hold
    sending = asyncio.create_task(devino.send_all(messages(4), campaign="sale"))
    await arrived.wait()
    report = await devino.reconcile(campaign="sale")
    assert figures(report) == (0, 0, 0)
    assert report.under_way == 4
    assert "4 are being sent now" in str(report)
    answer.set()
    assert len((await sending).accepted) == 4


async def test_stopped_and_run_again(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """A reconcile that is cancelled while it reads changes nothing, and the next one finds everything."""
    account.lost = {0}
    await devino.send_all(messages(5), campaign="sale")

    def stop() -> None:
        reconciling.cancel()

    account.before_page = stop
    reconciling = asyncio.create_task(devino.reconcile(campaign="sale"))
    with pytest.raises(asyncio.CancelledError):
        await reconciling
    assert (await journal.campaigns())[0].unconfirmed == 5
    account.before_page = lambda: None
    assert figures(await devino.reconcile(campaign="sale")) == (5, 0, 0)


async def test_two_at_once(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """Two that reconcile the same campaign at once settle each message once."""
    account.lost = {0}
    await devino.send_all(messages(50), campaign="sale")
    reports = await asyncio.gather(*(devino.reconcile(campaign="sale") for _ in range(3)))
    assert sum(len(each.settled) for each in reports) == 50
    assert (await journal.campaigns())[0].accepted == 50


async def test_a_damaged_record(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """If the ids of other messages cannot be read, nothing is settled, as they could serve again."""
    account.lost = {1}
    await devino.send_all(messages(5), campaign="first")
    await devino.send_all(messages(5, first=9), campaign="sale")
    await journal._file.do(lambda file: file.execute("UPDATE part SET results = x'00' WHERE accepted > 0"))
    with pytest.raises(JournalError, match="damaged"):
        await devino.reconcile(campaign="sale")
    assert [each.unconfirmed for each in await journal.campaigns()] == [0, 5]


async def test_misuse(service: Service, account: Account, journal: SQLiteJournal) -> None:
    """What cannot be reconciled is said: no journal, no such campaign or key, another address, both at once."""
    async with DevinoClient("key", base_url=service.url) as devino:
        with pytest.raises(ConfigurationError, match="journal"):
            await devino.reconcile()
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        await devino.send_all(messages(1), campaign="sale")
        await devino.send(messages(1)[0], key="order")
        with pytest.raises(ConfigurationError, match="not both"):
            await devino.reconcile(campaign="sale", key="order")
        with pytest.raises(JournalError, match="no campaign 'other'"):
            await devino.reconcile(campaign="other")
        with pytest.raises(JournalError, match="does not know this key"):
            await devino.reconcile(key="other")
        assert figures(await devino.reconcile(key="order")) == (0, 0, 0)
    async with DevinoClient("key", base_url="http://127.0.0.1:9", journal=journal) as devino:
        with pytest.raises(CampaignChanged) as changed:
            await devino.reconcile(campaign="sale")
        assert changed.value.reason == "address"
        with pytest.raises(KeyConflict):
            await devino.reconcile(key="order")


@pytest.mark.parametrize("stage", [0.0, 60.0], ids=["sent", "waiting"])
async def test_against_the_sandbox(journal: SQLiteJournal, stage: float) -> None:
    """A batch that a process sent before it was killed is found in the sandbox, whether it was sent on yet or not."""
    some = messages(200)
    async with Sandbox(stage=stage) as sandbox, DevinoClient("key", base_url=sandbox.url, journal=journal) as devino:
        run = await journal.begin("sale", f"http://{sandbox.url[7:]}")
        part = Part(
            token="killed",
            positions=range(200),
            fingerprints=bytes(8 * 200),
            slices=[each.encode() for each in encode(some)],
        )
        await journal.claim(run, part)
        receipts = Receipts()
        receipts.failed(some, OutcomeUnknown("cut", operation="send"))
        await devino.send_all(some)
        await journal.settle(run, part, *at_once(pack(receipts)))
        await journal.end(run, complete=True)
        report = await devino.reconcile(campaign="sale")
        assert figures(report) == (200, 0, 0)
        assert len(await devino.statuses(str(each.message_id) for each in report.settled)) == 200
