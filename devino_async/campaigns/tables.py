"""Rows of cells from a file of any kind: CSV, JSON lines, Excel workbooks and OpenDocument spreadsheets.

The first bytes of a file decide what it is (file_kinds.py, decoding.py). What the columns mean is in columns.py. No
error and no problem holds a cell.
"""

import csv
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from os import PathLike
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, BinaryIO, Self

from attrs import define

from ..checks import require_kind
from ..errors import ConfigurationError
from .cells import RUN, Cells, Cut, Form, Problem, Run, names_of
from .decoding import Ahead, Encoding, encoding_of, plain_bytes
from .file_kinds import EmptyFile, kind_of, refuse_text
from .lines import Lines
from .shortcomings import NO_MORE, QUOTE, holds_rows, require_whole, way_out, why
from .spreadsheets import open_sheet

__all__ = ["RUN", "Cells", "Cut", "Form", "Problem", "Run", "Table", "open_table"]

_JSON_NAMES = {".jsonl", ".ndjson"}
_BLANK = " \t\r\n\xa0\ufeff;,|\x1a"
_SEPARATOR = re.compile(r'"?sep=([^"\r\n])"?[\s;,]*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')
_BEGINS_OBJECT = re.compile(r'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|$)')
_DELIMITERS = ",;\t|"
_MAX_HEADER_LINES = 100
_FORMS: tuple[Form, ...] = ("csv", "jsonl", "xlsx", "xls", "ods")


class Table:
    """The rows of an open file.

    - `notes`: what the user should be told before the first row, such as which encoding was chosen.
    - `header`: the names of the columns, with single spaces between words. Columns without a name have an empty one.
      Those after the last name are left out. For JSON lines the header is None.
    - `members`: for JSON lines of a file that can be read twice, the names in its first objects, each kind once.

    A table is a context manager. It also closes when its rows end.
    """

    def __init__(
        self,
        form: Form,
        header: list[str] | None,
        runs: Iterator[Run],
        notes: Iterable[str] = (),
        members: Iterable[tuple[str, ...]] = (),
    ) -> None:
        self.form = form
        self.header = header
        self.members = tuple(members)
        self.notes = tuple(notes)
        self._runs = runs
        self._stack = ExitStack()

    def runs(self) -> Iterator[Run]:
        """Yield the rows in lists of up to RUN. Rows without a filled cell are left out. Can be called once.

        Each row of a table with a header has as many cells as the header. A row that cannot be read is a Problem.
        """
        with self._stack:
            yield from self._runs

    def close(self) -> None:
        """Close the file if open_table() opened it. A file that the caller opened stays open."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_table(
    source: str | PathLike[str] | BinaryIO,
    *,
    form: Form | None = None,
    encoding: str | None = None,
    sheet: str | int | None = None,
) -> Table:
    """Open a file of rows. `source` is a path, or a file opened for bytes, which stays open.

    Without `form` and `encoding`, both are detected. Without `sheet`, a name or a number from 1, the first visible
    one is read. A file that can be read twice is checked as a whole, so call this in a thread if an event loop runs.
    Raises ConfigurationError, in one line, for a file that cannot be read.
    """
    if form is not None and form not in _FORMS:
        raise ConfigurationError("form must be 'csv', 'jsonl', 'xlsx', 'xls', 'ods' or None")
    with ExitStack() as stack:
        file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | PathLike) else source
        if sheet is not None:
            require_kind("sheet", sheet, str, int)
        plain = plain_bytes(file)
        kind = kind_of(plain.head())
        if kind == "text":
            table = _text_table(file, plain, _name_of(source), form, encoding)
        else:
            opened = open_sheet(plain, form, sheet)
            table = Table(opened.form, opened.header, opened.runs, opened.notes)
        table._stack = stack.pop_all()
    return table


def _name_of(source: str | PathLike[str] | BinaryIO) -> PurePath:
    # If a file was opened by its descriptor, its name is the descriptor's number.
    name = source if isinstance(source, str | PathLike) else str(getattr(source, "name", ""))
    path = PurePath(name)
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _text_table(file: BinaryIO, plain: Ahead, name: PurePath, form: Form | None, encoding: str | None) -> Table:
    if form not in {None, "csv", "jsonl"}:
        raise ConfigurationError(f"the file is text, not .{form}: leave the form out, or name another file")
    stamp = _stamp_of(file)
    found = encoding_of(plain, encoding)

    def is_changed() -> bool:
        return _stamp_of(file) != stamp

    text, first = _text_of(plain, found, is_changed)
    if form is None:
        refuse_text(first)
    notes = [] if found.note is None else [found.note]
    if form == "jsonl" or (form is None and (name.suffix.lower() in _JSON_NAMES or _is_object(first))):
        runs = _json_runs(text)
        # A pipe may give its second row much later.
        first_run = next(runs, []) if plain.seekable() else []
        members = dict.fromkeys(tuple(cells) for _, cells in first_run if isinstance(cells, dict))
        return Table("jsonl", None, chain([first_run] if first_run else [], runs), notes, members)
    reader, header, delimiter = _csv_of(text, first)
    if plain.seekable():
        require_whole(plain, Lines(plain, found, is_changed), delimiter)
        text, first = _text_of(plain, found, is_changed)
        reader, header, delimiter = _csv_of(text, first)
    return Table("csv", header, _csv_runs(text, reader, header, delimiter), notes)


def _text_of(plain: Ahead, encoding: Encoding, is_changed: Callable[[], bool]) -> "tuple[_Text, str]":
    """Return a text, and its first line that is not blank."""
    lines = Lines(plain, encoding, is_changed)
    each = chain.from_iterable(lines)
    try:
        skipped, first = next(((number, line) for number, line in enumerate(each) if line.strip(_BLANK)), (0, ""))
    except NO_MORE as error:
        raise ConfigurationError(f"the first line {why(error)}") from None
    if not first:
        raise EmptyFile
    return _Text(lines, chain([first], each), skipped), first


def _stamp_of(file: BinaryIO) -> tuple[int, int] | None:
    """Return the size of a regular file, and when it was changed."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


@define
class _Text:
    """The lines of a text from its first line that is not blank. `skipped` lines come before it."""

    lines: Lines
    each: Iterator[str]
    skipped: int

    def odd(self, text: str) -> Problem | None:
        """Return the problem with a text that holds what has no place in a row."""
        problem = self.lines.problem(text)
        return None if problem is None else Problem(problem)

    def ending(self, line: int, error: Exception | None) -> list[tuple[int, Cells]]:
        """Return what is said at the end of the rows, in the line that could not be read."""
        if error is None:
            return []
        return [(line, Cut(f"{why(error)}, and nothing from line {line} on was read{way_out(error)}"))]


def _csv_of(text: _Text, first: str) -> tuple[Any, list[str], str]:
    """Return a csv.reader behind the header, the header, and the delimiter. Obeys a line `sep=;` of Excel."""
    named = _SEPARATOR.fullmatch(first)
    if named:
        next(text.each)
        text.skipped += 1
    try:
        top = _top(text.each)
        delimiter = named[1] if named else _delimiter_of(top, text)
        # If this were not strict, a quote that is never closed would make the following rows part of one text.
        reader = csv.reader(chain(top, text.each), delimiter=delimiter, strict=True)
        header = next((row for row in reader if any(cell.strip() for cell in row)), [])
    except csv.Error as error:
        raise ConfigurationError(f"the header is not valid CSV: {error}") from None
    except NO_MORE as error:
        raise ConfigurationError(f"the header {why(error)}") from None
    if not header:
        raise EmptyFile
    odd = text.odd("".join(header))
    if odd is not None:
        raise ConfigurationError(f"the header {odd}")
    return reader, names_of(header), delimiter


def _top(lines: Iterator[str]) -> list[str]:
    """Return the first lines, up to where the quotes of the header are closed."""
    top: list[str] = []
    quotes = 0
    for line in lines:
        top.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0 or len(top) == _MAX_HEADER_LINES:
            break
    return top


def _delimiter_of(top: list[str], text: _Text) -> str:
    """Return the most frequent delimiter in the header, outside quotes. The next line decides a tie."""
    header = _QUOTED.sub("", "".join(top))
    most = max(map(header.count, _DELIMITERS))
    likely = [each for each in _DELIMITERS if header.count(each) == most]
    if most == 0 or len(likely) == 1:
        return likely[0]
    after = ""
    try:
        after = next(text.each, "")
    except NO_MORE as error:
        text.each = _failing(error)
    text.each = chain([after], text.each) if after else text.each
    return max(likely, key=_QUOTED.sub("", after).count)


def _failing(error: Exception) -> Iterator[str]:
    """Raise an error when the next line is requested."""
    raise error
    yield


def _csv_runs(text: _Text, reader: Any, header: list[str], delimiter: str) -> Iterator[Run]:
    width, lines, skipped = len(header), text.lines, text.skipped
    line = skipped + reader.line_num + 1
    run: Run = []
    failed: Exception | None = None
    try:
        for row in reader:
            end = skipped + reader.line_num + 1
            is_plain = len(row) == width and row[0] > " " and end - line == 1 and not lines.odd
            cells = row if is_plain else _checked(row, width, text, delimiter)
            if cells is not None:
                run.append((line, cells))
                if len(run) == RUN or lines.would_wait():
                    yield run
                    run = []
            line = end
    except (csv.Error, *NO_MORE) as error:
        failed = error
    run += text.ending(line, failed)
    if run:
        yield run


def _checked(row: list[str], width: int, text: _Text, delimiter: str) -> list[str] | Problem | None:
    """Return the cells of a row, or what is wrong with it, or None if no cell is filled."""
    if not any(cell.strip() for cell in row):
        return None
    while len(row) > width and not row[-1].strip():
        row.pop()
    if len(row) != width:
        return Problem(f"has {len(row)} cells for {width} columns")
    if holds_rows(row, delimiter):
        return Problem(f"has a cell with what looks like other rows: {QUOTE}?")
    return text.odd("".join(row)) or row


def _json_runs(text: _Text) -> Iterator[Run]:
    run: Run = []
    failed: Exception | None = None
    line = text.skipped
    try:
        for line, each in enumerate(text.each, text.skipped + 1):
            if not each.isspace():
                run.append((line, (text.odd(each) if text.lines.odd else None) or _members(each)))
                if len(run) == RUN or text.lines.would_wait():
                    yield run
                    run = []
    except NO_MORE as error:
        failed = error
    run += text.ending(line + 1, failed)
    if run:
        yield run


def _members(text: str) -> dict[str, Any] | Problem:
    try:
        found = json.loads(text, object_pairs_hook=_without_repeats)
    except _Repeated:
        return Problem("is a JSON object with the same name twice")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else Problem("is not a JSON object")


class _Repeated(Exception):
    """A JSON object has a name twice, so that one of the values would be lost."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated
    return found


def _is_object(line: str) -> bool:
    """Return whether a line is a JSON object, or begins one. A header of CSV may begin with a brace too."""
    return line.lstrip().startswith("{") and (
        _BEGINS_OBJECT.match(line) is not None or isinstance(_members(line), dict)
    )
