"""SQLiteJournal: a journal in one file, for the tasks and processes of one machine.

Its file, and which processes live, are in sqlite_store.py. What a transaction does is in sqlite_campaigns.py,
sqlite_parts.py, sqlite_keys.py and sqlite_verbs.py.
"""

import asyncio
import heapq
import os
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

from attrs import evolve

from ..errors import ConfigurationError, JournalError
from ..storage.sqlite import truncate_log
from . import sqlite_campaigns, sqlite_evidence, sqlite_keys, sqlite_parts, sqlite_verbs
from .blobs import Damaged, unpack_bytes
from .results import Results, outcomes_within, position_of
from .sqlite_store import JournalFile, check_tables
from .states import (
    MARKS,
    CampaignState,
    ForgottenCampaign,
    How,
    KeyedSend,
    KeyRecord,
    Outcome,
    Part,
    Pruned,
    Record,
    Resolved,
    Run,
    State,
    check_how,
)

__all__ = ["VERSION", "SQLiteJournal"]

T = TypeVar("T")
Clock = Callable[[], float]

VERSION = 2
# How often keys were deleted. A list of keys that is being read would be short otherwise, and not say so.
_PRUNED = "pruned INTEGER NOT NULL DEFAULT 0"
_SCHEMA = (
    # Twice: with a damaged secret every message would be a new one.
    f"CREATE TABLE meta (secret BLOB NOT NULL, again BLOB, {_PRUNED})",
    "INSERT INTO meta (secret) VALUES (randomblob(32))",
    "UPDATE meta SET again = secret",
    "CREATE TABLE claimer (name TEXT PRIMARY KEY) WITHOUT ROWID",
    *sqlite_campaigns.SCHEMA,
    *sqlite_parts.SCHEMA,
    *sqlite_keys.SCHEMA,
    *sqlite_evidence.SCHEMA,
)
_POSITIONS_AT_ONCE = 32_000
_KEYS_AT_ONCE = 1_000
_KEYS_PRUNED_AT_ONCE = 250
_CAMPAIGNS_AT_ONCE = 250
_KEYS_A_STEP = 64
_OUTCOMES_A_STEP = 500
# What Results raises if it is given anything but what was packed.
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, Damaged)


class SQLiteJournal(JournalFile):
    """Keep campaigns and keyed sends in the file `path`. A file that is missing is created for its owner only.

    Use it as an async context manager. Several processes may use one file, and several journals in one process too.
    A journal on a network file system is refused, if that can be detected, because locks do not work there.

    An older copy of a file does not know what was claimed since. Never send with one before its unconfirmed messages
    are reconciled. The `-wal` file beside it holds the last changes while it is in use, and after a crash. SQLite takes
    what is left of that file for the whole. So if it was cut or deleted, or was not copied too, what remains is an
    older copy.

    With `references`, messages that have a callback address are sent with one more option, `dv_ref`. If `on_status` is
    given to a CallbackReceiver, each callback that carries this option settles its message at once.
    """

    def __init__(self, path: str | os.PathLike[str], *, references: bool = False, clock: Clock = time.time) -> None:
        super().__init__(path, schema=_SCHEMA, version=VERSION, upgrades={1: _upgraded_from_1})
        self._clock = clock
        self.evidence = sqlite_evidence.SQLiteEvidence(self._do, self._together, self._bury, clock)
        self.on_status, self.references = self.evidence.on_status, references

    # Runs of campaigns

    async def begin(self, name: str, address: str, *, path: str | None = None, output: str | None = None) -> Run:
        """Begin the only run of a campaign. If there is no campaign of this name, create it."""
        await self._bury()
        # It takes about 10 milliseconds for a million messages.
        await self._do(partial(check_tables, names=("campaign", "part")), of=name)
        token = secrets.token_hex(8)

        def work(connection: sqlite3.Connection) -> tuple[int, int, bool]:
            begun = {"run": token, "claimer": self._claimer.name, "path": path, "output": output}
            return sqlite_campaigns.begin(connection, name, address, begun, self._clock())

        campaign, recorded, cancelled = await self._claim(work, is_first=True)
        secret = await self.secret()
        return Run(campaign=campaign, name=name, token=token, secret=secret, recorded=recorded, cancelled=cancelled)

    async def end(self, run: Run, *, complete: bool) -> None:
        """End a run. `complete` says that the input was read to its end, which is remembered for good."""
        await self._together(partial(sqlite_campaigns.end, run=run, complete=complete))
        # Texts that were deleted from the file may still be in the write-ahead log.
        await self._do(truncate_log)

    async def check_not_forgotten(self, name: str) -> None:
        """Raise CampaignForgotten if a campaign of this name was forgotten, as `begin` would."""
        await self._do(partial(sqlite_campaigns.check_not_forgotten, name=name))

    async def records(self, name: str, start: int, stop: int) -> Sequence[Record]:
        """Return the parts with an unmoved message at `start` <= position < `stop`, sorted by first position."""
        return await self._do(partial(sqlite_parts.records, name=name, start=start, stop=stop), of=name)

    async def recorded(self, name: str) -> int:
        """Return one more than the highest position of this campaign in the journal, or 0."""
        query = "SELECT recorded FROM campaign WHERE name = ?"
        row = await self._do(lambda connection: connection.execute(query, (name,)).fetchone())
        return row[0] if row else 0

    async def claim(self, run: Run, part: Part) -> None:
        """Record that a part is being sent. If it was released before, claim it again."""

        def work(connection: sqlite3.Connection) -> None:
            sqlite_parts.claim(connection, run, part, self._claimer.name, self._clock())

        await self._claim(work, of=run.name)

    async def release(self, run: Run, token: str) -> None:
        """Record that nothing of a claimed part was sent."""
        await self._together(partial(sqlite_parts.release, run=run, token=token, now=self._clock()), of=run.name)

    async def settle(self, run: Run, part: Part, marks: bytes, results: bytes) -> None:
        """Record what became of a part. Texts of messages that are neither in doubt nor unsent are deleted."""
        work = partial(sqlite_parts.settle, run=run, part=part, marks=marks, results=results, now=self._clock())
        await self._together(work, of=run.name)

    # Keys

    async def find_keys(self, keys: Sequence[str]) -> Mapping[str, KeyRecord]:
        """Return what is known about these keys. A key that a dead process had claimed is unconfirmed."""
        return await self._keys_or_again(lambda: self._do(partial(sqlite_keys.find, keys=keys)))

    async def claim_keys(
        self, token: str, address: str, sends: Sequence[KeyedSend], until: float, *, shortened: bool = False
    ) -> Mapping[str, KeyRecord]:
        """Record that these are being sent and return nothing, or return the records that forbid it."""

        def work(connection: sqlite3.Connection) -> dict[str, sqlite_keys.Found]:
            mine, now = self._claimer.name, self._clock()
            return sqlite_keys.claim(connection, token, address, sends, (mine, now, until, shortened))

        await self._check_keys()
        return await self._keys_or_again(lambda: self._claim(work))

    async def release_keys(self, token: str) -> None:
        """Record that nothing was sent of what this token claimed."""
        await self._together(partial(sqlite_keys.release, token=token, claimer=self._claimer.name))

    async def settle_keys(self, token: str, outcomes: Mapping[str, tuple[State, bytes]]) -> None:
        """Record the state and the results of each of these keys that this token claimed."""
        await self._together(partial(sqlite_keys.settle, token=token, outcomes=outcomes))
        self._tidy_soon()

    async def secret(self) -> bytes:
        """Return the random key of this journal's fingerprints. It has 32 bytes."""

        def read(connection: sqlite3.Connection) -> bytes:
            [(secret, again)] = connection.execute("SELECT secret, again FROM meta").fetchall()
            if secret != again:
                raise Damaged
            return bytes(secret)

        return await self._do(read)

    # What a person decides

    async def pause(self, name: str) -> None:
        """Let no further batch of a campaign begin, in any process, until `unpause`."""
        await self._switch(name, "paused", True)

    async def unpause(self, name: str) -> None:
        """Let a paused campaign go on. Run it again to send the rest."""
        await self._switch(name, "paused", False)

    async def cancel(self, name: str) -> None:
        """End a campaign for good. Its runs give the recorded receipts, and NotSent for everything else."""
        await self._switch(name, "cancelled", True)

    async def _switch(self, name: str, column: str, on: bool) -> None:
        await self._together(partial(sqlite_verbs.switch, name=name, column=column, on=on, now=self._clock()))

    async def resolve(self, name: str, how: How, positions: Collection[int] | None = None) -> Resolved:
        """Decide about unconfirmed messages. Those of a batch that arrived are passed over unless they are named."""
        check_how(how)
        await self._bury()
        places = None if positions is None else frozenset(positions)
        work = partial(sqlite_verbs.resolve, name=name, how=how, positions=places, now=self._clock())
        return await self._together(work, of=name)

    async def resolve_key(self, key: str, how: How) -> bool:
        """Decide about an unconfirmed key. Returns False if it is not unconfirmed. With "resend" it is free again."""
        check_how(how)
        await self._bury()
        return await self._together(partial(sqlite_verbs.resolve_key, key=key, how=how, now=self._clock()))

    async def reopen(self, name: str, reasons: Collection[str]) -> int:
        """Let the next run send rejected messages again that have one of these reasons. Returns how many there are."""
        work = partial(sqlite_verbs.reopen, name=name, reasons=frozenset(reasons), now=self._clock())
        return await self._together(work, of=name)

    async def forget(self, name: str, even_unconfirmed: bool = False) -> int:
        """Delete all that is known of the messages of a campaign. Returns how many there were."""
        await self._bury()
        work = partial(sqlite_verbs.forget, name=name, even_unconfirmed=even_unconfirmed, now=self._clock())
        forgotten = await self._together(work)
        await self._do(truncate_log)
        return forgotten

    async def prune(self, older_than: timedelta) -> Pruned:
        """Forget finished campaigns and delete settled keys that have not changed for this long.

        It takes many short transactions, so that others can send meanwhile. If it is cut short, the rest is left.
        """
        await self._bury()
        before = self._clock() - older_than.total_seconds()
        campaigns = keys = 0
        old = await self._do(partial(sqlite_verbs.old_campaigns, before=before))
        while old:
            work = partial(sqlite_verbs.prune_campaigns, campaigns=old, before=before, now=self._clock())
            looked, forgotten = await self._in_turn(work)
            campaigns, old = campaigns + forgotten, old[looked:]
        after: str | None = ""
        while after is not None:
            some = partial(sqlite_verbs.prune_keys, after=after, before=before, count=_KEYS_PRUNED_AT_ONCE)
            pruned, after = await self._in_turn(some)
            keys += pruned
        await self._do(truncate_log)
        return Pruned(campaigns, keys)

    async def _in_turn(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in a transaction. Then leave the file to other processes for as long as that took."""
        began = time.monotonic()
        result = await self._together(work)
        await asyncio.sleep(time.monotonic() - began)
        return result

    # Looking

    async def campaigns(self) -> tuple[CampaignState, ...]:
        """Return all campaigns, the oldest first. Forgotten ones are not among them."""
        await self._bury()
        found: list[CampaignState] = []
        after, some = await self._do(partial(sqlite_campaigns.page, after=0, count=_CAMPAIGNS_AT_ONCE))
        while some:
            found += some
            after, some = await self._do(partial(sqlite_campaigns.page, after=after, count=_CAMPAIGNS_AT_ONCE))
        return tuple(found)

    async def forgotten(self) -> tuple[ForgottenCampaign, ...]:
        """Return what stays of the campaigns that were forgotten, the oldest first."""
        return await self._do(sqlite_campaigns.forgotten)

    async def outcomes(self, name: str) -> AsyncIterator[Outcome]:
        """Yield what became of each message of a campaign, sorted by position.

        Raises JournalError if the journal does not have this campaign, or if it is forgotten meanwhile.
        """
        await self._bury()
        await self._do(partial(sqlite_verbs.campaign_of, name=name))
        number = 0
        for start in range(0, await self.recorded(name), _POSITIONS_AT_ONCE):
            stop = start + _POSITIONS_AT_ONCE
            try:
                found = [outcomes_within(each, start, stop) for each in await self.records(name, start, stop)]
            except _UNREADABLE:
                raise self._damaged(name) from None
            # Otherwise the outcomes of a campaign that is forgotten now would end here, as if they were all.
            await self._do(partial(sqlite_verbs.campaign_of, name=name))
            for outcome in heapq.merge(*found, key=position_of):
                yield outcome
                number += 1
                if number % _OUTCOMES_A_STEP == 0:
                    await asyncio.sleep(0)

    async def keys(self, state: State | str | None = None) -> AsyncIterator[Outcome]:
        """Yield what became of each keyed send, sorted by key. `state` limits it to those in one state.

        Raises JournalError if keys are pruned meanwhile.
        """
        if state is not None and state not in [*State]:
            raise ConfigurationError(f"state must be one of {', '.join(State)}")
        wanted = None if state is None else State(state)
        await self._bury()
        after: str | None = None
        prunings = await self._do(sqlite_keys.prunings)
        while True:
            page = partial(sqlite_keys.page, after=after, state=wanted, count=_KEYS_AT_ONCE)
            rows, now = await self._do(page)
            if now != prunings:
                raise JournalError("keys were pruned while they were read. Read them again")
            if not rows:
                return
            for number, (after, found, results) in enumerate(rows, 1):
                try:
                    [outcome] = Results(bytes((MARKS[State(found)],)), unpack_bytes(results)).outcomes([0])
                except _UNREADABLE:
                    raise self._damaged(None) from None
                yield evolve(outcome, position=None, key=after)
                if number % _KEYS_A_STEP == 0:
                    await asyncio.sleep(0)


def _upgraded_from_1(connection: sqlite3.Connection) -> None:
    """Add whether messages are scheduled, and an index. What may be scheduled says nothing about the service's zone."""
    for table in ("part", "keyed"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 1")
    connection.execute(f"ALTER TABLE meta ADD COLUMN {_PRUNED}")
    connection.execute(sqlite_keys.PLANNED_INDEX)
