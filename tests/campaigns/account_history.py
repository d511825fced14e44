"""Random histories of an account: campaigns that lose answers, programs of others, and reconciling in the midst of it.

Everything goes over HTTP. The account knows the truth: which POST each of its messages came from. It is told by an
option of the message that details do not show.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

from account import LINK, Account, Stored
from aiohttp import web
from attrs import define, field
from loopback_service import Service

from devino_async import CallFailed, DevinoClient, Limits, Message, RetryPolicy
from devino_async.campaigns import ReconcileReport, SQLiteJournal
from devino_async.campaigns.reconciling import Reconciling

DAY = 86_400.0
_PAGE_SIZE = 5
_TEXTS = ("Hello", "Your table is free", f"See {LINK} now", "Код 17", f"Ask {LINK}")
Content = tuple[str, str, str]


@define
class Campaign:
    """What is to be sent under one name."""

    name: str
    messages: list[Message]
    shorten: bool
    batch_size: int


@define
class History:
    """One account, one journal and what happens to them. `ahead` is how far the clock of all of them has gone on."""

    random: Random
    url: str
    name: str
    journal: SQLiteJournal
    account: Account = field(factory=Account)
    ahead: float = 0.0
    zone: timezone | None = None
    has_foreign: bool = False
    campaigns: list[Campaign] = field(factory=list)
    settled: Counter[str] = field(factory=Counter)
    reports: list[ReconcileReport] = field(factory=list)
    # The origins of the messages of each POST, in order.
    arrivals: list[list[str]] = field(factory=list)
    contents: list[tuple[str, str, str]] = field(factory=list)

    def now(self) -> float:
        return time.time() + self.ahead

    @asynccontextmanager
    async def client(self) -> AsyncIterator[DevinoClient]:
        async with DevinoClient(
            self.name,
            base_url=self.url,
            journal=self.journal,
            time_zone=self.zone,
            limits=Limits(in_flight=1),
            retry=RetryPolicy(attempts=1, backoff=0.001),
        ) as made:
            yield made

    # What happens

    def begin(self) -> None:
        """Choose the account and what is to be sent."""
        random, account = self.random, self.account
        account.clock = self.now
        account.hours = random.choice((0, 3, 3, random.randrange(-56, 57) / 4))
        account.rounded = random.choice((0.0, 0.5, 0.999))
        account.delay = random.choice((0.0, 0.0, 20.0, 50.0, -90.0))
        account.filters_by_sent = random.random() < 0.5
        if random.random() < 0.4:
            self.zone = timezone(timedelta(hours=account.hours))
        recipients = [f"7900{number:07}" for number in range(random.choice((2, 6, 40, 400)))]
        texts = random.sample(_TEXTS, 3)
        senders = ("Shop", "Bank")[: random.choice((1, 2))]
        self.contents = [(to, sender, text) for to in recipients for sender in senders for text in texts]
        for number in range(random.choice((1, 1, 2, 3))):
            shorten = random.random() < 0.3
            self.campaigns.append(self._campaign(f"campaign {number}", shorten))

    def _campaign(self, name: str, shorten: bool) -> Campaign:
        random = self.random
        some = random.choices(self.contents, k=random.choice((1, 3, 8, 20)))
        later = datetime.fromtimestamp(self.now() + random.choice((1_800, 7_200, 20_000)), UTC)
        made = [
            Message(
                sender=sender,
                to=to,
                text=text,
                scheduled_time=later if random.random() < 0.1 else None,
                options={"origin": f"{name}/{place}"},
            )
            for place, (to, sender, text) in enumerate(some)
        ]
        return Campaign(name, made, shorten, random.choice((3, 7, 50)))

    async def send(self, campaign: Campaign, *, loses: bool = True) -> None:
        """Run a campaign, while answers are lost, or whole POSTs, or half of an answer."""
        random, account = self.random, self.account
        batches = -(-len(campaign.messages) // campaign.batch_size)
        for number in range(account.sends, account.sends + 3 * batches + 3 if loses else account.sends):
            fate = random.choice((account.lost, account.lost, account.dropped, account.halved, None))
            if fate is not None:
                fate.add(number)
        size = campaign.batch_size
        whole = len(campaign.messages)
        begun = await self.journal.recorded(campaign.name)
        # Mostly a run for each batch: within one, the breaker waits for a moment after each loss.
        one_by_one = loses and begun < whole and random.random() < 0.9
        for stop in range(begun + size, whole + size, size) if one_by_one else (whole,):
            async with self.client() as devino:
                with suppress(CallFailed):
                    await devino.send_all(
                        campaign.messages[:stop], campaign=campaign.name, shorten_url=campaign.shorten, batch_size=size
                    )
        for fates in (account.lost, account.dropped, account.halved):
            fates.clear()

    async def send_keys(self) -> None:
        """Send a few messages under keys, some of which stay in doubt."""
        account = self.account
        async with self.client() as devino:
            for place, (to, sender, text) in enumerate(self.random.sample(self.contents, 2)):
                account.lost.update(range(account.sends, account.sends + (place == 1)))
                origin = {"origin": f"/{place}"}
                await devino.send(Message(sender=sender, to=to, text=text, options=origin), key=str(place))
                account.lost.clear()

    def wait(self) -> None:
        """Let some time pass for everybody."""
        self.ahead += self.random.choice((0.0, 1.0, 60.0, 900.0, 3_600.0, 20_000.0))

    def others(self) -> None:
        """Let other programs send: something else to the same people, and the reminder of the day before."""
        random = self.random
        for to, sender, _ in self.contents:
            if random.random() < 0.2:
                self.account.add(to, f"Your code is {random.randrange(999)}", sender=sender)
        is_proved = self.zone is not None
        for to, sender, text in self.contents:
            # Without a zone, equal messages of the last hours could be ours, for all that anyone can tell.
            ago = random.choice((DAY, DAY + 2_000, 1_800, 7_200) if is_proved else (DAY, DAY + 2_000))
            if random.random() < 0.2:
                self.account.add(to, text, sender=sender, ago=ago + random.uniform(0.0, 5.0))
                self.has_foreign = True

    # Reconciling

    async def reconcile(self, campaign: str | None) -> None:
        """Reconcile, perhaps twice at once, while pages shift, the service fails, or the caller leaves."""
        random, account = self.random, self.account
        account.hidden = {each.message_id for each in account.stored if random.random() < random.choice((0.0, 0.3))}
        async with self.client() as devino:
            tasks = [asyncio.create_task(self._run(devino, campaign)) for _ in range(random.choice((1, 1, 2)))]
            trouble = random.choice((None, None, self._shift, self._fail, tasks[0].cancel))
            at = account.pages + random.randint(1, 4)

            def before_page() -> None:
                if trouble is not None and account.pages >= at and random.random() < 0.7:
                    trouble()

            account.before_page = before_page
            found = await asyncio.gather(*tasks, return_exceptions=True)
            account.before_page = lambda: None
            account.fails = False
        unexpected = [each for each in found if isinstance(each, Exception) and not isinstance(each, CallFailed)]
        if unexpected:
            raise unexpected[0]

    async def _run(self, devino: DevinoClient, campaign: str | None) -> None:
        """What `devino.reconcile` does, by the clock of the history and with small pages."""
        journaled = devino._dispatch.journaled_for("reconcile")
        reconciling = Reconciling(
            self.journal,
            journaled._address,
            lambda query: devino.details(query, page_size=_PAGE_SIZE).pages(),
            turns=journaled._turns,
            total_for=journaled._total_for,
            has_zone=self.zone is not None,
            now=self.now,
        )
        report = await reconciling.run(campaign, None)
        self.reports.append(report)
        self.settled.update(str(each.message_id) for each in report.settled)

    def _shift(self) -> None:
        account, number = self.account, len(self.account.stored)
        account.add("79990000000", "another program's")
        first = account.stored[0]
        early = Stored(str(4_000 + number), "79990000001", "Bank", "x", first.accepted_at, first.sent_at)
        account.stored.insert(0, early)
        if self.random.random() < 0.3:
            account.hidden.add(self.random.choice(account.stored).message_id)

    def _fail(self) -> None:
        self.account.fails = self.random.random() < 0.5

    async def reconcile_while_sending(self, campaign: Campaign) -> None:
        """Reconcile while an equal campaign is being sent, whose answer comes only after that."""
        account, begun, answered = self.account, asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            begun.set()
            await answered.wait()

        twin = Campaign(f"{campaign.name} again", _renamed(campaign), campaign.shorten, 50)
        self.campaigns.append(twin)
        sending: list[asyncio.Task[None]] = []

        def before_page() -> None:
            if not sending:
                account.hold = hold
                sending.append(asyncio.create_task(self.send(twin, loses=False)))

        if self.random.random() < 0.5:
            before_page()
            await begun.wait()
        account.before_page = before_page
        async with self.client() as devino:
            with suppress(CallFailed):
                await self._run(devino, campaign.name)
        account.before_page, account.hold = lambda: None, None
        answered.set()
        await asyncio.gather(*sending)
        if not sending:
            self.campaigns.remove(twin)


def _renamed(campaign: Campaign) -> list[Message]:
    return [
        Message(
            sender=each.sender,
            to=each.to,
            text=each.text,
            scheduled_time=each.scheduled_time,
            options={"origin": f"{campaign.name} again/{place}"},
        )
        for place, each in enumerate(campaign.messages)
    ]


@define
class Accounts:
    """Many accounts at one address, each with a key of its own. It is asked as `Service.answering`."""

    by_key: dict[str, Account] = field(factory=dict)

    async def __call__(self, request: web.Request, body: Any) -> web.StreamResponse:
        return await self.by_key[request.headers["Authorization"].removeprefix("Key ")](request, body)


async def lived(seed: int, service: Service, path: Path) -> History:
    """A history with everything in it, up to the moment at which the service shows all that it has."""
    random = Random(seed)
    clock: list[History] = []
    journal = SQLiteJournal(path, clock=lambda: clock[0].now() if clock else time.time())
    history = History(random, service.url, str(seed), journal)
    clock.append(history)
    if not isinstance(service.answering, Accounts):
        service.answering = Accounts()
    service.answering.by_key[history.name] = history.account
    history.begin()
    if random.random() < 0.5:
        history.others()
        history.wait()
    if random.random() < 0.4:
        # An answered campaign of the day before, or of this minute, shows the zone.
        await history.send(history.campaigns[0], loses=False)
        history.campaigns.append(history._campaign("another", shorten=False))
        history.ahead += random.choice((0.0, DAY))
    if random.random() < 0.3:
        await asyncio.gather(*map(history.send, history.campaigns))
    for each in history.campaigns:
        await history.send(each)
        history.wait()
    if random.random() < 0.4:
        await history.send_keys()
    for _ in range(random.choice((1, 2))):
        await history.reconcile(random.choice([*(each.name for each in history.campaigns), None]))
        history.wait()
    if random.random() < 0.3:
        await history.reconcile_while_sending(random.choice(history.campaigns))
    history.ahead += random.choice((0.0, 30_000.0))
    history.account.hidden.clear()
    for name in [*(each.name for each in history.campaigns), None]:
        async with history.client() as devino:
            await history._run(devino, name)
    return history


def content_of(each: Message) -> Content:
    return each.to, each.sender, each.text


def contents_in_doubt(campaigns: Sequence[Campaign]) -> Counter[tuple[str, str]]:
    return Counter((each.to, each.sender) for campaign in campaigns for each in campaign.messages)


def options_of(each: Message) -> str:
    origin: Any = (each.options or {})["origin"]
    return str(origin)
