"""Detail rows as CSV, JSON lines or a table for people; row by row, with flat memory. Which rows is details.py's."""

import csv
from collections.abc import Sequence
from typing import IO, Any

import attrs

from devino_async import DetailRow

from .running import as_json, printable

__all__ = ["Rendering"]

_ALL = tuple(each.name for each in attrs.fields(DetailRow) if each.name != "extra")
_IN_TABLE = ("message_id", "recipient", "source_address", "status", "sent_date_time", "segment_count", "price")
_WIDEST = 40
_MEASURED = 100


class Rendering:
    """Writes rows to a file. Columns that this version does not know are in JSON lines only."""

    def __init__(self, form: str, file: IO[str], fields: Sequence[str] | None) -> None:
        self._form = form
        self._file = file
        self._csv = csv.writer(file, lineterminator="\n")
        self._columns = tuple(each.lower() for each in fields or ()) or (_IN_TABLE if form == "table" else _ALL)
        # The first rows of a table, kept until there are enough of them to know how wide its columns are.
        self._held: list[list[str]] | None = [list(self._columns)]
        self._widths: list[int] = []
        self.count = 0
        if form == "csv":
            self._csv.writerow(self._columns)

    def row(self, row: DetailRow) -> None:
        """One row."""
        self.count += 1
        if self._form == "jsonl":
            known = {name: value for name in _ALL if (value := getattr(row, name)) is not None}
            self._file.write(as_json({**row.extra, **known}) + "\n")
        elif self._form == "csv":
            values: list[Any] = [getattr(row, name) for name in self._columns]
            self._csv.writerow(["" if value is None else value for value in values])
        else:
            self._table_row([printable(getattr(row, name))[:_WIDEST] for name in self._columns])

    def finish(self) -> None:
        """Write what was held back."""
        if self._form != "table" or self._held is None:
            return
        held, self._held = self._held, None
        self._widths = [max(map(len, column)) for column in zip(*held, strict=True)]
        for cells in held:
            self._table_row(cells)

    def _table_row(self, cells: list[str]) -> None:
        if self._held is None:
            padded = (f"{cell:{width}}" for cell, width in zip(cells, self._widths, strict=True))
            self._file.write("  ".join(padded).rstrip() + "\n")
            return
        self._held.append(cells)
        if len(self._held) > _MEASURED:
            self.finish()
