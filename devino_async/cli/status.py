"""`devino status`: delivery statuses by message id."""

import sys
from collections.abc import Iterator

import click

from .running import as_json, connection, run

__all__ = ["status"]


@click.command(epilog="Example: devino status 3701172084729885952")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout.")
@connection
def status(ids: tuple[str, ...], json_lines: bool, **credentials: str | None) -> None:
    """Delivery statuses of any number of messages; `-` reads ids from standard input, one a line."""
    run(_show(ids, json_lines, credentials))


def _wanted(ids: tuple[str, ...]) -> Iterator[str]:
    for each in ids:
        if each == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield each


async def _show(ids: tuple[str, ...], json_lines: bool, credentials: dict[str, str | None]) -> None:
    from devino_async import DevinoClient  # noqa: PLC0415

    async with DevinoClient(**credentials) as devino:  # type: ignore[arg-type]
        known: set[str] = set()
        asked = list(_wanted(ids))
        async for each in devino.iter_statuses(asked):
            known.add(each.message_id)
            if json_lines:
                moment = each.status_date_time
                click.echo(as_json({"message_id": each.message_id, "status": each.status, "status_date_time": moment}))
            else:
                click.echo(f"{each.message_id}  {each.status!s:14} {each.status_date_time or ''}")
        for each_id in dict.fromkeys(asked):
            if each_id not in known:
                click.echo(f"{each_id}: the service does not know this id", err=True)
