"""Cells of CSV that a spreadsheet shows as they are. The commands write them by the standard library's csv."""

import re
from typing import Any

__all__ = ["csv_cell"]

_FORMULA = ("=", "+", "-", "@")
# Numbers and phones begin with a sign, and are not formulas.
_NUMBER = re.compile(r"[+-][0-9 .()]*[0-9][0-9 .()]*", re.ASCII)


def csv_cell(value: Any) -> Any:
    """Return a cell for csv: empty for None, and with a leading apostrophe if a spreadsheet would take it as a formula.

    Numbers and phones stay: digits, spaces, dots and brackets after one sign.
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
