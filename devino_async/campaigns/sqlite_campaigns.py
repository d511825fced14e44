"""Campaigns and their runs in SQLite: what SQLiteJournal does with them inside its transaction.

Every function gets the connection and runs in the thread of the file. The parts of campaigns are in sqlite_parts.py.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..errors import CampaignBusy, CampaignCancelled, CampaignChanged, CampaignForgotten, CampaignPaused
from .blobs import Damaged
from .states import CampaignState, ForgottenCampaign, Mark, Run

__all__ = [
    "COUNTED",
    "SCHEMA",
    "begin",
    "check_not_forgotten",
    "end",
    "forgotten",
    "go_on",
    "note_more",
    "page",
    "states",
    "touch",
]

SCHEMA = (
    """CREATE TABLE campaign (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, address TEXT NOT NULL, path TEXT, output TEXT,
        run TEXT, claimer TEXT, recorded INTEGER NOT NULL DEFAULT 0, span INTEGER NOT NULL DEFAULT 0,
        complete INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
        forgotten INTEGER NOT NULL DEFAULT 0, forgotten_messages INTEGER NOT NULL DEFAULT 0,
        started_at REAL NOT NULL, changed_at REAL NOT NULL)""",
)
# No path has this character.
_BETWEEN_OUTPUTS = "\0"
# The columns of a part that count its messages by mark.
COUNTED = {
    "planned": Mark.PLANNED,
    "claimed": Mark.CLAIMED,
    "accepted": Mark.ACCEPTED,
    "rejected": Mark.REJECTED,
    "not_sent": Mark.NOT_SENT,
    "unconfirmed": Mark.UNCONFIRMED,
    "assumed_sent": Mark.ASSUMED_SENT,
}
_EXTENT = "SELECT coalesce(max(last), -1) + 1, coalesce(max(last + 1 - first), 0) FROM part WHERE campaign = ?"
_TWICE = """(SELECT coalesce(sum(twice), 0) FROM evidence JOIN part AS late ON late.id = evidence.part
    WHERE late.campaign = campaign.id)"""
_STATES = f"""SELECT campaign.id, name, address, path, output, started_at, changed_at, complete, paused, cancelled,
    {_TWICE}, {", ".join(f"coalesce(sum(part.{each}), 0)" for each in COUNTED)}
    FROM campaign LEFT JOIN part ON part.campaign = campaign.id
    WHERE NOT forgotten AND campaign.id > ? AND name = coalesce(?, name)
    GROUP BY campaign.id ORDER BY campaign.id LIMIT ?"""  # noqa: S608 - names of ours


_SENT = """SELECT coalesce(sum(claimed + accepted + rejected + unconfirmed + assumed_sent), 0) FROM part
    WHERE campaign = ?"""


def begin(
    connection: sqlite3.Connection, name: str, address: str, begun: Mapping[str, str | None], now: float
) -> tuple[int, int, bool]:
    """Begin a run of a campaign. Return the campaign's id, one more than its highest position, and if it is cancelled.

    `begun` is what is recorded about the run. No message changes, so the time of the last change stays.
    """
    row = connection.execute(
        "SELECT id, address, recorded, paused, cancelled, forgotten, run, claimer FROM campaign WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        made = connection.execute(
            "INSERT INTO campaign (name, address, run, claimer, path, started_at, changed_at) "
            "VALUES (:name, :address, :run, :claimer, :path, :now, :now)",
            {**begun, "name": name, "address": address, "now": now},
        )
        _own(connection, made.lastrowid or 0, begun["output"])
        return made.lastrowid or 0, 0, False
    campaign, recorded_address, recorded, paused, cancelled, forgotten, running, claimer = row
    if forgotten:
        raise _forgotten(name)
    if recorded_address != address:
        [sent] = connection.execute(_SENT, (campaign,)).fetchone()
        if sent:
            raise CampaignChanged(0, "address")
        # Nothing has reached that address, which may have been wrong.
        connection.execute("UPDATE campaign SET address = ? WHERE id = ?", (address, campaign))
    # Dead claimers were buried before, so one that is listed is alive.
    if running is not None and connection.execute("SELECT 1 FROM claimer WHERE name = ?", (claimer,)).fetchone():
        raise CampaignBusy(
            f"another run of {name!r} is under way, or is still finishing what it has in flight. Wait until it has "
            "ended, and then run the campaign again"
        )
    if paused and not cancelled:
        raise CampaignPaused(f"the campaign {name!r} is paused; unpause it to go on")
    # The two numbers are counted again, because a damaged one would hide what was sent.
    [count, span] = connection.execute(_EXTENT, (campaign,)).fetchone()
    connection.execute(
        "UPDATE campaign SET run = :run, claimer = :claimer, path = coalesce(:path, path), "
        "recorded = max(recorded, :count), span = max(span, :span) WHERE id = :id",
        {**begun, "id": campaign, "count": count, "span": span},
    )
    _own(connection, campaign, begun["output"])
    return campaign, max(recorded, count), bool(cancelled)


def check_not_forgotten(connection: sqlite3.Connection, name: str) -> None:
    """Raise CampaignForgotten if this is the name of a campaign that was forgotten."""
    if connection.execute("SELECT 1 FROM campaign WHERE name = ? AND forgotten", (name,)).fetchone():
        raise _forgotten(name)


def _forgotten(name: str) -> CampaignForgotten:
    return CampaignForgotten(f"the campaign {name!r} was forgotten; choose another name")


def _own(connection: sqlite3.Connection, campaign: int, output: str | None) -> None:
    """Put a file for results first among those of the campaign. Take it away from any other campaign."""
    if output is None:
        return
    query = "SELECT id, output FROM campaign WHERE output IS NOT NULL OR id = ?"
    for each, recorded in connection.execute(query, (campaign,)).fetchall():
        others = [other for other in _outputs(recorded) if other != output]
        now = _BETWEEN_OUTPUTS.join([output, *others] if each == campaign else others) or None
        if now != recorded:
            connection.execute("UPDATE campaign SET output = ? WHERE id = ?", (now, each))


def _outputs(recorded: str | None) -> tuple[str, ...]:
    return tuple(recorded.split(_BETWEEN_OUTPUTS)) if recorded else ()


def end(connection: sqlite3.Connection, run: Run, complete: bool) -> None:
    """End the run, if it has not been taken over."""
    connection.execute(
        "UPDATE campaign SET run = NULL, claimer = NULL, complete = max(complete, ?) WHERE id = ? AND run = ?",
        (complete, run.campaign, run.token),
    )


def go_on(connection: sqlite3.Connection, run: Run, claimer: str, ends: tuple[int, int], now: float) -> tuple[int, int]:
    """Note that a run is about to send messages between these positions. Return `recorded` and `span` as they were.

    Raises an error if the run may not send. With small batches, most of a claim's time is its three statements.
    """
    first, last = ends
    row = connection.execute(
        "SELECT paused, cancelled, forgotten, run, recorded, span FROM campaign WHERE id = ?", (run.campaign,)
    ).fetchone()
    if row is None:
        # Even a forgotten campaign keeps its row.
        raise Damaged
    paused, cancelled, forgotten, running, recorded, span = row
    # This comes first. What another run has sent since must not be reported as stopped by a person.
    if running != run.token:
        raise _taken_over(run)
    if forgotten:
        raise _forgotten(run.name)
    if cancelled:
        raise CampaignCancelled(f"the campaign {run.name!r} was cancelled; what was not sent stays unsent")
    if paused:
        raise CampaignPaused(f"the campaign {run.name!r} is paused; unpause it to go on")
    connection.execute(
        "UPDATE campaign SET claimer = ?, changed_at = ?, recorded = ?, span = ? WHERE id = ?",
        (claimer, now, max(recorded, last + 1), max(span, last + 1 - first), run.campaign),
    )
    return recorded, span


def note_more(connection: sqlite3.Connection, run: Run, ends: tuple[int, int], now: float) -> int:
    """Note that a run records messages between these positions without sending them. Return `span` as it was.

    Raises CampaignBusy if another run has taken over.
    """
    first, last = ends
    [span] = connection.execute("SELECT span FROM campaign WHERE id = ?", (run.campaign,)).fetchone() or (0,)
    changed = connection.execute(
        "UPDATE campaign SET changed_at = ?, recorded = max(recorded, ?), span = max(span, ?) WHERE id = ? AND run = ?",
        (now, last + 1, last + 1 - first, run.campaign, run.token),
    )
    if not changed.rowcount:
        raise _taken_over(run)
    return int(span)


def _taken_over(run: Run) -> CampaignBusy:
    return CampaignBusy(f"another run of {run.name!r} has taken over, or this one has ended; run it again later")


def touch(connection: sqlite3.Connection, run: Run, now: float) -> None:
    connection.execute("UPDATE campaign SET changed_at = ? WHERE id = ?", (now, run.campaign))


def states(connection: sqlite3.Connection, name: str | None = None) -> tuple[CampaignState, ...]:
    """Return the counts and states of all campaigns, the oldest first, or of the one with this name."""
    return tuple(map(_state_of, connection.execute(_STATES, (0, name, -1))))


def page(connection: sqlite3.Connection, after: int, count: int) -> tuple[int, list[CampaignState]]:
    """Return up to so many campaigns whose ids are above `after`, the oldest first, and the id of the last one."""
    rows = connection.execute(_STATES, (after, None, count)).fetchall()
    return (rows[-1][0] if rows else after), list(map(_state_of, rows))


def forgotten(connection: sqlite3.Connection) -> tuple[ForgottenCampaign, ...]:
    """Return what stays of the campaigns that were forgotten, the oldest first."""
    query = "SELECT name, address, forgotten_messages, changed_at FROM campaign WHERE forgotten ORDER BY id"
    return tuple(
        ForgottenCampaign(
            name=name, address=address, messages=messages, forgotten_at=datetime.fromtimestamp(changed_at, UTC)
        )
        for name, address, messages, changed_at in connection.execute(query)
    )


def _state_of(row: Sequence[Any]) -> CampaignState:
    _, name, address, path, output, started_at, changed_at, complete, paused, cancelled, twice, *counts = row
    states = dict(zip(COUNTED, counts, strict=True))
    states["in_flight"] = states.pop("claimed")
    return CampaignState(
        name=name,
        address=address,
        path=path,
        outputs=_outputs(output),
        started_at=datetime.fromtimestamp(started_at, UTC),
        changed_at=datetime.fromtimestamp(changed_at, UTC),
        complete=bool(complete),
        paused=bool(paused),
        cancelled=bool(cancelled),
        messages=sum(counts),
        sent_twice=twice,
        **states,
    )
