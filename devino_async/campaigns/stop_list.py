"""Stop lists: numbers that get no message. They come from any kind of file of messages, or from one number a line."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .columns import columns_of
from .decoding import encoding_of, plain_bytes
from .digits import Normalizer, digits_of
from .file_kinds import EmptyFile, kind_of
from .lines import Lines
from .numbers import normalizer
from .tables import Problem, Table, open_table

__all__ = ["StopList"]

_SHOWN_LINES = 5
_MAX_BYTES = 512 * 1024 * 1024
_DELIMITERS = re.compile("[,;|\t]")


class StopList:
    """Numbers that get no message. The files are read once, when the first number is looked up.

    A file may be of any kind that read_messages() reads, or have one number a line. A header, blank lines and lines
    that begin with `#` are ignored. Numbers are normalized for `country`, as in normalize_number(). Each takes about
    60 bytes of memory.
    """

    def __init__(self, *sources: str | PathLike[str], country: str | None = None, encoding: str | None = None) -> None:
        self._sources = sources
        self._country = country
        self._encoding = encoding
        self._numbers: set[int] | None = None

    def __repr__(self) -> str:
        return f"StopList(<{len(self._sources)} files>)"

    def numbers(self) -> set[int]:
        """Return the numbers. Raises ConfigurationError, without any content of a file, if one cannot be used."""
        if self._numbers is None:
            normalize = normalizer(self._country)
            numbers: set[int] = set()
            for source in self._sources:
                numbers |= self._read(Path(source), normalize)
            self._numbers = numbers
        return self._numbers

    def _read(self, path: Path, normalize: Normalizer) -> set[int]:
        numbers: set[int] = set()
        bad: list[str] = []
        count = 0
        try:
            with suppress(EmptyFile):
                for line, cell in self._cells(path):
                    digits, problem = normalize(cell)
                    if problem is None:
                        numbers.add(int(digits))
                        continue
                    written = digits_of(cell)[1]
                    if self._country is not None and written:
                        # It may be a landline, or a foreign number without its plus. Leaving out too many is safe.
                        numbers.add(int(written))
                        continue
                    count += 1
                    bad += [f"line {line} {problem}"][: _SHOWN_LINES - len(bad)]
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        if count:
            shown = "; ".join(bad)
            raise ConfigurationError(f"{path}: {count:,} lines of the stop list are not phone numbers: {shown}")
        return numbers

    def _cells(self, path: Path) -> Iterator[tuple[int, Any]]:
        """Yield the cell with the number of each row, with its line."""
        # It is read as a whole, because it may be a pipe, and is looked at twice.
        with path.open("rb") as opened:
            file = BytesIO(opened.read(_MAX_BYTES + 1))
        if len(file.getbuffer()) > _MAX_BYTES:
            raise ConfigurationError(f"the stop list has more than {_MAX_BYTES:,} bytes: is it one?")
        plain = self._plain_lines(file)
        if plain is not None:
            return _of_lines(plain)
        file.seek(0)
        return _of_table(open_table(file, encoding=self._encoding))

    def _plain_lines(self, file: BytesIO) -> Iterator[str] | None:
        """Return the lines of a text that has one number a line, or None for any other file."""
        plain = plain_bytes(file)
        if kind_of(plain.head()) != "text":
            return None
        lines = chain.from_iterable(Lines(plain, encoding_of(plain, self._encoding)))
        begin: list[str] = []
        for line in lines:
            begin.append(line)
            if _counts(line):
                break
        first = begin[-1] if begin else ""
        is_plain = not _DELIMITERS.search(first) and not first.lstrip().startswith("{")
        return chain(begin, lines) if is_plain or digits_of(_first_cell(first))[2] is None else None


def _counts(line: str) -> bool:
    line = line.strip().lstrip("\ufeff")
    return bool(line) and not line.startswith("#")


def _first_cell(line: str) -> str:
    return _DELIMITERS.split(line)[0].strip().strip(' "')


def _of_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    is_first = True
    for number, line in enumerate(lines, 1):
        if _counts(line):
            cell = _first_cell(line)
            # Only a header has no digits at all.
            if not is_first or any(map(str.isdecimal, cell)):
                yield number, cell
            is_first = False


def _of_table(table: Table) -> Iterator[tuple[int, Any]]:
    with table:
        at = None if table.header is None else _column_of(table.header)
        for run in table.runs():
            for line, cells in run:
                if isinstance(cells, Problem):
                    raise ConfigurationError(f"line {line} {cells}")
                cell = list(cells.values())[_column_of([*cells])] if isinstance(cells, dict) else cells[at or 0]
                if cell is not None and str(cell).strip():
                    yield line, cell


def _column_of(names: Sequence[str]) -> int:
    if len(names) == 1:
        return 0
    return columns_of(names, {}, has_text=False, placeholders={}, is_header=True).fields["to"]
