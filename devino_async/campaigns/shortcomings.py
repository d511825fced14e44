"""Why a table of text cannot be read to its end, and cells that hold other rows.

A file that can be read twice is checked as a whole, so that nothing of a broken one is sent. Reading is in tables.py.
"""

import csv

from ..errors import ConfigurationError
from .decoding import DAMAGED, GZIP_ERRORS, MAX_LINE
from .digits import digits_of
from .lines import FileChanged, Lines, LineTooLong

__all__ = ["NO_MORE", "QUOTE", "holds_rows", "require_whole", "way_out", "why"]

NO_MORE = (LineTooLong, FileChanged, *GZIP_ERRORS)
"""What reading lines raises if the rest cannot be read."""
QUOTE = "is a quote opened and never closed"
_DIGITS_OF_A_PHONE = 10


def why(error: Exception) -> str:
    """Return what is wrong with the line where reading ended."""
    if isinstance(error, FileChanged):
        return "cannot be read, because the file changed while it was read"
    if isinstance(error, LineTooLong):
        return f"is longer than {MAX_LINE:,} characters"
    return "is not valid CSV" if isinstance(error, csv.Error) else f"cannot be read, because {DAMAGED}"


def way_out(error: Exception) -> str:
    """Return what to do about it, with a colon in front."""
    if isinstance(error, FileChanged):
        return ": see that it is complete, and run this again"
    return f": {error}; {QUOTE}, or not doubled?" if isinstance(error, csv.Error) else ""


def require_whole(lines: Lines, delimiter: str) -> None:
    """Read CSV to its end. Raises ConfigurationError if that fails."""
    line = 1
    reader = csv.reader((each for some in lines for each in some), delimiter=delimiter, strict=True)
    try:
        for _ in reader:
            line = reader.line_num + 1
    except (csv.Error, *NO_MORE) as error:
        raise ConfigurationError(f"line {line:,} {why(error)}{way_out(error)}") from None


def holds_rows(row: list[str], delimiter: str) -> bool:
    """Return whether a cell has a line with as many cells, and a phone number where the row has one."""
    if not any("\n" in cell or "\r" in cell for cell in row):
        return False
    numbers = [place for place, cell in enumerate(row) if _is_phone(cell)]
    inner = (line.split(delimiter) for cell in row for line in cell.splitlines())
    return any(len(cells) == len(row) and any(_is_phone(cells[place]) for place in numbers) for cells in inner)


def _is_phone(cell: str) -> bool:
    _, digits, problem = digits_of(cell)
    return problem is None and len(digits) >= _DIGITS_OF_A_PHONE
