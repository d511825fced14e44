"""`devino stats`: counts by status and period."""

from datetime import datetime
from typing import Any

import click

from .running import MOMENT, as_json, connection, run

__all__ = ["stats"]

_GROUPS = ["NONE", "YEAR", "MONTH", "WEEK", "DAY", "HOUR"]


@click.command(epilog="Example: devino stats --from 2026-01-01 --to 2026-12-31 --group-by MONTH")
@click.option("--from", "start", type=MOMENT, required=True, help="First moment, YYYY-MM-DD[Thh:mm:ss].")
@click.option("--to", "end", type=MOMENT, required=True, help="Last moment.")
@click.option("--group-by", type=click.Choice(_GROUPS, case_sensitive=False), default="NONE", show_default=True)
@click.option("--task-id", type=int, help="Only this campaign.")
@click.option("--trigger-id", type=int, help="Only this trigger.")
@click.option("--time-offset", type=int, help="Recipients' time zone, minutes from UTC; 180 is Moscow.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout, one a status and period.")
@connection
def stats(start: datetime, end: datetime, json_lines: bool, **others: Any) -> None:
    """Messages and segments by status and period."""
    run(_show(start, end, json_lines, others))


async def _show(start: datetime, end: datetime, json_lines: bool, others: dict[str, Any]) -> None:
    from devino_async import DevinoClient, GroupBy  # noqa: PLC0415

    asked = {name: others.pop(name) for name in ("task_id", "trigger_id", "time_offset")}
    group_by = GroupBy(others.pop("group_by").upper())
    async with DevinoClient(**others) as devino:
        found = await devino.statistics(start, end, group_by=group_by, **asked)
    segments = {(status, each.date): each.amount for status, counts in found.segments.items() for each in counts}
    for status, counts in found.messages.items():
        for each in counts:
            row = {
                "status": str(status),
                "date": each.date,
                "messages": each.amount,
                "segments": segments.get((status, each.date), 0),
            }
            if json_lines:
                click.echo(as_json(row))
            else:
                click.echo(f"{row['status']:14} {each.date!s:20} {each.amount:>12,} {row['segments']:>12,}")
