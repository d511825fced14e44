"""`devino campaign reconcile`: looks up what is unconfirmed, and settles what the service has.

It sends nothing. What is evidence is decided by the library.
"""

from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import devino_async

from .campaign_words import as_data
from .console import MESSAGES_FAILED, as_json, printable, run, say
from .found_campaigns import one_campaign, where
from .options import connection, connection_of, time_zone

if TYPE_CHECKING:
    from devino_async.campaigns import ReconcileReport

__all__ = ["reconcile"]


@click.command(epilog="Example: devino campaign reconcile campaign.csv --time-zone Europe/Moscow")
@click.argument("name", required=False)
@time_zone
@connection
@where
def reconcile(name: str | None, journal: Path | None, json_lines: bool, **options: Any) -> None:
    """Look for unconfirmed messages among those that the service has, and record the ids of those that are found.
    Nothing is sent. The exit status is 1 while any message is unconfirmed. It may be stopped and run again.
    """
    run(_reconcile(name, journal, json_lines, options))


async def _reconcile(name: str | None, journal: Path | None, json_lines: bool, options: dict[str, Any]) -> int:
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        client = devino_async.DevinoClient(**connection_of(options), journal=found.journal)
        async with client:
            say(f"campaign {printable(found.state.name)} in {found.place}: {found.state.unconfirmed:,} unconfirmed")
            report = await client.reconcile(campaign=found.state.name)
        [state] = [each for each in await found.journal.campaigns() if each.name == found.state.name]
        if json_lines:
            click.echo(as_json({**as_data(state, found.place), "reconciled": _as_data(report)}))
        else:
            for line in report.lines():
                click.echo(line)
            click.echo(f"now: {state.accepted:,} of {state.messages:,} accepted, {state.unconfirmed:,} unconfirmed")
        return MESSAGES_FAILED if state.unconfirmed or state.in_flight else 0


def _as_data(report: "ReconcileReport") -> dict[str, Any]:
    return {
        "settled": [{"position": each.position, "message_id": each.message_id} for each in report.settled],
        "absent": [each.position for each in report.absent],
        "unclear": [each.position for each in report.unclear],
        "arrived": report.arrived,
        "under_way": report.under_way,
        "searched": [
            {"from": _shown(each.start), "to": _shown(each.end), "rows": each.rows, "complete": each.complete}
            for each in report.searched
        ],
    }


def _shown(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
