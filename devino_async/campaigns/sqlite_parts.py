"""The parts of campaigns in SQLite: what each method of SQLiteJournal does inside its transaction.

Every function gets the connection and runs in the thread of the file. What marks mean is in journal.py.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from ..errors import JournalFailed
from .blobs import (
    SCHEDULED,
    Damaged,
    blanked,
    ends_of,
    lines_of,
    pack_bodies,
    pack_bytes,
    pack_positions,
    unpack_bodies,
    unpack_bytes,
    unpack_positions,
)
from .merging import merged
from .sqlite_campaigns import COUNTED, go_on, note_more, touch
from .states import MAY_BE_SENT, Mark, Part, Record, Run, SentBefore, needs_bodies, settled

__all__ = ["SCHEMA", "bury", "claim", "records", "release", "rewrite", "settle"]

# The counts come before the blobs, so that adding them up reads no blob.
SCHEMA = (
    """CREATE TABLE part (
        id INTEGER PRIMARY KEY, campaign INTEGER NOT NULL, token TEXT NOT NULL UNIQUE,
        first INTEGER NOT NULL, last INTEGER NOT NULL,
        planned INTEGER NOT NULL, claimed INTEGER NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL,
        not_sent INTEGER NOT NULL, unconfirmed INTEGER NOT NULL, assumed_sent INTEGER NOT NULL,
        claimer TEXT, claimed_at REAL, shortened INTEGER NOT NULL, scheduled INTEGER NOT NULL,
        marks BLOB NOT NULL, positions BLOB, results BLOB, fingerprints BLOB NOT NULL, bodies BLOB)""",
    "CREATE INDEX part_place ON part (campaign, first, last)",
    "CREATE INDEX part_claimer ON part (claimer) WHERE claimer IS NOT NULL",
    # What an answer says about messages that another part has sent meanwhile.
    """CREATE TABLE evidence (part INTEGER PRIMARY KEY, told REAL NOT NULL, twice INTEGER NOT NULL,
        marks BLOB NOT NULL, results BLOB NOT NULL)""",
)
_COUNTS = ", ".join(COUNTED)
_INSERT = f"""INSERT INTO part (campaign, token, first, last, {_COUNTS}, claimer, claimed_at, shortened, scheduled,
    marks, positions, results, fingerprints, bodies) VALUES ({", ".join("?" * 20)})"""  # noqa: S608 - names of ours
_DOUBT_UNREAD = "UPDATE part SET claimer = NULL, unconfirmed = unconfirmed + claimed, claimed = 0 WHERE id = ?"
# No part is longer than `span`, so those that reach into an interval begin at most that far before it.
_EARLIER = """SELECT id, first, last, positions, marks, bodies FROM part
    WHERE campaign = ? AND first > ? AND first < ? AND last >= ?"""
# A single statement, because messages could move between two of them.
_RECORDS = """SELECT token, first, last, positions, fingerprints, marks, results
    FROM campaign JOIN part ON part.campaign = campaign.id
    WHERE name = ? AND NOT forgotten AND first > ? - span AND first < ? AND last >= ? ORDER BY first, last, part.id"""


@frozen
class _Row:
    """The part with a given token, as it is stored in the file."""

    id: int
    campaign: int
    positions: Sequence[int]
    marks: bytes
    results: bytes


def claim(connection: sqlite3.Connection, run: Run, part: Part, claimer: str, now: float) -> None:
    """Record that a part is being sent."""
    ends = ends_of(part.positions)
    recorded, span = go_on(connection, run, claimer, ends, now)
    marks = bytes((Mark.CLAIMED,)) * len(part.positions)
    # After the last recorded position there is neither this part nor any other.
    is_fresh = ends[0] >= recorded
    earlier = None if is_fresh else _row_of(connection, run, part.token)
    if earlier is None:
        if not is_fresh:
            _take_over(connection, run, part, ends, span)
        _insert(connection, run, part, marks, b"", claimer=claimer, claimed_at=now)
        return
    for position, mark in zip(earlier.positions, earlier.marks, strict=True):
        # Its release may have failed. Then it is still claimed, by the caller that knows its token.
        if mark not in MAY_BE_SENT and mark != Mark.CLAIMED:
            raise _sent_before(run, position)
    _update(connection, earlier.id, marks, claimer=claimer, claimed_at=now, shortened=part.shortened, results=None)


def release(connection: sqlite3.Connection, run: Run, token: str, now: float) -> None:
    """Record that nothing of a claimed part was sent, even if another process has taken this one for dead."""
    row = _row_of(connection, run, token)
    if row is None:
        raise JournalFailed(f"a batch of {run.name!r} cannot be released: it was never claimed in this journal")
    if row.results:
        # It was settled after all.
        return
    proved = bytes.maketrans(bytes((Mark.CLAIMED, Mark.UNCONFIRMED)), bytes((Mark.PLANNED,)) * 2)
    _update(connection, row.id, row.marks.translate(proved))
    touch(connection, run, now)


def settle(connection: sqlite3.Connection, *, run: Run, part: Part, marks: bytes, results: bytes, now: float) -> None:
    """Record what became of a part."""
    row = _row_of(connection, run, part.token)
    if row is None:
        # It was never claimed, so nothing of it was sent. A run that was taken over may not record that.
        ends = ends_of(part.positions)
        _take_over(connection, run, part, ends, note_more(connection, run, ends, now))
        _insert(connection, run, part, marks, results)
        return
    after = settled(row.marks, marks)
    kept = merged(row.marks, row.results, marks, results)
    columns: dict[str, bytes | None] = {"results": pack_bytes(kept)}
    if after != row.marks and not all(map(needs_bodies, _kinds(after))):
        columns["bodies"] = blanked(lines_of(part.slices, len(after)), after) if needs_bodies(after) else None
    _update(connection, row.id, after, **columns)
    if Mark.MOVED in row.marks:
        _keep_evidence(connection, row, marks, results, now)
    touch(connection, run, now)


def _keep_evidence(connection: sqlite3.Connection, row: _Row, marks: bytes, results: bytes, now: float) -> None:
    """Keep an answer that accepts messages which have moved to another part, because they were sent twice."""
    twice = sum(1 for old, new in zip(row.marks, marks, strict=True) if (old, new) == (Mark.MOVED, Mark.ACCEPTED))
    if twice:
        connection.execute(
            "INSERT OR REPLACE INTO evidence (part, told, twice, marks, results) VALUES (?, ?, ?, ?, ?)",
            (row.id, now, twice, pack_bytes(marks), pack_bytes(results)),
        )


def records(connection: sqlite3.Connection, name: str, start: int, stop: int) -> list[Record]:
    """Return the parts that have a message between `start` and `stop` which has not moved."""
    found = connection.execute(_RECORDS, (name, start, stop, start))
    return [record for record in map(_record_of, found) if _lies_within(record, start, stop)]


def _record_of(row: Sequence[Any]) -> Record:
    """Return what a row says. Raises Damaged if it is damaged."""
    token, first, last, positions, fingerprints, marks, results = row
    record = Record(
        token=token,
        positions=unpack_positions(positions, first, last),
        fingerprints=unpack_bytes(fingerprints),
        marks=unpack_bytes(marks),
        results=unpack_bytes(results),
    )
    if not len(record.positions) == len(record.marks) == len(record.fingerprints) / 8:
        raise Damaged
    return record


def bury(connection: sqlite3.Connection, claimers: Iterable[str]) -> None:
    """Turn everything that dead claimers had claimed into unconfirmed, and delete these claimers."""
    for each in claimers:
        for part, marks in connection.execute("SELECT id, marks FROM part WHERE claimer = ?", (each,)).fetchall():
            try:
                doubted = unpack_bytes(marks).replace(bytes((Mark.CLAIMED,)), bytes((Mark.UNCONFIRMED,)))
                _update(connection, part, doubted)
            except Damaged:
                # Its own campaign can no longer be replayed. That must not stop the others.
                connection.execute(_DOUBT_UNREAD, (part,))
        connection.execute("UPDATE keyed SET state = 'unconfirmed', claimer = NULL WHERE claimer = ?", (each,))
        connection.execute("DELETE FROM claimer WHERE name = ?", (each,))


def _insert(
    connection: sqlite3.Connection,
    run: Run,
    part: Part,
    marks: bytes,
    results: bytes,
    *,
    claimer: str | None = None,
    claimed_at: float | None = None,
) -> None:
    first, last = ends_of(part.positions)
    if not needs_bodies(marks):
        bodies = None
    elif all(map(needs_bodies, _kinds(marks))):
        bodies = pack_bodies(part.slices)
    else:
        bodies = blanked(lines_of(part.slices, len(marks)), marks)
    connection.execute(
        _INSERT,
        (
            run.campaign,
            part.token,
            first,
            last,
            *_counts(marks),
            claimer,
            claimed_at,
            part.shortened,
            any(SCHEDULED in each for each in part.slices),
            pack_bytes(marks),
            pack_positions(part.positions),
            pack_bytes(results) if results else None,
            pack_bytes(part.fingerprints, 0),
            bodies,
        ),
    )


def _take_over(connection: sqlite3.Connection, run: Run, part: Part, ends: tuple[int, int], span: int) -> None:
    """Mark as moved each message of an earlier part that is also in the new part."""
    first, last = ends
    for row in connection.execute(_EARLIER, (run.campaign, first - span, last + 1, first)).fetchall():
        _move(connection, run, part, row)


def _move(connection: sqlite3.Connection, run: Run, part: Part, row: Sequence[Any]) -> None:
    """Mark as moved each message of this earlier part that is also in the new part."""
    earlier, first, last, packed, packed_marks, bodies = row
    positions = unpack_positions(packed, first, last)
    marks = bytearray(unpack_bytes(packed_marks))
    moves = [at for at in _places(positions, part.positions) if marks[at] != Mark.MOVED]
    for at in moves:
        if marks[at] not in MAY_BE_SENT:
            raise _sent_before(run, positions[at])
        marks[at] = Mark.MOVED
    if moves:
        # Rejected messages that were reopened have no texts any more.
        lines = [b""] * len(marks) if bodies is None else unpack_bodies(bodies, len(marks))
        _update(connection, earlier, bytes(marks), bodies=blanked(lines, bytes(marks)))


def _places(positions: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Return the indexes of those positions that are wanted."""
    if isinstance(positions, range):
        return [each - positions.start for each in wanted if each in positions]
    found = frozenset(wanted)
    return [at for at, position in enumerate(positions) if position in found]


def _update(connection: sqlite3.Connection, part: int, marks: bytes, **columns: Any) -> None:
    """Write the marks of a part, and with them their counts, who claims it, and other columns."""
    columns = {
        **dict(zip(COUNTED, _counts(marks), strict=True)),
        "claimer": None,
        "marks": pack_bytes(marks),
        **columns,
    }
    assignments = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE part SET {assignments} WHERE id = ?", (*columns.values(), part))  # noqa: S608


def rewrite(connection: sqlite3.Connection, part: int, marks: bytes, results: bytes, bodies: bytes | None) -> None:
    """Write what a person has decided about a part. Its claimer stays, because its answer may still come."""
    [claimer] = connection.execute("SELECT claimer FROM part WHERE id = ?", (part,)).fetchone()
    _update(connection, part, marks, claimer=claimer, results=pack_bytes(results), bodies=bodies)


def _row_of(connection: sqlite3.Connection, run: Run, token: str) -> _Row | None:
    row = connection.execute(
        "SELECT id, campaign, positions, first, last, marks, results FROM part WHERE token = ?", (token,)
    ).fetchone()
    if row is None:
        return None
    part, campaign, positions, first, last, marks, results = row
    if campaign != run.campaign:
        raise JournalFailed(f"a batch of {run.name!r} has the token of another campaign's batch")
    return _Row(part, campaign, unpack_positions(positions, first, last), unpack_bytes(marks), unpack_bytes(results))


def _lies_within(record: Record, start: int, stop: int) -> bool:
    positions = record.positions
    if isinstance(positions, range):
        within = record.marks[max(start - positions.start, 0) : max(stop - positions.start, 0)]
        return bool(within.strip(bytes((Mark.MOVED,))))
    pairs = zip(positions, record.marks, strict=True)
    return any(start <= position < stop and mark != Mark.MOVED for position, mark in pairs)


def _kinds(marks: bytes) -> list[bytes]:
    """Return each mark that occurs, once."""
    return [bytes((mark,)) for mark in set(marks)]


def _counts(marks: bytes) -> list[int]:
    return [marks.count(mark) for mark in COUNTED.values()]


def _sent_before(run: Run, position: int) -> SentBefore:
    return SentBefore(
        f"message {position} of {run.name!r}, counted from 0, was sent before, or may have been; nothing of its batch "
        "was sent now. Run the campaign again"
    )
