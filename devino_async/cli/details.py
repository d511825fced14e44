"""`devino details`: all that is known about sent messages. Rows are written in rendering.py."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

import devino_async

from .console import MESSAGES_FAILED, open_output, output_path, run, say
from .databases import refuse_database
from .options import connection, connection_of, excel, moment, time_zone, upper
from .rendering import Rendering
from .shortfalls import Shortfalls

__all__ = ["details"]

_TABLE_ROWS = 100


@click.command(epilog="Example: devino details --from 2026-01-01 --to 2026-02-01 --format csv --output details.csv")
@click.option("--from", "date_time_from", type=moment, help="First moment, YYYY-MM-DD[Thh:mm:ss].")
@click.option("--to", "date_time_to", type=moment, help="Last moment. A date alone means 00:00 of that day.")
@click.option("--task-id", type=int, help="The id of a campaign.")
@click.option("--trigger-id", type=int, help="The id of a trigger of that campaign.")
@click.option("--message-id", "message_ids", multiple=True, help="May be given several times.")
@click.option("--by-segments", is_flag=True, default=None, help="A row for each segment.")
@click.option("--count", "calculate_total_count", is_flag=True, default=None, help="Print how many rows match.")
@click.option("--country-id", type=int)
@click.option("--mog-id", type=int, help="A mobile operator group.")
@click.option("--order", type=click.Choice(["ASC", "DESC"], case_sensitive=False))
@click.option("--order-field", metavar="COLUMN", type=upper)
@click.option(
    "--field",
    "out_fields",
    multiple=True,
    metavar="COLUMN",
    type=upper,
    help="Only this column. May be given several times.",
)
@click.option("--recipient", help="A phone number.")
@click.option("--search", "search_text", help="Only messages whose text contains this.")
@click.option("--sender", "source_address")
@click.option(
    "--status", metavar="STATUS", type=upper, help="DELIVERED, IN_PROGRESS, REDIRECT, REJECTED or UNDELIVERED."
)
@click.option("--time-offset", type=int, help="Recipient's time zone.")
@click.option("--user-id", type=int, help="The id of the user who sent the campaign.")
@click.option("--page-size", type=click.IntRange(1), default=500, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="The first row, to resume from.")
@click.option("--max-rows", type=click.IntRange(1), help=f"Stop after so many rows. Default for tables: {_TABLE_ROWS}.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), help="Default: table.")
@click.option("--json", "json_lines", is_flag=True, help="The same as --format jsonl.")
@click.option("--output", callback=output_path, metavar="FILE", help="Write here, not to stdout.")
@click.option("--overwrite", is_flag=True, help="Replace an --output file that exists.")
@excel
@time_zone
@connection
def details(form: str | None, json_lines: bool, output: Path | None, **options: Any) -> None:
    """Show rows of sent messages. Give exactly one of these combinations: --task-id, --task-id with --trigger-id,
    --from with --to, all four of these, or --message-id. If the number of rows differs from the service's
    total, the exit status is 1.
    """
    prints = output is None or str(output) == "-"
    if options["excel"] and (json_lines or form not in {None, "csv"}):
        raise click.UsageError("--excel is for --format csv alone")
    form = "jsonl" if json_lines else form or ("csv" if options["excel"] else "table")
    run(_show(form, None if prints else output, options), prints=prints)


async def _show(form: str, output: Path | None, options: dict[str, Any]) -> int:
    page_size, offset, overwrite = options.pop("page_size"), options.pop("offset"), options.pop("overwrite")
    for_excel = options.pop("excel")
    max_rows = options.pop("max_rows") or (_TABLE_ROWS if form == "table" else None)
    # The output file may hold older rows, so the query and the credentials are checked before it is opened.
    shortfalls = Shortfalls(counted=bool(options["calculate_total_count"]))
    refuse_database(output)
    client = devino_async.DevinoClient(**connection_of(options), on_event=shortfalls)
    query = devino_async.DetailQuery(**{name: value for name, value in options.items() if value not in {None, ()}})
    rows = client.details(query, page_size=min(page_size, max_rows or page_size), start_offset=offset)
    with ExitStack() as stack:
        file = sys.stdout if output is None else stack.enter_context(open_output(output, overwrite=overwrite))
        rendering = Rendering(form, file, query.out_fields, excel=for_excel)
        try:
            async with client:
                await _write(rows, rendering, max_rows, say_total=query.message_ids is None)
        except (devino_async.DevinoError, asyncio.CancelledError):
            say(f"to go on: --offset {rows.offset}{'' if output is None else ' with another --output'}")
            raise
        finally:
            rendering.finish()
            differs = shortfalls.tell()
    if form == "table" and rendering.count == max_rows:
        say(f"these are the first {max_rows} rows; --max-rows, or --format csv or jsonl, gives more")
    return MESSAGES_FAILED if differs else 0


async def _write(
    rows: "devino_async.DetailPaginator", rendering: Rendering, max_rows: int | None, *, say_total: bool
) -> None:
    async for page in rows.pages():
        if say_total and page.total and rendering.count == 0:
            say(f"{page.total:,} rows match")
        left = None if max_rows is None else max_rows - rendering.count
        for row in page.rows[:left]:
            rendering.row(row)
        if rendering.count == max_rows:
            return
