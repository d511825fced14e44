"""A journal with something of everything, and verbs whose processes are killed at random moments.

After each kill the journal must be whole, with each message as it was or as the verb leaves it. After the same verb
once more, it must be as after a verb that was never interrupted.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from account import Account
from account_server import account_server
from attrs import define, field, frozen
from processes import child
from programs import ENDED_EARLY, Verb, carry_out, run_verb
from traps import Trap

from devino_async import DevinoClient, Limits, Message
from devino_async.campaigns import JournalError, SQLiteJournal

NAME, OTHER, YOUNG, OLD = "sale", "other", "young", ("old", "older")
BATCH = 100
AN_HOUR = 3_600.0
OLD_KEYS = 2_300
"""More than `prune` deletes in one transaction."""
MAX_PAGES = 4
Verbs = Mapping[str, tuple[str, Sequence[Any], Mapping[str, Any]]]
VERBS: Verbs = {
    "resend": ("resolve", (NAME, "resend"), {}),
    "resend of named ones": ("resolve", (NAME, "resend", range(0, 250, 3)), {}),
    "assume sent": ("resolve", (NAME, "assume_sent"), {}),
    "resend of a key": ("resolve_key", ("lost-1", "resend"), {}),
    "assume sent of a key": ("resolve_key", ("lost-1", "assume_sent"), {}),
    "reopen": ("reopen", (NAME, ["balance.not.enough"]), {}),
    "pause": ("pause", (NAME,), {}),
    "unpause": ("unpause", (OTHER,), {}),
    "cancel": ("cancel", (NAME,), {}),
    "forget": ("forget", (NAME, True), {}),
    "prune": ("prune", (timedelta(minutes=30),), {}),
    "reconcile": ("reconcile", (), {"campaign": NAME}),
    "reconcile keys": ("reconcile", (), {}),
}


def message(number: int, text: str = "Sale! {}") -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text=text.format(number % 7))


@frozen
class Snapshot:
    """All that a journal says, but for times."""

    campaigns: dict[str, tuple[Any, ...]]
    outcomes: dict[str, list[tuple[Any, ...]]]
    keys: dict[str, tuple[Any, ...]]
    texts: int

    def proved(self) -> set[str]:
        """The recipients of batches of which the journal knows that they arrived, but for what was rejected."""
        told = self.outcomes[NAME]
        batches = [told[at : at + BATCH] for at in range(0, len(told), BATCH)]
        has_proof = [each for each in batches if any(state in {"accepted", "rejected"} for _, state, _ in each)]
        return {message(at).to for each in has_proof for at, state, _ in each if state != "rejected"}


async def _snapshot(path: Path) -> Snapshot:
    async with SQLiteJournal(path) as journal:
        states = await journal.campaigns()
        campaigns = {
            each.name: (each.messages, each.accepted, each.rejected, each.not_sent, each.unconfirmed, each.assumed_sent)
            + (each.in_flight, each.planned, each.paused, each.cancelled, each.complete)
            for each in states
        }
        outcomes = {
            each.name: [(one.position, one.state, one.message_id) async for one in journal.outcomes(each.name)]
            for each in states
        }
        keys = {str(each.key): (each.state, each.message_id) async for each in journal.keys(None)}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [texts] = connection.execute(
            "SELECT (SELECT count(bodies) FROM part) + (SELECT count(body) FROM keyed)"
        ).fetchone()
    return Snapshot(campaigns, outcomes, keys, texts)


@define
class World:
    """One journal and one account. `journal` is never changed: each verb gets a copy."""

    folder: Path
    journal: Path
    account: Account
    url: str
    random: Random
    before: Snapshot
    kills: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    _copies: int = 0

    def copy(self) -> Path:
        self._copies += 1
        return Path(shutil.copy(self.journal, self.folder / f"{self._copies}.journal"))

    def job(self, path: Path, verb: str, trap: Trap | None = None) -> Verb:
        name, arguments, options = VERBS[verb]
        return Verb(url=self.url, journal=str(path), name=name, arguments=arguments, options=options, trap=trap)

    def uninterrupted(self, verb: str) -> tuple[Snapshot, int]:
        """What a whole verb leaves, and how many SQL statements it takes. Checks what a run then sends."""
        path = self.copy()
        statements = _counted(lambda: asyncio.run(carry_out(self.job(path, verb))))
        after = asyncio.run(_snapshot(path))
        self._check_run(path, verb)
        path.unlink()
        return after, statements

    def _check_run(self, path: Path, verb: str) -> None:
        """The next run sends nothing that is proved to have arrived. After reconciling, all that is shown is proved."""
        if verb == "resend of named ones":
            # A person named them, whatever is proved.
            return
        stored, sends, rejected = list(self.account.stored), self.account.sends, self.account.rejected
        arrived = self.before.proved()
        if verb == "reconcile":
            arrived = {each.recipient for each in stored}
            asyncio.run(carry_out(self.job(path, "resend")))
        asyncio.run(_again(path, self.url))
        again = arrived.intersection(each.recipient for each in self.account.stored[len(stored) :])
        if again:
            self.wrong.append(f"{verb}: {len(again)} messages of batches that arrived were sent again")
        self.account.stored[:], self.account.sends, self.account.rejected = stored, sends, rejected

    def one(self, verb: str, after: Snapshot, statements: int) -> None:
        """Kill a process in the middle of a verb, and carry it out again."""
        path = self.copy()
        random = self.random
        lot = random.random()
        how = "statement" if lot < 0.6 else "clock"
        if verb.startswith("reconcile") and lot < 0.4:
            how = "page"
        trap = Trap(signal.SIGKILL, random.randint(1, statements), random.choice((0.0, 0.0, random.uniform(0, 0.003))))
        with child(run_verb, self.job(path, verb, trap if how == "statement" else None)) as process:
            if how == "page":
                self._kill_at_page(process, random.randint(1, MAX_PAGES))
            process.go()
            if how == "clock" and not process.ends_within(random.uniform(0.0, 0.03)):
                process.signal(signal.SIGKILL)
            status = process.end()
        self.account.before_page = lambda: None
        if status == -signal.SIGKILL:
            self.kills[f"{verb} {how}"] += 1
        elif status not in {0, ENDED_EARLY}:
            self.wrong.append(f"{verb}: the process ended in {status}")
        where = f"{verb}, {how} {trap.number}"
        self._check_middle(where, asyncio.run(_snapshot(path)), after)
        try:
            asyncio.run(carry_out(self.job(path, verb)))
        except JournalError as refusal:
            # Only a campaign that is forgotten already can no longer be forgotten.
            if verb != "forget" or "no campaign" not in str(refusal):
                self.wrong.append(f"{where}: {refusal}")
        if asyncio.run(_snapshot(path)) != after:
            self.wrong.append(f"{where}: the second one ends otherwise than an uninterrupted one")
        path.unlink()

    def _kill_at_page(self, process: Any, number: int) -> None:
        left = [number]

        def page() -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(process._process.pid, signal.SIGKILL)

        self.account.before_page = page

    def _check_middle(self, where: str, found: Snapshot, after: Snapshot) -> None:
        for name, told in found.outcomes.items():
            counts = found.campaigns[name]
            if counts[0] != len(told) or sum(counts[1:8]) != counts[0]:
                self.wrong.append(f"{where}: the counts of {name} do not add up")
            befores, afters = self.before.outcomes.get(name, []), after.outcomes.get(name, [])
            if told and any(each not in {*befores, *afters} for each in told):
                self.wrong.append(f"{where}: a message of {name} is neither as it was nor as it will be")
            if not where.startswith("reconcile") and told not in (befores, afters):
                self.wrong.append(f"{where}: {name} is half done")
            if not where.startswith("reconcile") and counts not in (
                self.before.campaigns[name],
                after.campaigns.get(name),
            ):
                self.wrong.append(f"{where}: {name} is neither as it was nor as it will be")
        for key, told in self.before.keys.items():
            if found.keys.get(key) not in (told, after.keys.get(key)):
                self.wrong.append(f"{where}: the key {key} is neither as it was nor as it will be")


def _counted(work: Any) -> int:
    count = [0]
    connect = sqlite3.connect

    def note(_: str) -> None:
        count[0] += 1

    def watched(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(path, *arguments, **options)
        if path != ":memory:":
            connection.set_trace_callback(note)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]
    try:
        work()
    finally:
        sqlite3.connect = connect
    return count[0]


async def _again(path: Path, url: str) -> None:
    """Run the campaign again, as far as the verb lets it."""
    async with SQLiteJournal(path) as journal, DevinoClient("any-key", base_url=url, journal=journal) as client:
        with suppress(JournalError):
            await client.send_all([message(number) for number in range(600)], campaign=NAME)


async def _build(path: Path, account: Account, url: str, old_keys: int) -> None:
    """One campaign with a batch of each kind, another one in doubt, finished ones old and young, and keys."""
    clock = [0.0]

    async def run(name: str, some: Sequence[Message], **options: Any) -> None:
        async with client() as devino:
            await devino.send_all(some, campaign=name, batch_size=BATCH, **options)

    def client() -> DevinoClient:
        return DevinoClient("any-key", base_url=url, journal=journal, limits=Limits(in_flight=1))

    async with SQLiteJournal(path, clock=lambda: time.time() - clock[0]) as journal:
        some = [message(number) for number in range(600)]
        account.rejected = {message(number).to for number in range(0, 600, 11)}
        # Batch 0 is answered, 1 and 2 arrive and lose answers, 3 never arrives, 4 gets half an answer, 5 is answered.
        for number in range(6):
            kind = {1: account.lost, 2: account.lost, 3: account.dropped, 4: account.halved}.get(number)
            if kind is not None:
                kind.add(account.sends)
            await run(NAME, some[: (number + 1) * BATCH])
        account.lost.add(account.sends)
        await run(OTHER, [message(number) for number in range(900, 980)])
        await journal.pause(OTHER)
        account.rejected = set()
        await run(YOUNG, [message(number) for number in range(1_000, 1_020)])
        async with client() as devino:
            for number in range(3):
                (account.lost if number else account.dropped).add(account.sends)
                await devino.send(message(2_000 + number), key=f"lost-{number}")
            await devino.send(message(2_010), key="young")
        clock[0] = AN_HOUR
        for name in OLD:
            await run(name, [message(number) for number in range(1_100, 1_130)])
        async with client() as devino:
            await asyncio.gather(
                *(devino.send(message(10_000 + number), key=f"old-{number}") for number in range(old_keys))
            )


@contextmanager
def world(folder: Path, seed: int, old_keys: int = 20) -> Iterator[World]:
    """A world of its own, with its account."""
    random = Random(seed)
    account = Account(hours=random.choice((-5, 0, 3, 3, 10)))
    with account_server(account) as url:
        path = folder / "world.journal"
        asyncio.run(_build(path, account, url, old_keys))
        before = asyncio.run(_snapshot(path))
        yield World(folder, path, account, url, random, before)
