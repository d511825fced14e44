"""CSV cells that a spreadsheet shows as text instead of running them as formulas. The csv module writes them."""

import re
from typing import Any

__all__ = ["csv_cell"]

_FORMULA = ("=", "+", "-", "@")
# Numbers and phone numbers may begin with a sign without being formulas.
_NUMBER = re.compile(r"[+-][0-9 .()]*[0-9][0-9 .()]*", re.ASCII)


def csv_cell(value: Any) -> Any:
    """Return a value as a CSV cell. A text that a spreadsheet would take for a formula gets a leading apostrophe.

    None becomes an empty cell. Numbers and phone numbers stay as they are: one sign, then digits, spaces, dots and
    brackets.
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
