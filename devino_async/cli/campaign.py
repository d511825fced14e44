"""`devino campaign`: what the journals here know of campaigns. It reads only, and needs no credentials.

Where a journal lies is in journals.py, what is shown of a campaign in campaign_words.py.
"""

import csv
import re
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from attrs import frozen

from devino_async.campaigns import (
    CampaignState,
    JournalFailed,
    Outcome,
    SQLiteJournal,
    State,
    describe_reasons,
)

from .campaign_words import as_data, lines_of, word_of
from .cells import csv_cell
from .console import as_json, open_output, printable, run, say
from .journals import existing, stored_path

__all__ = ["campaign"]

F = TypeVar("F", bound=Callable[..., Any])
_COLUMNS = ("position", "state", "message_id", "segment_ids", "reasons")
# The place of a message within its request says nothing here.
_INDEX = re.compile(r"messages\[[0-9]+\]\.", re.ASCII)
_FILE = click.Path(dir_okay=False, path_type=Path)


def _where(command: F) -> F:
    """Add the options of every command that looks into journals."""
    for option in (
        click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout."),
        click.option(
            "--journal", type=_FILE, metavar="PATH", help="Default: $DEVINO_JOURNAL, FILE.journal, or *.journal here."
        ),
    ):
        command = option(command)
    return command


@click.group(epilog="Example: devino campaign show campaign.csv")
def campaign() -> None:
    """Look at the campaigns of journals. These commands change and send nothing."""


@campaign.command(name="list", epilog="Example: devino campaign list")
@click.argument("file", required=False)
@_where
def list_(file: str | None, journal: Path | None, json_lines: bool) -> None:
    """List all campaigns with their counts, or those in the journal of FILE."""
    run(_list(file, journal, json_lines))


@campaign.command(epilog="Example: devino campaign show campaign.csv")
@click.argument("name", required=False)
@_where
def show(name: str | None, journal: Path | None, json_lines: bool) -> None:
    """Show what happened in a campaign, what is unsure, and which command goes on with it. NAME is its name, or the
    file that was sent. It may be left out if there is only one.
    """
    run(_show(name, journal, json_lines))


@campaign.command(epilog="Example: devino campaign export campaign.csv --output outcomes.csv")
@click.argument("name", required=False)
@click.option("--state", type=click.Choice([str(each) for each in State]), help="Only messages in this state.")
@click.option("--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="CSV or JSON lines.")
@click.option("--overwrite", is_flag=True, help="Replace an --output file that exists.")
@_where
def export(name: str | None, journal: Path | None, json_lines: bool, output: Path | None, **options: Any) -> None:
    """Write what became of each message of a campaign, as CSV or JSON lines. Positions count messages from 0, in the
    order in which they were first sent. A journal holds no numbers, and no texts of what was accepted.
    """
    target = None if str(output) == "-" else output
    run(_export(name, journal, json_lines, target, options), prints=target is None)


async def _list(file: str | None, journal: Path | None, json_lines: bool) -> None:
    async with AsyncExitStack() as stack:
        found = [(each.state, each.place) for each in await _campaigns(journal, file, stack)]
    if not json_lines:
        click.echo(f"{'campaign':40} {'messages':>10} {'accepted':>10} {'unsure':>8} {'to send':>8}  state")
    for state, place in found:
        if json_lines:
            click.echo(as_json(as_data(state, place)))
        else:
            unsure, to_send = state.unconfirmed + state.in_flight, state.not_sent + state.planned
            counts = f"{state.messages:>10,} {state.accepted:>10,} {unsure:>8,} {to_send:>8,}"
            click.echo(f"{printable(state.name):40} {counts}  {word_of(state)}")


async def _show(name: str | None, journal: Path | None, json_lines: bool) -> None:
    reasons: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        found = await _one(journal, name, stack)
        if found.state.rejected and not json_lines:
            async for outcome in found.journal.outcomes(found.state.name):
                if outcome.state == State.REJECTED:
                    reasons[_INDEX.sub("", describe_reasons(outcome.reasons)) or "no reason given"] += 1
    if json_lines:
        click.echo(as_json(as_data(found.state, found.place)))
        return
    for line in lines_of(found.state, found.place, reasons):
        click.echo(line)


async def _export(
    name: str | None, journal: Path | None, json_lines: bool, output: Path | None, options: dict[str, Any]
) -> None:
    async with AsyncExitStack() as stack:
        found = await _one(journal, name, stack)
        file: IO[str] = sys.stdout
        if output is not None:
            file = stack.enter_context(open_output(output, overwrite=options["overwrite"]))
            json_lines = json_lines or output.suffix.lower() != ".csv"
        writer = csv.writer(file, lineterminator="\n")
        if not json_lines:
            writer.writerow(_COLUMNS)
        async for outcome in found.journal.outcomes(found.state.name):
            if options["state"] not in {None, outcome.state}:
                continue
            if json_lines:
                file.write(as_json(_row_of(outcome)) + "\n")
            else:
                row = _row_of(outcome)
                cells = {**row, "segment_ids": " ".join(row.get("segment_ids", ()))}
                writer.writerow([csv_cell(cells.get(name)) for name in _COLUMNS])


def _row_of(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"position": outcome.position, "state": str(outcome.state)}
    if outcome.message_id is not None:
        row["message_id"] = outcome.message_id
    if outcome.segment_ids:
        row["segment_ids"] = list(outcome.segment_ids)
    if outcome.reasons:
        row["reasons"] = describe_reasons(outcome.reasons)
    return row


@frozen
class _Found:
    """A campaign, and the journal that has it."""

    state: CampaignState
    journal: SQLiteJournal
    place: Path


async def _campaigns(journal: Path | None, name: str | None, stack: AsyncExitStack) -> list[_Found]:
    """Return the campaigns of all journals that are looked into, the oldest of each first."""
    found = []
    places, is_named = existing(journal, name)
    for place in places:
        opened = SQLiteJournal(place)
        try:
            await stack.enter_async_context(opened)
            states = await opened.campaigns()
        except JournalFailed as error:
            if is_named:
                raise
            # Other programs have files with this suffix too.
            say(str(error))
            continue
        found += [_Found(state, opened, place) for state in states]
    return found


async def _one(journal: Path | None, name: str | None, stack: AsyncExitStack) -> _Found:
    """Return the campaign of this name, or the newest that was read from this file. Raises click.UsageError."""
    everything = await _campaigns(journal, name, stack)
    found = everything
    if name is not None:
        found = [each for each in everything if each.state.name == name]
        if not found:
            found = [each for each in everything if each.state.path == stored_path(Path(name), each.place)][-1:]
    if len(found) == 1:
        path = found[0].state.path
        others = [each.state.name for each in everything if path is not None and each.state.path == path]
        if name is not None and len(others) > 1:
            say(f"campaigns of this file: {', '.join(map(printable, others))}")
        return found[0]
    names = ", ".join(sorted({printable(each.state.name) for each in everything})) or "none"
    what = (
        "give a name"
        if name is None
        else "there is no such campaign"
        if not found
        else "several journals have it; give --journal"
    )
    raise click.UsageError(f"{what}. The campaigns here: {names}")
