"""What a person decides about a campaign or a key, in SQLite: each verb inside its transaction.

Every function gets the connection and runs in the thread of the file. What marks mean is in journal.py.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..errors import CampaignBusy, JournalError
from .blobs import blanked, unpack_bodies, unpack_bytes, unpack_positions
from .merging import remarked
from .sqlite_parts import rewrite
from .states import Mark, Resolved, State, needs_bodies

__all__ = [
    "campaign_of",
    "forget",
    "old_campaigns",
    "prune_campaigns",
    "prune_keys",
    "reopen",
    "resolve",
    "resolve_key",
    "switch",
]

_RESOLVED = {"resend": Mark.PLANNED, "assume_sent": Mark.ASSUMED_SENT}
_RESOLVED_KEY = {"resend": State.PLANNED, "assume_sent": State.ASSUMED_SENT}
_ARRIVED = (Mark.ACCEPTED, Mark.REJECTED)
_FINISHED = """SELECT campaign.id FROM campaign LEFT JOIN part ON part.campaign = campaign.id
    WHERE NOT forgotten AND complete AND changed_at < :before AND campaign.id BETWEEN :first AND :last
        AND (run IS NULL OR campaign.claimer NOT IN (SELECT name FROM claimer)) GROUP BY campaign.id
    HAVING coalesce(sum(planned + claimed + not_sent + unconfirmed), 0) = 0"""
_CERTAIN = f"({', '.join(repr(each.value) for each in State if each is not State.UNCONFIRMED)})"
_LAST_ID = 2**63 - 1
# So many rows of the tables are changed, and then other transactions have their turn.
_ROWS_AT_ONCE = 100
_SETTLED_KEYS = "('accepted', 'rejected', 'assumed_sent', 'not_sent', 'planned')"


def switch(connection: sqlite3.Connection, name: str, column: str, on: bool, now: float) -> None:
    """Pause a campaign, let it go on, or cancel it."""
    campaign = campaign_of(connection, name)[0]
    # Only changes of its messages, and a cancel, set the time of the last change. A cancel does because it is final.
    changed = ", changed_at = ?" if column == "cancelled" else ""
    values = (on, now, campaign) if changed else (on, campaign)
    connection.execute(f"UPDATE campaign SET {column} = ?{changed} WHERE id = ?", values)  # noqa: S608 - names of ours


def resolve(
    connection: sqlite3.Connection, name: str, how: str, positions: Collection[int] | None, now: float
) -> Resolved:
    """Decide about unconfirmed messages, all of them or those at these positions."""
    target = _RESOLVED[how]
    passed_over = 0

    def decide(places: Any, marks: bytes, _: bytes) -> bytes:
        nonlocal passed_over
        arrived = any(mark in marks for mark in _ARRIVED)
        after = bytearray(marks)
        for at, mark in enumerate(marks):
            if mark != Mark.UNCONFIRMED or (positions is not None and places[at] not in positions):
                continue
            if how == "resend" and arrived and positions is None:
                passed_over += 1
            else:
                after[at] = target
        return bytes(after)

    changed = _remark(connection, name, "unconfirmed > 0", decide, now)
    return Resolved(changed, passed_over)


def reopen(connection: sqlite3.Connection, name: str, reasons: Collection[str], now: float) -> int:
    """Let rejected messages with one of these reasons be sent again. Return how many there are."""

    def decide(_: Any, marks: bytes, results: bytes) -> bytes:
        rejections = iter(json.loads(results)["reasons"] if results else ())
        after = bytearray(marks)
        for at, mark in enumerate(marks):
            if mark == Mark.REJECTED:
                why, _description = next(rejections)
                if any(key in reasons for key, *_ in why):
                    after[at] = Mark.NOT_SENT
        return bytes(after)

    return _remark(connection, name, "rejected > 0", decide, now)


def resolve_key(connection: sqlite3.Connection, key: str, how: str, now: float) -> bool:
    """Decide about an unconfirmed key. Return whether it was unconfirmed."""
    if connection.execute("SELECT 1 FROM keyed WHERE key = ?", (key,)).fetchone() is None:
        raise JournalError("the journal does not know this key")
    # A key that is free again has no results, but keeps its message: a callback may still name it. One that counts as
    # sent keeps the words of its error. `prune` goes by claimed_at. A state that is damaged is in doubt.
    gone = "results" if how == "resend" else "body"
    changed = connection.execute(
        f"UPDATE keyed SET state = ?, {gone} = NULL, claimed_at = ? "  # noqa: S608 - one of two words of ours
        f"WHERE key = ? AND state NOT IN {_CERTAIN}",
        (_RESOLVED_KEY[how], now, key),
    )
    return changed.rowcount > 0


def forget(connection: sqlite3.Connection, name: str, even_unconfirmed: bool, now: float) -> int:
    """Delete all that is known of the messages of a campaign, and return how many there were."""
    campaign, running, claimer = campaign_of(connection, name)
    # Dead claimers were buried before, so one that is listed lives.
    if running and connection.execute("SELECT 1 FROM claimer WHERE name = ?", (claimer,)).fetchone():
        raise CampaignBusy(f"a run of {name!r} is under way; wait for its end")
    [unsure] = connection.execute(
        "SELECT coalesce(sum(unconfirmed + claimed), 0) FROM part WHERE campaign = ?", (campaign,)
    ).fetchone()
    if unsure and not even_unconfirmed:
        raise JournalError(
            f"{unsure:,} messages of {name!r} are unconfirmed; reconcile or resolve them first, or say that even these "
            "are to be forgotten"
        )
    return _bury_campaign(connection, campaign, now)


def old_campaigns(connection: sqlite3.Connection, before: float) -> list[int]:
    """Return the ids of finished campaigns that have not changed since."""
    which = {"before": before, "first": 0, "last": _LAST_ID}
    return [campaign for (campaign,) in connection.execute(_FINISHED, which).fetchall()]


def prune_campaigns(
    connection: sqlite3.Connection, campaigns: Sequence[int], before: float, now: float
) -> tuple[int, int]:
    """Forget some of these campaigns, the first ones, which are still finished and have not changed.

    Return how many were looked at, and how many of those were forgotten.
    """
    looked = forgotten = 0
    changes = connection.total_changes
    while looked < len(campaigns) and connection.total_changes - changes < _ROWS_AT_ONCE:
        which = {"before": before, "first": campaigns[looked], "last": campaigns[looked]}
        looked += 1
        if connection.execute(_FINISHED, which).fetchone() is not None:
            _bury_campaign(connection, campaigns[looked - 1], now)
            forgotten += 1
    return looked, forgotten


def prune_keys(connection: sqlite3.Connection, after: str, before: float, count: int) -> tuple[int, str | None]:
    """Of the next `count` keys, delete those that are not in doubt, and were claimed or decided about before.

    Return how many, and the last of the keys, or None if there are no more.
    """
    next_keys = "SELECT max(key) FROM (SELECT key FROM keyed WHERE key > ? ORDER BY key LIMIT ?)"
    [last] = connection.execute(next_keys, (after, count)).fetchone()
    query = f"""DELETE FROM keyed WHERE key > ? AND key <= ?
        AND state IN {_SETTLED_KEYS} AND coalesce(claimed_at, 0) < ?"""  # noqa: S608 - words of ours
    pruned = connection.execute(query, (after, last, before)).rowcount
    if pruned:
        connection.execute("UPDATE meta SET pruned = pruned + 1")
    return pruned, last


def _bury_campaign(connection: sqlite3.Connection, campaign: int, now: float) -> int:
    """Leave the name, the address, the count and the moment, and nothing else."""
    counts = "planned + claimed + accepted + rejected + not_sent + unconfirmed + assumed_sent"
    [messages] = connection.execute(
        f"SELECT coalesce(sum({counts}), 0) FROM part WHERE campaign = ?",  # noqa: S608 - names of ours
        (campaign,),
    ).fetchone()
    connection.execute(
        "DELETE FROM evidence WHERE part IN (SELECT id FROM part WHERE campaign = ?)",
        (campaign,),
    )
    connection.execute("DELETE FROM part WHERE campaign = ?", (campaign,))
    connection.execute(
        "UPDATE campaign SET forgotten = 1, forgotten_messages = ?, path = NULL, output = NULL, recorded = 0, "
        "span = 0, run = NULL, claimer = NULL, changed_at = ? WHERE id = ?",
        (messages, now, campaign),
    )
    return int(messages)


def campaign_of(connection: sqlite3.Connection, name: str) -> tuple[int, str | None, str | None]:
    """Return the id of a campaign, and the token and the claimer of its run. Raises JournalError if there is none."""
    query = "SELECT id, run, claimer FROM campaign WHERE name = ? AND NOT forgotten"
    found: tuple[int, str | None, str | None] | None = connection.execute(query, (name,)).fetchone()
    if found is None:
        raise JournalError(f"the journal has no campaign {name!r}")
    return found


def _remark(
    connection: sqlite3.Connection,
    name: str,
    which: str,
    decide: Callable[[Any, bytes, bytes], bytes],
    now: float,
) -> int:
    """Give messages of a campaign other marks, and return how many. `decide` gets positions, marks and results."""
    campaign = campaign_of(connection, name)[0]
    changed = 0
    query = f"SELECT id, positions, first, last, marks, results, bodies FROM part WHERE campaign = ? AND {which}"  # noqa: S608
    for part, positions, first, last, packed, results, bodies in connection.execute(query, (campaign,)).fetchall():
        marks, kept = unpack_bytes(packed), unpack_bytes(results)
        after = decide(unpack_positions(positions, first, last), marks, kept)
        if after == marks:
            continue
        changed += sum(1 for old, new in zip(marks, after, strict=True) if old != new)
        lines = unpack_bodies(bodies, len(marks)) if bodies is not None else [b""] * len(marks)
        body = blanked(lines, after) if bodies is not None and needs_bodies(after) else None
        rewrite(connection, part, after, remarked(marks, kept, after), body)
    if changed:
        connection.execute("UPDATE campaign SET changed_at = ? WHERE id = ?", (now, campaign))
    return changed
