"""Keyed sends in SQLite: what each method of SQLiteJournal does inside its transaction.

Many rows go into one statement, because `executemany` releases the GIL for every row, and a busy event loop gives it
back only milliseconds later.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from .blobs import SCHEDULED, Damaged, pack_bytes, unpack_bytes
from .merging import OPEN
from .states import MARKS, MAY_BE_SENT, KeyedSend, KeyRecord, State

__all__ = ["PLANNED_INDEX", "claim", "find", "page", "prunings", "release", "settle"]

T = TypeVar("T")

PLANNED_INDEX = "CREATE INDEX keyed_planned ON keyed (token) WHERE state = 'planned'"
SCHEMA = (
    """CREATE TABLE keyed (key TEXT PRIMARY KEY, state TEXT NOT NULL, address TEXT NOT NULL, token TEXT NOT NULL,
        fingerprint BLOB NOT NULL, results BLOB, body BLOB, claimer TEXT, claimed_at REAL, claimed_until REAL NOT NULL,
        shortened INTEGER NOT NULL, scheduled INTEGER NOT NULL)
    WITHOUT ROWID""",
    "CREATE INDEX keyed_claimer ON keyed (claimer, token) WHERE claimer IS NOT NULL",
    "CREATE INDEX keyed_doubt ON keyed (token) WHERE state = 'unconfirmed'",
    PLANNED_INDEX,
)
# SQLite before 3.32 takes at most 999 values in a statement.
_KEYS_AT_ONCE = 500
_ROWS_AT_ONCE = 90
_FIELDS = "key, fingerprint, address, state, results, claimed_until, token, claimer"
_CLAIMED = """ON CONFLICT (key) DO UPDATE SET state = 'in_flight', address = excluded.address, token = excluded.token,
    fingerprint = excluded.fingerprint, results = NULL, body = excluded.body, claimer = excluded.claimer,
    claimed_at = excluded.claimed_at, claimed_until = excluded.claimed_until, shortened = excluded.shortened,
    scheduled = excluded.scheduled"""
_SETTLED = """ON CONFLICT (key) DO UPDATE SET state = excluded.state, results = excluded.results, claimer = NULL,
    body = CASE WHEN excluded.state = 'unconfirmed' THEN body END"""
# The results of a record that is damaged. They fit no state, so reading them reveals the damage.
_UNREADABLE = b"damaged"
Found = tuple[KeyRecord, str, str | None]


def find(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Found]:
    """Return what is known about each key, with the token and the claimer of its claim."""
    found: dict[str, Found] = {}
    for some in _in_pieces(list(keys), _KEYS_AT_ONCE):
        for row in _rows(connection, some):
            found[row[0]] = _record_of(row), row[6], row[7]
    return found


def _rows(connection: sqlite3.Connection, keys: Sequence[str]) -> list[Any]:
    query = f"SELECT {_FIELDS} FROM keyed WHERE key IN ({_marks(len(keys))})"  # noqa: S608 - only question marks
    try:
        return connection.execute(query, keys).fetchall()
    except sqlite3.OperationalError as error:
        # What SQLite itself finds has a code. Without one, a text is damaged. Its record is found below.
        if getattr(error, "sqlite_errorcode", None) is not None:
            raise
    connection.text_factory = _text_of_any
    try:
        return connection.execute(query, keys).fetchall()
    finally:
        connection.text_factory = str


def _text_of_any(plain: bytes) -> str:
    return plain.decode("utf-8", "replace")


def _record_of(row: Sequence[Any]) -> KeyRecord:
    """Return what a row says. If it is damaged it counts as in doubt, and its results cannot be read."""
    key, fingerprint, address, state, results, until, *_ = row
    try:
        if not isinstance(fingerprint, bytes) or not isinstance(address, str) or not isinstance(until, float):
            raise Damaged
        known, unpacked = State(state), unpack_bytes(results)
    except (Damaged, ValueError):
        known, unpacked = State.UNCONFIRMED, _UNREADABLE
    return KeyRecord(
        key=key, fingerprint=fingerprint, address=address, state=known, results=unpacked, claimed_until=until
    )


def claim(
    connection: sqlite3.Connection,
    token: str,
    address: str,
    sends: Sequence[KeyedSend],
    claim: tuple[str, float, float, bool],
) -> dict[str, Found]:
    """Claim all of the keys and return nothing, or claim none of them and return those that may not be sent.

    The claim says by whom, when and until when, and whether links are shortened.
    """
    found = find(connection, [each.key for each in sends])
    taken = {key: each for key, each in found.items() if not _may_be_claimed(each, token)}
    if taken:
        return taken
    state = State.IN_FLIGHT.value
    rows = [
        (each.key, state, address, token, each.fingerprint, None, pack_bytes(each.body), *claim, SCHEDULED in each.body)
        for each in sends
    ]
    _upsert(connection, rows, _CLAIMED)
    return {}


def _may_be_claimed(found: Found, token: str) -> bool:
    record, recorded_token, _ = found
    return MARKS[record.state] in MAY_BE_SENT or (record.state is State.IN_FLIGHT and recorded_token == token)


def release(connection: sqlite3.Connection, token: str, claimer: str) -> None:
    """Record that nothing was sent of what this token claimed."""
    connection.execute(
        "UPDATE keyed SET state = 'planned', claimer = NULL WHERE claimer = ? AND token = ?", (claimer, token)
    )


def settle(connection: sqlite3.Connection, token: str, outcomes: Mapping[str, tuple[State, bytes]]) -> None:
    """Record the outcomes of those keys that this token claimed, by the rule of `settled`."""
    found = find(connection, outcomes)
    rows = []
    for key, (state, results) in outcomes.items():
        if key not in found or found[key][1] != token:
            continue
        record = found[key][0]
        if MARKS[record.state] in OPEN:
            recorded = (record.address, token, record.fingerprint)
            rows.append((key, state.value, *recorded, pack_bytes(results), None, None, None, 0.0, False, False))
    _upsert(connection, rows, _SETTLED)


def prunings(connection: sqlite3.Connection) -> int:
    """Return a number that is another one after keys were deleted."""
    [pruned] = connection.execute("SELECT pruned FROM meta").fetchone()
    return int(pruned)


def page(connection: sqlite3.Connection, after: str | None, state: State | None, count: int) -> tuple[list[Any], int]:
    """Return the next rows, sorted by key: key, state and packed results of each. Return the prunings after that."""
    # Two statements: with `? IS NULL OR key > ?` each page would go through all the keys before it.
    beginning = "SELECT key, state, results FROM keyed WHERE "
    end = "(? IS NULL OR state = ?) ORDER BY key LIMIT ?"
    if after is None:
        rows = connection.execute(beginning + end, (state, state, count)).fetchall()
    else:
        rows = connection.execute(f"{beginning} key > ? AND {end}", (after, state, state, count)).fetchall()
    return rows, prunings(connection)


def _upsert(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]], on_conflict: str) -> None:
    for some in _in_pieces(rows, _ROWS_AT_ONCE):
        values = ", ".join([f"({_marks(len(some[0]))})"] * len(some))
        connection.execute(
            f"INSERT INTO keyed VALUES {values} {on_conflict}",  # noqa: S608 - only question marks
            [value for row in some for value in row],
        )


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _in_pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
