"""`devino details`: everything that is known of sent messages, as a table, CSV or JSON lines."""

import csv
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import attrs
import click

from .running import FAILED, MOMENT, as_json, connection, run, say

__all__ = ["details"]

_TABLE_COLUMNS = ("message_id", "recipient", "source_address", "status", "sent_date_time", "segment_count", "price")
_TABLE_ROWS = 100


@click.command(epilog="Example: devino details --from 2026-01-01 --to 2026-01-31 --format csv --output details.csv")
@click.option("--from", "date_time_from", type=MOMENT, help="First moment, YYYY-MM-DD[Thh:mm:ss].")
@click.option("--to", "date_time_to", type=MOMENT, help="Last moment.")
@click.option("--task-id", type=int)
@click.option("--trigger-id", type=int)
@click.option("--message-id", "message_ids", multiple=True, help="May be given several times.")
@click.option("--by-segments", is_flag=True, default=None, help="A row for each segment.")
@click.option("--count", "calculate_total_count", is_flag=True, default=None, help="Ask for the totals too.")
@click.option("--country-id", type=int)
@click.option("--mog-id", type=int)
@click.option("--order", type=click.Choice(["ASC", "DESC"], case_sensitive=False))
@click.option("--order-field", metavar="COLUMN")
@click.option("--field", "out_fields", multiple=True, metavar="COLUMN", help="Only these columns; several times.")
@click.option("--recipient")
@click.option("--search", "search_text", help="Only messages whose text holds this.")
@click.option("--sender", "source_address")
@click.option("--status", metavar="STATUS", help="DELIVERED, IN_PROGRESS, REDIRECT, REJECTED or UNDELIVERED.")
@click.option("--time-offset", type=int)
@click.option("--user-id", type=int)
@click.option("--page-size", type=click.IntRange(1), default=500, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="Where to begin, or to resume.")
@click.option("--max-rows", type=click.IntRange(1), help="Stop after so many rows.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
@click.option("--json", "json_lines", is_flag=True, help="The same as --format jsonl.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file in place of stdout.")
@connection
def details(form: str, json_lines: bool, **others: Any) -> None:
    """Rows of sent messages. Give exactly one of: --task-id; --task-id and --trigger-id; --from and --to; all four of
    these; --message-id."""
    run(_show("jsonl" if json_lines else form, others))


async def _show(form: str, others: dict[str, Any]) -> int:
    from devino_async import DetailQuery, DevinoClient, DevinoError  # noqa: PLC0415

    page_size, offset, output = others.pop("page_size"), others.pop("offset"), others.pop("output")
    most = others.pop("max_rows") or (_TABLE_ROWS if form == "table" else None)
    credentials = {name: others.pop(name) for name in ("api_key", "login", "password", "base_url")}
    query = DetailQuery(**{name: value for name, value in others.items() if value not in {None, ()}})
    with ExitStack() as stack:
        file = sys.stdout if output is None else stack.enter_context(output.open("w", encoding="utf-8", newline=""))
        async with DevinoClient(**credentials) as devino:
            rows = devino.details(query, page_size=page_size, start_offset=offset)
            write = _Writer(form, file, query.out_fields)
            try:
                async for row in rows:
                    write.row(attrs.asdict(row, recurse=False))
                    if most is not None and rows.offset - offset >= most:
                        break
            except DevinoError as error:
                say(f"devino: {error}\nto go on: --offset {rows.offset}")
                return FAILED
    if form == "table" and most == write.count:
        say(f"these are the first {most} rows; --max-rows, or --format csv or jsonl, gives more")
    return 0


class _Writer:
    """Writes rows as they come."""

    def __init__(self, form: str, file: IO[str], fields: Any) -> None:
        self._form = form
        self._file = file
        self._csv = csv.writer(file, lineterminator="\n")
        self._columns = [each.lower() for each in fields] if fields else None
        self.count = 0

    def row(self, row: dict[str, Any]) -> None:
        extra = row.pop("extra")
        if self._form == "jsonl":
            shown = {name: value for name, value in row.items() if value is not None}
            self._file.write(as_json({**shown, **extra}) + "\n")
        elif self._form == "csv":
            columns = self._columns or list(row)
            if self.count == 0:
                self._csv.writerow(columns)
            self._csv.writerow(["" if row[name] is None else row[name] for name in columns])
        else:
            columns = self._columns or list(_TABLE_COLUMNS)
            if self.count == 0:
                self._file.write("  ".join(f"{name:20}" for name in columns).rstrip() + "\n")
            cells = ("" if row[name] is None else str(row[name]) for name in columns)
            self._file.write("  ".join(f"{cell[:40]:20}" for cell in cells).rstrip() + "\n")
        self.count += 1
