"""Detail rows as CSV, JSON lines or a table for people, written row by row in constant memory.

The query for the rows is in details.py.
"""

from collections.abc import Sequence
from typing import IO

import attrs

import devino_async

from .cells import CsvWriter
from .console import as_json, printable

__all__ = ["Rendering"]

_IN_TABLE = ("message_id", "recipient", "source_address", "status", "sent_date_time", "segment_count", "price")
_MAX_WIDTH = 40
_MEASURED_ROWS = 100


class Rendering:
    """Writes rows to a file. Columns that this version does not know are in JSON lines only."""

    def __init__(self, form: str, file: IO[str], fields: Sequence[str] | None, *, excel: bool = False) -> None:
        self._form = form
        self._file = file
        self._csv = CsvWriter(file, excel=excel)
        self._all = tuple(each.name for each in attrs.fields(devino_async.DetailRow) if each.name != "extra")
        self._columns = tuple(each.lower() for each in fields or ()) or (_IN_TABLE if form == "table" else self._all)
        # The first rows of a table are held back here until there are enough of them to set the column widths.
        self._held: list[list[str]] | None = [list(self._columns)]
        self._widths: list[int] = []
        self.count = 0
        if form == "csv":
            self._csv.row(self._columns)

    def row(self, row: "devino_async.DetailRow") -> None:
        """Write one row."""
        self.count += 1
        if self._form == "jsonl":
            known = {name: value for name in self._all if (value := getattr(row, name)) is not None}
            self._file.write(as_json({**row.extra, **known}) + "\n")
        elif self._form == "csv":
            self._csv.row(getattr(row, name) for name in self._columns)
        else:
            self._table_row([printable(getattr(row, name))[:_MAX_WIDTH] for name in self._columns])

    def finish(self) -> None:
        """Write the rows of a table that are still held back."""
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
        if len(self._held) > _MEASURED_ROWS:
            self.finish()
