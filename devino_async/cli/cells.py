"""CSV: cells that a spreadsheet shows as text instead of running them as formulas, and rows that no cell can break."""

import csv
import re
from collections.abc import Iterable
from typing import IO, Any

__all__ = ["CsvWriter", "csv_cell"]

_FORMULA = ("=", "+", "-", "@")
# Numbers and phone numbers may begin with a sign without being formulas.
_NUMBER = re.compile(r"[+-][0-9 .()]*[0-9][0-9 .()]*", re.ASCII)
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
    if isinstance(value, str):
        seen = value.lstrip(_DROPPED)
        if seen.startswith(_FORMULA) and not _NUMBER.fullmatch(seen):
            return f"'{value}"
    return value


class CsvWriter:
    """Writes rows of cells to a file. A row with a carriage return, a tab or another odd separator is quoted."""

    def __init__(self, file: IO[str]) -> None:
        self._usual = csv.writer(file, lineterminator="\n")
        self._quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def row(self, values: Iterable[Any]) -> None:
        """Write one row."""
        cells = [csv_cell(value) for value in values]
        odd = any(isinstance(cell, str) and _QUOTED.search(cell) for cell in cells)
        (self._quoting if odd else self._usual).writerow(cells)
