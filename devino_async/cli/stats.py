"""`devino stats`: counts by status and period."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

import devino_async

from .console import as_json, printable, run
from .options import connection, connection_of, moment, time_zone
from .shortfalls import Shortfalls

__all__ = ["stats"]

_GROUPS = ["NONE", "YEAR", "MONTH", "WEEK", "DAY", "HOUR"]


@click.command(epilog="Example: devino stats --from 2026-01-01 --to 2027-01-01 --group-by MONTH")
@click.option("--from", "start", type=moment, required=True, help="First moment, YYYY-MM-DD[Thh:mm:ss].")
@click.option("--to", "end", type=moment, required=True, help="Last moment. A date alone means 00:00 of that day.")
@click.option("--group-by", type=click.Choice(_GROUPS, case_sensitive=False), default="NONE", show_default=True)
@click.option("--task-id", type=int, help="Only this campaign.")
@click.option("--trigger-id", type=int, help="Only this trigger.")
@click.option("--time-offset", type=int, help="Recipients' time zone in minutes from UTC, such as 180 for Moscow.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout, one for each status and period.")
@time_zone
@connection
def stats(start: datetime, end: datetime, json_lines: bool, **options: Any) -> None:
    """Count messages and segments by status and period."""
    run(_show(start, end, json_lines, options))


async def _show(start: datetime, end: datetime, json_lines: bool, options: dict[str, Any]) -> None:
    group_by = devino_async.GroupBy(options.pop("group_by"))
    shortfalls = Shortfalls()
    async with devino_async.DevinoClient(**connection_of(options), on_event=shortfalls) as devino:
        found = await devino.statistics(start, end, group_by=group_by, **options)
    if not json_lines:
        click.echo(f"{'status':14} {'date':26} {'messages':>12} {'segments':>12}")
    for row in _rows(found):
        if json_lines:
            click.echo(as_json(row))
        else:
            numbers = f"{row['messages']:>12,} {row['segments']:>12,}"
            click.echo(f"{printable(row['status']):14} {printable(row['date']):26} {numbers}")
    shortfalls.tell()


def _rows(found: "devino_async.Statistics") -> Iterator[dict[str, Any]]:
    """Yield a row for each status and period that has messages or segments. The service may leave out either."""
    messages, segments = (
        {(str(status), each.date): each.amount for status, counts in table.items() for each in counts}
        for table in (found.messages, found.segments)
    )
    for status, date in dict.fromkeys((*messages, *segments)):
        key = (status, date)
        yield {"status": status, "date": date, "messages": messages.get(key, 0), "segments": segments.get(key, 0)}
