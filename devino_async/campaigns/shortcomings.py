"""Why a table of text cannot be read to its end, and cells that hold other rows.

A file that can be read twice is checked as a whole, so that nothing of a broken one is sent. Reading is in tables.py.
"""

import csv

from ..errors import ConfigurationError
from .decoding import DAMAGED, GZIP_ERRORS, MAX_LINE, Ahead
from .digits import digits_of
from .lines import FileChanged, Lines, LineTooLong

__all__ = ["NO_MORE", "QUOTE", "holds_rows", "require_whole", "way_out", "why"]

NO_MORE = (LineTooLong, FileChanged, *GZIP_ERRORS)
"""What reading lines raises if the rest cannot be read."""
QUOTE = "is a quote opened and never closed"
_DIGITS_OF_A_PHONE = 10
_CHUNK = 65_536


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


def require_whole(plain: Ahead, lines: Lines, delimiter: str) -> None:
    """Read CSV to its end, and go back to its start. Raises ConfigurationError if that fails."""
    line = 1
    plain.seek(0)
    try:
        if not _is_simple(plain):
            plain.seek(0)
            reader = csv.reader((each for some in lines for each in some), delimiter=delimiter, strict=True)
            for _ in reader:
                line = reader.line_num + 1
    except (csv.Error, *NO_MORE) as error:
        raise ConfigurationError(f"line {line:,} {why(error)}{way_out(error)}") from None
    plain.seek(0)


def _is_simple(plain: Ahead) -> bool:
    """Return whether bytes have no quotes and no long lines. Then it is certain that CSV is not broken."""
    limit, length = csv.field_size_limit(), 0
    while data := plain.read(_CHUNK):
        end = data.find(b"\n")
        if b'"' in data or length + (end if end >= 0 else len(data)) > limit:
            return False
        length = len(data) - data.rfind(b"\n") if end >= 0 else length + len(data)
    return True


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
