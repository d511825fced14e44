"""How a campaign is shown: its state in a word or two, all of it as data, and one screen for a person."""

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
        return "in doubt"
    return "stopped"


def as_data(state: CampaignState, place: Path) -> dict[str, Any]:
    """Return all that is known about a campaign, for JSON."""
    return {**attrs.asdict(state), "output": state.output, "finished": state.finished, "journal": str(place)}


def lines_of(state: CampaignState, place: Path, reasons: Counter[str]) -> Iterator[str]:
    """Yield what a person needs to know about a campaign: what happened, what is in doubt, and what to do."""
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
    if state.sent_twice:
        yield f"  {'sent twice':14}{state.sent_twice:>12,}  the first request turned out to have arrived too"
    yield from _advice(state, place)


def _advice(state: CampaignState, place: Path) -> Iterator[str]:
    if state.unconfirmed:
        yield f"In doubt: {state.unconfirmed:,}. No run sends them again by itself. To look for them at the service:"
        yield f"  {shlex.join(['devino', 'campaign', 'reconcile', state.name, '--journal', str(place)])}"
        words = ["devino", "campaign", "export", state.name, "--journal", str(place), "--state", "unconfirmed"]
        yield from _where_in_doubt(state, place)
        yield "To list their positions:"
        yield f"  {shlex.join(words)}"
        yield "  `devino campaign resolve` then counts them as sent, or lets the next run send them."
    if state.cancelled:
        yield "It is cancelled. What was not sent stays unsent, and running the same command again sends nothing."
        return
    if state.rejected:
        yield "Rejected messages stay unsent. A row that is corrected in the file is sent by the same command. If the"
        yield "reason is gone, as after a top-up of the balance, this lets the next run send them again, by reason:"
        yield f"  {shlex.join(['devino', 'campaign', 'reopen', state.name, '--journal', str(place)])}"
    if state.paused:
        yield "It is paused. `devino campaign unpause` lets it go on. After that:"
    if state.in_flight:
        yield "Wait until the sending process has ended. If it is killed, this command shows that at once."
    elif state.finished:
        yield "Nothing is left to do. Running the same command again sends nothing, unless the file has more rows."
    elif not state.complete or state.not_sent or state.planned:
        yield "Run the same command again to send what was not sent, and nothing twice:"
        yield f"  {_command(state, place)}"


def _where_in_doubt(state: CampaignState, place: Path) -> Iterator[str]:
    """Yield where the lines and numbers of messages in doubt are, because the journal does not show them."""
    output = _here(state.output, place)
    if output is not None and Path(output).exists() and word_of(state) == "in doubt":
        yield f"Their lines and numbers are in {printable(output)}, with the outcome unconfirmed."
    elif output is not None:
        # After a killed run, the file still has the results of an earlier run.
        yield f"The same command writes their lines and numbers into {printable(output)}, with the outcome unconfirmed."
    elif state.path is not None:
        yield "Run the same command again with --output FILE. It writes their lines and numbers, and sends none again."


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
    """Return a path from a journal, relative to the current folder."""
    if stored is None:
        return None
    found = place.parent / stored
    try:
        return os.path.relpath(found) if not Path(stored).is_absolute() else stored
    except ValueError:  # Two drives of Windows.
        return str(found)


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
