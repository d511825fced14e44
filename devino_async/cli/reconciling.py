"""`devino campaign reconcile`: looks up what is unconfirmed, and settles what the service has.

It sends nothing. What is evidence is decided by the library.
"""

import shlex
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import devino_async
from devino_async.campaigns import SQLiteJournal

from .campaign_keys import key_counts, one_journal, state_of
from .campaign_words import as_data
from .console import MESSAGES_FAILED, USAGE, as_json, printable, run, say
from .found_campaigns import one_campaign, where
from .options import connection, connection_of, time_zone
from .progress import counting

if TYPE_CHECKING:
    from devino_async.campaigns import Outcome, ReconcileReport

__all__ = ["reconcile"]

_SHOWN = 10


@click.command(
    short_help="Look for unconfirmed messages at the service.",
    epilog="Example: devino campaign reconcile campaign.csv --time-zone Europe/Moscow",
)
@click.argument("name", required=False)
@click.option("--key", metavar="KEY", help="Look for the message with this key instead of a campaign's.")
@click.option("--keys", is_flag=True, help="Look for the unconfirmed messages of all keys.")
@time_zone
@connection
@where
def reconcile(name: str | None, journal: Path | None, json_lines: bool, **options: Any) -> None:
    """Look for unconfirmed messages among those that the service has, and record the ids of those that are found.
    Nothing is sent. The exit status is 1 while any of them is unconfirmed. It may be stopped and run again.
    """
    key, keys = options.pop("key"), options.pop("keys")
    if (name is not None) + (key is not None) + keys > 1:
        raise click.UsageError("give a campaign, or --key, or --keys")
    if key is not None or keys:
        run(_reconcile_keys(key, journal, json_lines, options))
    run(_reconcile(name, journal, json_lines, options))


async def _reconcile(name: str | None, journal: Path | None, json_lines: bool, options: dict[str, Any]) -> int:
    has_zone = options["time_zone"] is not None
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        say(f"campaign {printable(found.state.name)} in {found.place}: {found.state.unconfirmed:,} unconfirmed")
        report = await _asked(found.journal, options, campaign=found.state.name)
        [state] = [each for each in await found.journal.campaigns() if each.name == found.state.name]
        if json_lines:
            click.echo(as_json({**as_data(state, found.place), "reconciled": _as_data(report)}))
        else:
            for line in report.lines():
                click.echo(line)
            for line in _advice(report, has_zone, [state.name, "--journal", str(found.place)]):
                click.echo(line)
            click.echo(f"now: {state.accepted:,} of {state.messages:,} accepted, {state.unconfirmed:,} unconfirmed")
        return MESSAGES_FAILED if state.unconfirmed or state.in_flight else 0


async def _reconcile_keys(key: str | None, journal: Path | None, json_lines: bool, options: dict[str, Any]) -> int:
    has_zone = options["time_zone"] is not None
    async with AsyncExitStack() as stack:
        opened, place = await one_journal(journal, stack)
        if key is None:
            say(f"{place}: {await key_counts(opened)}")
        elif (known := await state_of(opened, key)) is None:
            say(f"the journal {place} does not know this key. `devino campaign export --keys` lists its keys")
            return USAGE
        else:
            say(f"key {printable(key)} in {place}: {known.value.replace('_', ' ')}")
        report = await _asked(opened, options, key=key)
        if json_lines:
            click.echo(as_json({"journal": str(place), "reconciled": _as_data(report)}))
        else:
            for line in (*report.lines(), *_keys_of(report)):
                click.echo(line)
            for line in _advice(report, has_zone, ["--key", key or "KEY", "--journal", str(place)]):
                click.echo(line)
    return MESSAGES_FAILED if report.absent or report.unclear or report.under_way else 0


async def _asked(
    journal: SQLiteJournal, options: dict[str, Any], *, campaign: str | None = None, key: str | None = None
) -> "ReconcileReport":
    """Return what the service says. A terminal shows meanwhile how many pages of rows were asked for."""
    with counting("pages of rows", step=1) as advance:

        def on_event(event: "devino_async.ClientEvent") -> None:
            if isinstance(event, devino_async.AttemptStarted) and event.attempt == 1:
                advance()

        given = {**connection_of(options), "on_event": on_event}
        async with devino_async.DevinoClient(**given, journal=journal) as client:
            if campaign is not None:
                return await client.reconcile(campaign=campaign)
            return await client.reconcile(key=key) if key is not None else await client.reconcile()


def _keys_of(report: "ReconcileReport") -> Iterator[str]:
    for word, outcomes in (("settled", report.settled), ("absent", report.absent), ("unclear", report.unclear)):
        for each in outcomes[:_SHOWN]:
            yield f"  {word}: {printable(each.key)}" + (f" is {each.message_id}" if each.message_id else "")
        if len(outcomes) > _SHOWN:
            yield f"  {word}: {len(outcomes) - _SHOWN:,} more keys, which --json lists"


def _advice(report: "ReconcileReport", has_zone: bool, which: list[str]) -> Iterator[str]:
    """Yield which options and commands do what the report advises."""
    if report.unclear and not has_zone:
        yield "Give the time zone of the service's dates with --time-zone, such as Europe/Moscow."
    if report.absent or report.unclear:
        yield "To count the rest as sent, or to let the next run send it, which may deliver it twice:"
        for how in ("--assume-sent", "--resend"):
            yield f"  {printable(shlex.join(['devino', 'campaign', 'resolve', *which, how]))}"


def _as_data(report: "ReconcileReport") -> dict[str, Any]:
    return {
        "settled": [{**_which(each), "message_id": each.message_id} for each in report.settled],
        "absent": [each.position if each.key is None else each.key for each in report.absent],
        "unclear": [each.position if each.key is None else each.key for each in report.unclear],
        "arrived": report.arrived,
        "under_way": report.under_way,
        "searched": [
            {
                "from": _shown(each.start),
                "to": _shown(each.end),
                "rows": each.rows,
                "complete": each.complete,
                "stopped": each.stopped,
            }
            for each in report.searched
        ],
    }


def _which(outcome: "Outcome") -> dict[str, Any]:
    return {"position": outcome.position} if outcome.key is None else {"key": outcome.key}


def _shown(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
