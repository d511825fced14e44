"""Files of messages: CSV with a header, or JSON lines. Each row becomes a Message, or a problem with its line number.

Rows are read lazily, so a file may have any length or be a pipe. What a column means is in columns.py.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, tzinfo
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal

from attrs import field, frozen

from ..errors import ConfigurationError, InvalidMessage, Reason
from ..protocol.message import Message
from .columns import converted, fields_of_header, fields_of_object

__all__ = ["Row", "describe_reasons", "read_messages"]

RowOf = Callable[[int, dict[str, Any]], "Row"]
"""Makes the row of a line from its cells."""

_FORM_OF = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@frozen
class Row:
    """One row of a file: a message, or the problem with it.

    `line` counts from 1, with the header and blank lines included. `to` is the recipient as written in the file.
    """

    line: int
    message: Message | None = None
    problem: str | None = None
    to: str = field(default="", repr=False)

    def problem_at(self, now: datetime) -> str | None:
        """Return the problem, or that the message's scheduled time was over a minute ago. No service is asked."""
        if self.message is None or self.message.scheduled_time is None:
            return self.problem
        from ..protocol.sending import missed_schedule  # noqa: PLC0415 - slow to import, and few rows need it

        late = missed_schedule(self.message, now)
        return None if late is None else describe_reasons([late])


def read_messages(
    source: str | PathLike[str] | BinaryIO,
    *,
    form: Literal["csv", "jsonl"] | None = None,
    sender: str | None = None,
    text: str | None = None,
    validity: int | None = None,
    scheduled_time: datetime | None = None,
    priority: str | None = None,
    callback_url: str | None = None,
    time_zone: tzinfo | None = None,
) -> Iterator[Row]:
    """Read the rows of a file, one at a time. `source` is a path, or a file opened for bytes, which stays open.

    If `form` is None, the suffix of the file's name decides the form, or else the first line. Scheduled times without
    a zone are read in `time_zone`. If that is None, their rows are problems. The other arguments are defaults for rows
    without such a cell. Raises ConfigurationError for arguments that no message could have. Reading the first row
    raises it too, if the header names an unknown column, or names a field twice.
    """
    if form not in {None, "csv", "jsonl"}:
        raise ConfigurationError("form must be 'csv', 'jsonl' or None")
    given: dict[str, Any] = {
        "sender": sender,
        "text": text,
        "validity": validity,
        "scheduled_time": scheduled_time,
        "priority": priority,
        "callback_url": callback_url,
    }
    if not isinstance(time_zone, tzinfo | None):
        raise ConfigurationError("time_zone must be a tzinfo or None")
    defaults = {name: value for name, value in given.items() if value is not None}
    trial = _row({"sender": "a", "text": "a", **defaults}, time_zone, 1, {"to": "79000000000"})
    if trial.problem is not None:
        raise ConfigurationError(f"no row can use these values: {trial.problem}")
    return _rows(source, form or _form_by_name(source), partial(_row, defaults, time_zone))


def describe_reasons(reasons: Iterable[Reason]) -> str:
    """Return reasons in one line, with their explanations. These may quote a value that the service refused."""
    return "; ".join(f"{each} ({each.default_message})" if each.default_message else str(each) for each in reasons)


def _form_by_name(source: str | PathLike[str] | BinaryIO) -> str | None:
    # If a file was opened by its descriptor, its name is the descriptor's number.
    name = source if isinstance(source, str | PathLike) else str(getattr(source, "name", ""))
    return _FORM_OF.get(PurePath(name).suffix.lower())


def _rows(source: str | PathLike[str] | BinaryIO, form: str | None, row_of: RowOf) -> Iterator[Row]:
    with ExitStack() as stack:
        file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | PathLike) else source
        # Bytes that are not UTF-8 become lone surrogates. Message refuses these, so their row becomes a problem.
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield from _rows_of(lines, form, row_of)
        finally:
            # Without detach() the caller's file would be closed here. If the caller has closed it, detach() raises.
            with suppress(ValueError):
                lines.detach()


def _rows_of(lines: Iterator[str], form: str | None, row_of: RowOf) -> Iterator[Row]:
    begin, first = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (1, ""))
    first = first.lstrip("\ufeff")
    if not first:
        return iter(())
    is_json = first.lstrip().startswith("{") if form is None else form == "jsonl"
    if is_json:
        return _rows_of_json(enumerate(chain([first], lines), begin), row_of)
    return _rows_of_csv(first, lines, begin, row_of)


def _rows_of_csv(header: str, lines: Iterable[str], begin: int, row_of: RowOf) -> Iterator[Row]:
    delimiter = max(",;\t", key=header.count)
    try:
        names = fields_of_header(next(csv.reader([header], delimiter=delimiter, strict=True)))
    except csv.Error as error:
        raise ConfigurationError(f"the header is not valid CSV: {error}") from None
    # If this were not strict, a quote that is never closed would make the following rows part of one text.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = begin + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # The rest may be rows or part of a text. There is no way to know, so none of it is sent.
            yield Row(line, problem=_unreadable_from(line, error))
            return
        if not cells:
            continue
        if len(cells) == len(names):
            yield row_of(line, {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""})
        else:
            yield Row(line, problem=f"has {len(cells)} cells for {len(names)} columns")


def _rows_of_json(numbered: Iterable[tuple[int, str]], row_of: RowOf) -> Iterator[Row]:
    for line, text in numbered:
        if not text.strip():
            continue
        try:
            values = fields_of_object(text)
        except ValueError as error:
            yield Row(line, problem=str(error))
        else:
            yield row_of(line, values)


def _row(defaults: dict[str, Any], time_zone: tzinfo | None, line: int, values: dict[str, Any]) -> Row:
    to = str(values.get("to", ""))
    try:
        return Row(line, Message(**converted({**defaults, **values}, time_zone)), to=to)
    except InvalidMessage as invalid:
        return Row(line, problem=describe_reasons(invalid.problems), to=to)
    except ValueError as error:
        return Row(line, problem=str(error), to=to)


def _unreadable_from(line: int, error: csv.Error) -> str:
    why = f"{error}; is a quote opened and never closed, or not doubled?"
    return f"is not valid CSV, and nothing from line {line} on was read: {why}"
