"""`devino campaign list|show|export`: what the journals in a folder know about campaigns.

Credentials are needed only for the statuses of campaign_statuses.py. Where a campaign is found is in
found_campaigns.py, how it is shown in campaign_words.py, and what changes it in campaign_verbs.py.
"""

import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Any

import click

from devino_async.campaigns import ForgottenCampaign, Outcome, State, describe_reasons

from .campaign_keys import one_journal
from .campaign_statuses import Asking
from .campaign_verbs import VERBS
from .campaign_words import as_data, lines_of, word_of
from .cells import CsvWriter
from .console import as_json, open_output, output_path, printable, run
from .databases import refuse_database
from .found_campaigns import forgotten_here, listed, one_campaign, where
from .options import connection, excel
from .reconciling import reconcile
from .watching import watch

__all__ = ["campaign"]

_SHOWN = 10
_COLUMNS = ("state", "message_id", "segment_ids", "reasons")
# The place of a message within its request means nothing here.
_INDEX = re.compile(r"messages\[[0-9]+\](?:\.|: )", re.ASCII)


@click.group(epilog="Example: devino campaign show campaign.csv")
def campaign() -> None:
    """Look at the campaigns in journals, and decide about them. None of these commands sends a message."""


@campaign.command(
    name="list", short_help="List all campaigns with their counts.", epilog="Example: devino campaign list"
)
@click.argument("file", required=False)
@where
def list_(file: str | None, journal: Path | None, json_lines: bool) -> None:
    """List all campaigns with their counts, or those in the journal of FILE. FILE may be the name of a campaign too."""
    run(_list(file, journal, json_lines))


@campaign.command(
    short_help="Show what happened in a campaign, and what to do.",
    epilog="Example: devino campaign show campaign.csv --statuses",
)
@click.argument("name", required=False)
@click.option("--statuses", is_flag=True, help="Ask the service for the statuses of what was accepted, and count them.")
@click.option(
    "--deliveries",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Count the statuses in this database of `devino listen` or a DeliveryTracker.",
)
@connection
@where
def show(name: str | None, journal: Path | None, json_lines: bool, **options: Any) -> None:
    """Show what happened in a campaign, what is in doubt, and which command continues it. NAME is its name, or the file
    that was sent. It may be left out if there is only one campaign.

    No credentials are needed, except for --statuses. With --deliveries too, the service is asked only about messages
    whose status in the database is not final.
    """
    run(_show(name, journal, json_lines, options))


@campaign.command(
    short_help="Write what became of each message, or of each key.",
    epilog="Example: devino campaign export campaign.csv --output outcomes.csv",
)
@click.argument("name", required=False)
@click.option("--state", type=click.Choice([str(each) for each in State]), help="Only messages in this state.")
@click.option("--keys", is_flag=True, help="Keyed sends, instead of the messages of a campaign.")
@click.option("--output", callback=output_path, metavar="FILE", help="CSV or JSON lines.")
@click.option("--overwrite", is_flag=True, help="Replace an --output file that exists.")
@excel
@where
def export(name: str | None, journal: Path | None, json_lines: bool, output: Path | None, **options: Any) -> None:
    """Write what became of each message of a campaign, or of each key, as CSV or JSON lines. Positions count messages
    from 0, in the order in which they were first sent. The rows hold no phone numbers, and no texts but what the
    service quotes in its reasons. The journal itself holds the phone numbers and texts of messages in doubt or unsent,
    compressed.
    """
    target = None if str(output) == "-" else output
    run(_export(name, journal, json_lines, target, options), prints=target is None)


async def _list(file: str | None, journal: Path | None, json_lines: bool) -> None:
    async with AsyncExitStack() as stack:
        found = [(each.state, each.place) for each in await listed(journal, file, stack)]
        forgotten = await forgotten_here(journal, None, stack) if file is None else []
    if not json_lines:
        click.echo(f"{'campaign':40} {'messages':>10} {'accepted':>10} {'in doubt':>8} {'to send':>8}  state")
    for state, place in found:
        if json_lines:
            click.echo(as_json(as_data(state, place)))
        else:
            in_doubt, to_send = state.unconfirmed + state.in_flight, state.not_sent + state.planned
            counts = f"{state.messages:>10,} {state.accepted:>10,} {in_doubt:>8,} {to_send:>8,}"
            click.echo(f"{printable(state.name):40} {counts}  {word_of(state)}")
    if forgotten and not json_lines:
        click.echo(f"{len(forgotten):,} forgotten: {_names_of(forgotten)}")


async def _show(name: str | None, journal: Path | None, json_lines: bool, options: dict[str, Any]) -> int:
    reasons: Counter[str] = Counter()
    wanted, deliveries = options.pop("statuses"), options.pop("deliveries")
    asking = Asking(service=wanted, deliveries=deliveries, options=options) if wanted or deliveries else None
    async with AsyncExitStack() as stack:
        try:
            found = await one_campaign(journal, name, stack)
        except click.UsageError:
            forgotten = await forgotten_here(journal, name, stack)
            if not forgotten or (name is None and len(forgotten) > 1):
                raise
            _show_forgotten(forgotten, json_lines)
            return 0
        if found.state.rejected and not json_lines:
            async for outcome in found.journal.outcomes(found.state.name):
                if outcome.state == State.REJECTED:
                    reasons[_INDEX.sub("", describe_reasons(outcome.reasons)) or "no reason given"] += 1
        statuses = None if asking is None else await asking.ask(found)
    if json_lines:
        more = {} if statuses is None else {"statuses": statuses.data()}
        click.echo(as_json(as_data(found.state, found.place) | more))
    else:
        for line in (*lines_of(found.state, found.place, reasons), *(() if statuses is None else statuses.lines())):
            click.echo(line)
    return 0 if statuses is None else statuses.exit_status


def _show_forgotten(forgotten: Sequence[tuple[ForgottenCampaign, Path]], json_lines: bool) -> None:
    for each, place in forgotten:
        if json_lines:
            at = each.forgotten_at
            data = {"name": each.name, "address": each.address, "forgotten": each.messages, "forgotten_at": at}
            click.echo(as_json({**data, "journal": str(place)}))
        else:
            click.echo(
                f"Campaign {printable(each.name)}: forgotten on {each.forgotten_at.astimezone():%Y-%m-%d at %H:%M}"
            )
            click.echo(f"  {'messages':14}{each.messages:>12,}")
            click.echo(f"  {'journal':14}{printable(str(place))}")
            click.echo(f"  {'service':14}{printable(each.address)}")
            click.echo("What became of them is no longer known. A run with this name is refused: choose another one.")


def _names_of(forgotten: Sequence[tuple[ForgottenCampaign, Path]]) -> str:
    names = [printable(each.name) for each, _ in forgotten]
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


async def _export(
    name: str | None, journal: Path | None, json_lines: bool, output: Path | None, options: dict[str, Any]
) -> None:
    refuse_database(output, journal)
    if options["keys"] and name is not None:
        raise click.UsageError("--keys cannot be used with a campaign")
    if options["excel"] and (json_lines or (output is not None and output.suffix.lower() != ".csv")):
        raise click.UsageError("--excel needs CSV, such as --output FILE.csv")
    async with AsyncExitStack() as stack:
        outcomes: AsyncIterator[Outcome]
        if options["keys"]:
            opened, _ = await one_journal(journal, stack)
            outcomes = opened.keys(options["state"])
        else:
            found = await one_campaign(journal, name, stack)
            outcomes = found.journal.outcomes(found.state.name)
        columns = ("key" if options["keys"] else "position", *_COLUMNS)
        file: IO[str] = sys.stdout
        if output is not None:
            file = stack.enter_context(open_output(output, overwrite=options["overwrite"]))
            json_lines = json_lines or output.suffix.lower() != ".csv"
        writer = CsvWriter(file, excel=options["excel"])
        if not json_lines:
            writer.row(columns)
        async for outcome in outcomes:
            if options["state"] not in {None, outcome.state}:
                continue
            if json_lines:
                file.write(as_json(_row_of(outcome)) + "\n")
            else:
                row = _row_of(outcome)
                cells = {**row, "segment_ids": " ".join(row.get("segment_ids", ()))}
                writer.row(cells.get(name) for name in columns)


def _row_of(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"position": outcome.position} if outcome.key is None else {"key": outcome.key}
    row["state"] = str(outcome.state)
    if outcome.message_id is not None:
        row["message_id"] = outcome.message_id
    if outcome.segment_ids:
        row["segment_ids"] = list(outcome.segment_ids)
    if outcome.reasons:
        row["reasons"] = describe_reasons(outcome.reasons)
    return row


for _verb in (*VERBS, reconcile, watch):
    campaign.add_command(_verb)
