"""`devino campaign list|show|export`: what the journals in a folder know about campaigns. No credentials are needed.

Where a campaign is found is in found_campaigns.py, how it is shown in campaign_words.py, and what changes it in
campaign_verbs.py.
"""

import re
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Any

import click

from devino_async.campaigns import Outcome, State, describe_reasons

from .campaign_verbs import VERBS
from .campaign_words import as_data, lines_of, word_of
from .cells import CsvWriter
from .console import as_json, open_output, output_path, printable, run
from .databases import refuse_database
from .found_campaigns import listed, one_campaign, where
from .reconciling import reconcile
from .watching import watch

__all__ = ["campaign"]

_COLUMNS = ("position", "state", "message_id", "segment_ids", "reasons")
# The place of a message within its request means nothing here.
_INDEX = re.compile(r"messages\[[0-9]+\]\.", re.ASCII)


@click.group(epilog="Example: devino campaign show campaign.csv")
def campaign() -> None:
    """Look at the campaigns in journals, and decide about them. None of these commands sends a message."""


@campaign.command(name="list", epilog="Example: devino campaign list")
@click.argument("file", required=False)
@where
def list_(file: str | None, journal: Path | None, json_lines: bool) -> None:
    """List all campaigns with their counts, or those in the journal of FILE. FILE may be the name of a campaign too."""
    run(_list(file, journal, json_lines))


@campaign.command(epilog="Example: devino campaign show campaign.csv")
@click.argument("name", required=False)
@where
def show(name: str | None, journal: Path | None, json_lines: bool) -> None:
    """Show what happened in a campaign, what is in doubt, and which command continues it. NAME is its name, or the file
    that was sent. It may be left out if there is only one campaign.
    """
    run(_show(name, journal, json_lines))


@campaign.command(epilog="Example: devino campaign export campaign.csv --output outcomes.csv")
@click.argument("name", required=False)
@click.option("--state", type=click.Choice([str(each) for each in State]), help="Only messages in this state.")
@click.option("--output", callback=output_path, metavar="FILE", help="CSV or JSON lines.")
@click.option("--overwrite", is_flag=True, help="Replace an --output file that exists.")
@where
def export(name: str | None, journal: Path | None, json_lines: bool, output: Path | None, **options: Any) -> None:
    """Write what became of each message of a campaign, as CSV or JSON lines. Positions count messages from 0, in the
    order in which they were first sent. The rows hold no phone numbers, and no texts but what the service quotes in
    its reasons. The journal itself holds the phone numbers and texts of messages in doubt or unsent, compressed.
    """
    target = None if str(output) == "-" else output
    run(_export(name, journal, json_lines, target, options), prints=target is None)


async def _list(file: str | None, journal: Path | None, json_lines: bool) -> None:
    async with AsyncExitStack() as stack:
        found = [(each.state, each.place) for each in await listed(journal, file, stack)]
    if not json_lines:
        click.echo(f"{'campaign':40} {'messages':>10} {'accepted':>10} {'in doubt':>8} {'to send':>8}  state")
    for state, place in found:
        if json_lines:
            click.echo(as_json(as_data(state, place)))
        else:
            in_doubt, to_send = state.unconfirmed + state.in_flight, state.not_sent + state.planned
            counts = f"{state.messages:>10,} {state.accepted:>10,} {in_doubt:>8,} {to_send:>8,}"
            click.echo(f"{printable(state.name):40} {counts}  {word_of(state)}")


async def _show(name: str | None, journal: Path | None, json_lines: bool) -> None:
    reasons: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
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
    refuse_database(output, journal)
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        file: IO[str] = sys.stdout
        if output is not None:
            file = stack.enter_context(open_output(output, overwrite=options["overwrite"]))
            json_lines = json_lines or output.suffix.lower() != ".csv"
        writer = CsvWriter(file)
        if not json_lines:
            writer.row(_COLUMNS)
        async for outcome in found.journal.outcomes(found.state.name):
            if options["state"] not in {None, outcome.state}:
                continue
            if json_lines:
                file.write(as_json(_row_of(outcome)) + "\n")
            else:
                row = _row_of(outcome)
                cells = {**row, "segment_ids": " ".join(row.get("segment_ids", ()))}
                writer.row(cells.get(name) for name in _COLUMNS)


def _row_of(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"position": outcome.position, "state": str(outcome.state)}
    if outcome.message_id is not None:
        row["message_id"] = outcome.message_id
    if outcome.segment_ids:
        row["segment_ids"] = list(outcome.segment_ids)
    if outcome.reasons:
        row["reasons"] = describe_reasons(outcome.reasons)
    return row


for _verb in (*VERBS, reconcile, watch):
    campaign.add_command(_verb)
