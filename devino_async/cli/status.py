"""`devino status`: delivery statuses by message id."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

import devino_async

from .console import MESSAGES_FAILED, as_json, printable, run, say, standard_input
from .id_files import ids_in, ids_of_file
from .options import connection, connection_of, time_zone
from .shortfalls import Shortfalls

__all__ = ["status"]


@click.command(epilog="Example: devino status 3701172084729885952")
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Results of `devino send`, any file with a column message_id, or ids, one a line.",
)
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout.")
@time_zone
@connection
def status(ids: tuple[str, ...], file: Path | None, json_lines: bool, **options: Any) -> None:
    """Look up delivery statuses of any number of messages. `-` reads ids from standard input, one a line."""
    if not ids and file is None:
        raise click.UsageError("give ids, - or --file")
    run(_show(ids, file, json_lines, options))


def _wanted(ids: Iterable[str]) -> Iterator[str]:
    for each in ids:
        if each == "-":
            yield from ids_in(standard_input())
        else:
            yield each


async def _show(ids: tuple[str, ...], file: Path | None, json_lines: bool, options: dict[str, Any]) -> int:
    shortfalls = Shortfalls()
    wanted, complete = list(_wanted(ids)), True
    if str(file) == "-":
        wanted += _wanted("-")
    elif file is not None:
        found, complete = await asyncio.to_thread(ids_of_file, file)
        wanted += found
    async with devino_async.DevinoClient(**connection_of(options), on_event=shortfalls) as devino:
        unknown = dict.fromkeys(wanted)
        async for each in devino.iter_statuses(unknown):
            unknown.pop(each.message_id, None)
            changed = each.status_date_time
            if json_lines:
                click.echo(as_json({"message_id": each.message_id, "status": each.status, "status_date_time": changed}))
            else:
                click.echo(f"{each.message_id}  {printable(each.status):14} {printable(changed)}".rstrip())
    # A row that could not be read may have belonged to any of the ids that are missing now.
    why = "no status that could be read" if shortfalls.unread else "the service does not know this id"
    for each_id in unknown:
        say(f"{each_id}: {why}")
    shortfalls.tell()
    return 0 if complete else MESSAGES_FAILED
