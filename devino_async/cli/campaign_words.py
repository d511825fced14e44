"""What is shown of a campaign: its state in a word, as data, and as one screen for a person."""

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from devino_async.campaigns import CampaignState

from .console import printable
from .journals import default_name, journal_for

__all__ = ["as_data", "lines_of", "word_of"]

_SHOWN_REASONS = 5
_COUNTS = {
    "accepted": "",
    "rejected": "the service refused them",
    "assumed_sent": "they were unconfirmed, and a person decided that they count as sent",
    "unconfirmed": "they may have been sent: no answer came, or the process ended before it came",
    "in_flight": "a process is sending them now",
    "not_sent": "proved not to have been sent",
    "planned": "proved not to have been sent",
}


def word_of(state: CampaignState) -> str:
    """Return the state of a campaign in a word or two."""
    if state.cancelled:
        return "cancelled"
    if state.paused:
        return "paused"
    if state.in_flight:
        return "under way"
    if state.finished:
        return "finished"
    if state.complete and not state.not_sent and not state.planned:
        return "unsure"
    return "stopped"


def as_data(state: CampaignState, place: Path) -> dict[str, Any]:
    """Return all that is known of a campaign, for JSON."""
    return {**attrs.asdict(state), "finished": state.finished, "journal": str(place)}


def lines_of(state: CampaignState, place: Path, reasons: Counter[str]) -> Iterator[str]:
    """Yield what a person needs to know of a campaign: what happened, what is unsure, and what to do."""
    yield f"Campaign {printable(state.name)}: {word_of(state)}"
    known = {
        "file": _here(state.path, place),
        "results": _here(state.output, place),
        "journal": str(place),
        "service": state.address,
        "began": _local(state.started_at),
        "last change": _local(state.changed_at),
    }
    for name, value in known.items():
        if value is not None:
            yield f"  {name:14}{printable(value)}"
    yield f"  {'messages':14}{state.messages:>12,}"
    for name, words in _COUNTS.items():
        count = getattr(state, name)
        if count or name == "accepted":
            yield f"  {name.replace('_', ' '):14}{count:>12,}  {words}".rstrip()
        if name == "rejected":
            for reason, often in reasons.most_common(_SHOWN_REASONS):
                yield f"  {'':14}{often:>12,}  of them: {printable(reason)}"
    yield from _advice(state, place)


def _advice(state: CampaignState, place: Path) -> Iterator[str]:
    if state.unconfirmed:
        words = ["devino", "campaign", "export", state.name, "--journal", str(place), "--state", "unconfirmed"]
        yield f"Unsure: {state.unconfirmed:,}. No run sends them again by itself. Their places in the campaign:"
        yield f"  {shlex.join(words)}"
        yield "  `devino details` shows what the service has of them."
    if state.in_flight:
        yield "Wait until the process that sends has ended. If it was killed, this command shows that at once."
    elif state.finished:
        yield "Nothing is left to do. The same command again sends nothing, unless the file has more rows."
    elif not state.complete or state.not_sent or state.planned:
        yield "The same command again sends what was not sent, and nothing twice:"
        yield f"  {_command(state, place)}"


def _command(state: CampaignState, place: Path) -> str:
    file = _here(state.path, place)
    if file is None:
        return "the program, or the command, that began it"
    words = ["devino", "send", file]
    if journal_for(Path(file), journal=None, campaign=None) != place:
        words += ["--journal", str(place)]
    if state.name != default_name(Path(file), state.address):
        words += ["--campaign", state.name]
    return f"{shlex.join(words)}, with the same options as before"


def _here(stored: str | None, place: Path) -> str | None:
    """Return a path that a journal noted, from the current folder."""
    if stored is None:
        return None
    found = place.parent / stored
    try:
        return os.path.relpath(found) if not Path(stored).is_absolute() else stored
    except ValueError:  # Two drives of Windows.
        return str(found)


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
