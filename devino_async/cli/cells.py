"""CSV: cells that a spreadsheet shows as text instead of running them as formulas, and rows that no cell can break."""

import csv
import io
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import IO, Any

__all__ = ["CsvWriter", "csv_cell", "excel_cell"]

_FORMULA = ("=", "+", "-", "@")
# Numbers and phone numbers may begin with a sign without being formulas.
_NUMBER = re.compile(r"[+-][0-9 .()]*[0-9][0-9 .()]*", re.ASCII)
# What Excel may take for a number, a date, a time or a fraction: digits, and what may stand between them.
_LIKE_A_NUMBER = re.compile(r"(?=.*[0-9])[0-9+().,/:%eE \xa0-]+", re.ASCII)
# Larger numbers are shown as 3.7E+18.
_MAX_SHOWN = 99_999_999_999
# Spreadsheets may drop these in front of a formula.
_DROPPED = "".join(map(chr, range(33))) + "\x7f\xa0\ufeff"
# A reader may take one of these for the end of a row or cell. The csv module itself quotes only line feeds.
_QUOTED = re.compile(r"[\r\t\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def csv_cell(value: Any) -> Any:
    """Return a value as a CSV cell. A text that a spreadsheet would take for a formula gets a leading apostrophe.

    Spaces and control characters before a formula do not hide it. None becomes an empty cell. Numbers and phone numbers
    stay as they are: one sign, then digits, spaces, dots and brackets.
    """
    if value is None:
        return ""
    if isinstance(value, str) and not value[:1].isalnum():
        seen = value.lstrip(_DROPPED)
        if seen.startswith(_FORMULA) and not _NUMBER.fullmatch(seen):
            return f"'{value}"
    return value


def excel_cell(value: Any) -> Any:
    """Return a value as a CSV cell that Excel shows as it is, in a locale with a decimal comma.

    Excel takes a text of digits for a number, of which it keeps 15 digits, and `4.2` or `1-2` for a date. As the
    formula `="..."` it stays a text. Amounts stay numbers.
    """
    if isinstance(value, Decimal | float):
        return str(value).replace(".", ",")
    if isinstance(value, int) and abs(value) > _MAX_SHOWN:
        value = str(value)
    if isinstance(value, str) and value and _LIKE_A_NUMBER.fullmatch(value):
        return f'="{value}"'
    return csv_cell(value)


class CsvWriter:
    """Writes rows of cells to a file. A row with a carriage return, a tab or another odd separator is quoted.

    With `excel` the file is for a Russian Excel: a byte order mark, semicolons, and cells as excel_cell() makes them.
    """

    def __init__(self, file: IO[str], *, excel: bool = False) -> None:
        self._file = file
        self._delimiter = ";" if excel else ","
        self._end = "\r\n" if excel else "\n"
        self._cell = excel_cell if excel else csv_cell
        self._buffer = io.StringIO()
        self._usual = csv.writer(self._buffer, delimiter=self._delimiter, lineterminator="")
        self._quoting = csv.writer(self._buffer, delimiter=self._delimiter, lineterminator="", quoting=csv.QUOTE_ALL)
        if excel:
            file.write("\ufeff")

    def row(self, values: Iterable[Any], carried: str = "") -> None:
        """Write one row. `carried` are its last cells, as `cells` returns them."""
        rest = self._delimiter + carried if carried else ""
        self._file.write(self.cells(values) + rest + self._end)

    def cells(self, values: Iterable[Any]) -> str:
        """Return cells as they stand in a row."""
        cells = [*map(self._cell, values)]
        text = self._written(self._usual, cells)
        return text if _QUOTED.search(text) is None else self._written(self._quoting, cells)

    def _written(self, writer: Any, cells: list[Any]) -> str:
        writer.writerow(cells)
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text
