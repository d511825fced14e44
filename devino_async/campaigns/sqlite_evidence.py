"""Evidence in SQLite: what is in doubt, which ids are known, and the settling of what was found.

Every function but those of SQLiteEvidence gets the connection and runs in the thread of the file.
"""

import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .blobs import Damaged, blanked, pack_bytes, unpack_bodies, unpack_bytes, unpack_positions
from .evidence import InDoubt, Known
from .merging import OPEN, with_found
from .references import NAME, references_in
from .sqlite_parts import rewrite
from .states import Mark

if TYPE_CHECKING:
    from ..protocol.callbacks import StatusCallback

__all__ = ["SCHEMA", "SQLiteEvidence"]

T = TypeVar("T")

# The ids of rows that reconciling has used. Each row is evidence once, whatever becomes of its campaign.
SCHEMA = ("CREATE TABLE found (message_id TEXT PRIMARY KEY) WITHOUT ROWID",)
_PARTS_AT_ONCE = 32
_KEYS_AT_ONCE = 2_000
_NEAR_PARTS, _NEAR_KEYS, _IDS_OF_A_PART = 8, 8, 4
_DOUBTED = bytes((Mark.UNCONFIRMED, Mark.CLAIMED))
_NEXT = """SELECT part.id, token, campaign.name, claimed_at, shortened, part.claimer, marks, positions, first, last,
    bodies FROM part JOIN campaign ON campaign.id = part.campaign
    WHERE part.id > ? AND address = ? AND unconfirmed + claimed > 0 AND claimed_at >= ?
    ORDER BY part.id LIMIT 1"""
_KEYED = """SELECT token, state, claimed_at, claimed_until, shortened, key, body FROM keyed
    WHERE state IN ('unconfirmed', 'in_flight') AND address = ? AND claimed_at >= ? AND body IS NOT NULL
    ORDER BY token, state, key"""
_ARRIVED = """SELECT DISTINCT token FROM keyed WHERE state = 'accepted'
    AND token IN (SELECT token FROM keyed WHERE state = 'unconfirmed' AND address = ?)"""
_NEAR = """SELECT claimed_at, last - first + 1, results FROM part JOIN campaign ON campaign.id = part.campaign
    WHERE accepted > 0 AND claimed_at IS NOT NULL AND NOT scheduled AND address = ?
    ORDER BY abs(claimed_at - ?) LIMIT ?"""
_NEAR_KEYED = """SELECT claimed_at, 1, results FROM keyed
    WHERE state = 'accepted' AND claimed_at IS NOT NULL AND NOT scheduled AND address = ?
    ORDER BY abs(claimed_at - ?) LIMIT ?"""


_KEYS_OF_CLAIM = """SELECT key, body FROM keyed WHERE state = 'unconfirmed' AND token = ? AND body IS NOT NULL
    UNION ALL SELECT key, body FROM keyed WHERE state = 'planned' AND token = ? AND body IS NOT NULL
    UNION ALL SELECT key, body FROM keyed WHERE state = 'in_flight' AND token = ? AND body IS NOT NULL
        AND claimer IN (SELECT name FROM claimer)"""
# A part: its id and its campaign, marks, results and bodies.
_Row = tuple[int, int, bytes, bytes | None, bytes | None]


class Together(Protocol):
    """Runs work in a transaction."""

    def __call__(self, work: Callable[[sqlite3.Connection], T], *, of: str | None = None) -> Awaitable[T]: ...


class SQLiteEvidence:
    """The evidence of one SQLiteJournal. It uses the journal's methods to work on the file."""

    def __init__(
        self, do: Together, together: Together, bury: Callable[[], Awaitable[bool]], clock: Callable[[], float]
    ) -> None:
        self._do = do
        self._together = together
        self._bury = bury
        self._clock = clock
        # What callbacks have told since the last piece of work began to write it. Both threads use it.
        self._heard: dict[str, dict[int, str]] = {}
        self._hearing = threading.Lock()

    async def in_doubt(self, address: str, since: float = 0.0) -> AsyncIterator[InDoubt]:
        """Yield what is in doubt, or being sent, and was claimed at this time or later. One part is read at a time."""
        await self._bury()
        after = 0
        while (found := await self._do(partial(_next_part, after=after, address=address, since=since))) is not None:
            after, doubt = found
            yield doubt
        for keyed in await self._do(partial(_keyed_in_doubt, address=address, since=since)):
            yield keyed

    async def near(self, address: str, moment: float) -> Sequence[Known]:
        """Return a few accepted messages of claims close to this time."""
        return await self._do(partial(_near, address=address, moment=moment))

    async def known(self, ids: Collection[str]) -> frozenset[str]:
        """Return which of these ids the journal knows. All of its answers are read, some at a time."""
        wanted = frozenset(ids)
        if not wanted:
            return wanted
        known = await self._do(partial(_known_found, wanted=wanted))
        for read in (_known_in_parts, _known_in_evidence, _known_in_keys):
            after: Any = None
            while (step := await self._do(partial(read, wanted=wanted, after=after))) is not None:
                after, some = step
                known |= some
        return known

    async def settle(self, doubt: InDoubt, found: Mapping[int, str]) -> frozenset[int]:
        """Record the ids that were found, by place, and return the places that were still in doubt until now."""
        settle = _settle_keys if doubt.campaign is None else _settle_part
        work = partial(settle, doubt=doubt, found=found, now=self._clock())
        return await self._together(work, of=doubt.campaign)

    async def on_status(self, events: "Sequence[StatusCallback]") -> None:
        """Settle the messages in doubt that these callbacks name. Others, and what is settled already, are left out.

        A message that is still being sent is settled too: its callback may come before its answer.
        """
        found = references_in(events)
        if found:
            await self._together(partial(self._settle_heard, heard=self._add(found)))

    def _add(self, found: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, str]]:
        """Add this to what is written next, and return all of that. Callbacks mostly come one by one."""
        with self._hearing:
            for token, ids in found.items():
                self._heard.setdefault(token, {}).update(ids)
            return self._heard

    def _settle_heard(self, connection: sqlite3.Connection, heard: dict[str, dict[int, str]]) -> None:
        """Settle all that is heard by now. It may take a tenth of a second, however few of a large part these are.

        So the first caller does it for all that wait. The others find it done, or do it if that was undone.
        """
        with self._hearing:
            if self._heard is heard:
                self._heard = {}
        _settle_references(connection, heard, self._clock())


def _next_part(connection: sqlite3.Connection, after: int, address: str, since: float) -> tuple[int, InDoubt] | None:
    row = connection.execute(_NEXT, (after, address, since)).fetchone()
    if row is None:
        return None
    part, token, name, claimed_at, shortened, claimer, packed, packed_positions, first, last, bodies = row
    marks = unpack_bytes(packed)
    lines = unpack_bodies(bodies, len(marks))
    positions = unpack_positions(packed_positions, first, last)
    if len(marks) != len(positions):
        raise Damaged
    places = [place for place, mark in enumerate(marks) if mark in _DOUBTED]
    return part, InDoubt(
        token=token,
        campaign=name,
        claimed_at=claimed_at,
        shortened=bool(shortened),
        is_live=claimer is not None,
        arrived=Mark.ACCEPTED in marks,
        count=len(marks),
        places=places,
        positions=[positions[place] for place in places],
        lines=[lines[place] for place in places],
    )


def _keyed_in_doubt(connection: sqlite3.Connection, address: str, since: float) -> list[InDoubt]:
    """Return the keyed sends in doubt. Those of one claim travelled in one POST."""
    arrived = {token for (token,) in connection.execute(_ARRIVED, (address,))}
    doubts = []
    rows = connection.execute(_KEYED, (address, since))
    for (token, state, claimed_at, until, shortened), some in groupby(rows, lambda row: row[:5]):
        pairs = [(key, unpack_bytes(body)) for *_, key, body in some]
        doubts.append(
            InDoubt(
                token=token,
                campaign=None,
                claimed_at=claimed_at,
                claimed_until=until,
                shortened=bool(shortened),
                is_live=state == "in_flight",
                arrived=token in arrived,
                count=len(pairs),
                places=range(len(pairs)),
                keys=[key for key, _ in pairs],
                lines=[body for _, body in pairs],
            )
        )
    return doubts


def _near(connection: sqlite3.Connection, address: str, moment: float) -> list[Known]:
    known = []
    for query, limit in ((_NEAR, _NEAR_PARTS), (_NEAR_KEYED, _NEAR_KEYS)):
        for claimed_at, count, results in connection.execute(query, (address, moment, limit)):
            ids = _ids_in(unpack_bytes(results))
            some = frozenset(ids[:: max(1, -(-len(ids) // _IDS_OF_A_PART))])
            known += [Known(each, claimed_at, count) for each in some - _known_found(connection, some)]
    return known


Step = tuple[Any, frozenset[str]] | None


def _known_found(connection: sqlite3.Connection, wanted: frozenset[str]) -> frozenset[str]:
    query = "SELECT 1 FROM found WHERE message_id = ?"
    return frozenset(each for each in wanted if connection.execute(query, (each,)).fetchone())


def _known_in_parts(connection: sqlite3.Connection, wanted: frozenset[str], after: int | None) -> Step:
    query = "SELECT id, results FROM part WHERE id > ? AND results IS NOT NULL ORDER BY id LIMIT ?"
    return _known_in(connection.execute(query, (after or 0, _PARTS_AT_ONCE)), wanted)


def _known_in_evidence(connection: sqlite3.Connection, wanted: frozenset[str], after: int | None) -> Step:
    query = "SELECT part, results FROM evidence WHERE part > ? ORDER BY part LIMIT ?"
    return _known_in(connection.execute(query, (after or 0, _PARTS_AT_ONCE)), wanted)


def _known_in_keys(connection: sqlite3.Connection, wanted: frozenset[str], after: str | None) -> Step:
    query = "SELECT key, results FROM keyed WHERE key > ? AND results IS NOT NULL ORDER BY key LIMIT ?"
    return _known_in(connection.execute(query, (after or "", _KEYS_AT_ONCE)), wanted)


def _known_in(rows: Iterable[tuple[Any, bytes]], wanted: frozenset[str]) -> Step:
    last: Any = None
    known: set[str] = set()
    for last, results in rows:  # noqa: B007 - the last one is where the next step begins
        known |= wanted.intersection(_ids_in(unpack_bytes(results)))
    return None if last is None else (last, frozenset(known))


def _ids_in(results: bytes) -> list[str]:
    """Return the ids in results. Raises Damaged: an id that cannot be read could serve as evidence again."""
    try:
        ids: str = json.loads(results)["ids"] if results else ""
        return ids.split("\n") if ids else []
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged from None


def _unused(connection: sqlite3.Connection, found: Mapping[int, str]) -> Iterator[tuple[int, str]]:
    """Note the ids that are found, and yield those that were not noted before."""
    for place, each in found.items():
        if connection.execute("INSERT OR IGNORE INTO found VALUES (?)", (each,)).rowcount:
            yield place, each


def _settle_part(
    connection: sqlite3.Connection, doubt: InDoubt, found: Mapping[int, str], now: float
) -> frozenset[int]:
    row = _part_of(connection, doubt.token)
    return frozenset() if row is None else _settle_row(connection, row, found, bytes((Mark.UNCONFIRMED,)), now)


def _part_of(connection: sqlite3.Connection, token: str) -> _Row | None:
    query = "SELECT id, campaign, marks, results, bodies FROM part WHERE token = ?"
    row: _Row | None = connection.execute(query, (token,)).fetchone()
    return row


def _settle_row(
    connection: sqlite3.Connection, row: _Row, found: Mapping[int, str], is_open: bytes, now: float
) -> frozenset[int]:
    part, campaign, packed_marks, packed_results, bodies = row
    marks = unpack_bytes(packed_marks)
    open_still = {place: each for place, each in found.items() if place < len(marks) and marks[place] in is_open}
    ids = dict(_unused(connection, open_still))
    if ids:
        after = bytes(Mark.ACCEPTED if place in ids else mark for place, mark in enumerate(marks))
        lines = unpack_bodies(bodies, len(marks))
        results = with_found(marks, unpack_bytes(packed_results), ids)
        rewrite(connection, part, after, results, blanked(lines, after))
        connection.execute("UPDATE campaign SET changed_at = ? WHERE id = ?", (now, campaign))
    return frozenset(ids)


def _settle_keys(
    connection: sqlite3.Connection, doubt: InDoubt, found: Mapping[int, str], now: float
) -> frozenset[int]:
    settled = set()
    for place, each in found.items():
        query = "SELECT 1 FROM keyed WHERE key = ? AND token = ? AND state = 'unconfirmed'"
        names = (doubt.keys[place], doubt.token)
        if connection.execute(query, names).fetchone() and [*_unused(connection, {place: each})]:
            _accept_key(connection, doubt.keys[place], each, now)
            settled.add(place)
    return frozenset(settled)


def _accept_key(connection: sqlite3.Connection, key: str, message_id: str, now: float) -> None:
    results = with_found(bytes((Mark.UNCONFIRMED,)), b"", {0: message_id})
    # A process that still sends it has no claim any more. Otherwise the end of that process would put the key in doubt
    # again. `prune` goes by the time of the claim, and must not delete today what was in doubt until today.
    statement = """UPDATE keyed SET state = 'accepted', results = ?, body = NULL, claimer = NULL, claimed_at = ?
        WHERE key = ?"""
    connection.execute(statement, (pack_bytes(results), now, key))


def _settle_references(connection: sqlite3.Connection, found: Mapping[str, Mapping[int, str]], now: float) -> None:
    for token, ids in found.items():
        row = _part_of(connection, token)
        if row is not None:
            _settle_row(connection, row, ids, OPEN, now)
            continue
        for key, packed in connection.execute(_KEYS_OF_CLAIM, (token, token, token)).fetchall():
            body = unpack_bytes(packed)
            for place, each in ids.items():
                if b'"%s":"%s-%d"' % (NAME.encode(), token.encode(), place) in body:
                    for _, unused in _unused(connection, {place: each}):
                        _accept_key(connection, key, unused, now)
