"""Rows of a file of messages: CSV with a header, or JSON lines. Each row becomes a Message, or a problem with its line.

Read lazily, a few hundred rows at a time. In which thread is intake.py's, what is done with them send.py's.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import IO, Any

import click
from attrs import frozen

from devino_async import InvalidMessage, Message, Reason

__all__ = ["Row", "Rows", "problems_of"]

_FIELDS = ("sender", "to", "text", "validity", "scheduled_time", "priority", "callback_url", "options")
_WIRE_NAMES = {"from": "sender", "scheduledTime": "scheduled_time", "callbackUrl": "callback_url"}
_OPTION = "options."
# Above the longest text; a quote that is never closed swallows no more rows than fit in here.
_LONGEST_CELL = 100_000
_WHOLE = re.compile(r"\s*[0-9]{1,12}\s*", re.ASCII)


@frozen
class Row:
    """One row: a message, or what is wrong with it. `line` counts from 1, the header included."""

    line: int
    to: str
    message: Message | None = None
    problem: str | None = None


class Rows:
    """The rows of a text file, whose form is told by its first line unless it is given.

    Raises click.UsageError for a header that names no field of a message, or one twice.
    """

    def __init__(self, file: IO[str], form: str | None, defaults: dict[str, Any]) -> None:
        csv.field_size_limit(_LONGEST_CELL)
        self._defaults = defaults
        begin, first = next(((number, line) for number, line in enumerate(file, 1) if line.strip()), (1, ""))
        first = first.lstrip("\ufeff")
        is_json = first.lstrip().startswith("{") if form is None else form == "jsonl"
        if not first:
            self._rows: Iterator[Row] = iter(())
        elif is_json:
            self._rows = self._of_json(enumerate(chain([first], file), begin))
        else:
            self._rows = self._of_csv(first, file, begin)

    def read(self, count: int) -> list[Row]:
        """Up to so many rows; none at the end."""
        return list(islice(self._rows, count))

    def _of_csv(self, header: str, file: Iterable[str], begin: int) -> Iterator[Row]:
        delimiter = max(",;\t", key=header.count)
        try:
            columns = next(csv.reader([header], delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise click.UsageError(f"the header is no valid CSV: {error}") from None
        names = [_name(column.strip()) for column in columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise click.UsageError(f"the column {twice!r} is there twice")
        # Strict, or a quote that is not closed would make the next customers' rows part of a text.
        return self._of_cells(csv.reader(file, delimiter=delimiter, strict=True), names, begin)

    def _of_cells(self, reader: Any, names: list[str], begin: int) -> Iterator[Row]:
        while True:
            line = begin + reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Whether what follows stands inside a text or is rows, nobody can tell: no more of it is sent.
                yield Row(line, "", problem=_swallowed(line, error))
                return
            if not cells:
                continue
            if len(cells) != len(names):
                yield Row(line, "", problem=f"has {len(cells)} cells for {len(names)} columns")
                continue
            yield self._row(line, {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""})

    def _of_json(self, lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
        for line, text in lines:
            if not text.strip():
                continue
            try:
                yield self._row(line, _members(text))
            except ValueError as error:
                yield Row(line, "", problem=str(error))

    def _row(self, line: int, values: dict[str, Any]) -> Row:
        to = str(values.get("to", ""))
        try:
            return Row(line, to, Message(**_converted({**self._defaults, **values})))
        except InvalidMessage as invalid:
            return Row(line, to, problem=problems_of(invalid.problems))
        except ValueError as error:
            return Row(line, to, problem=str(error))


def problems_of(reasons: Iterable[Reason]) -> str:
    """All reasons with their explanations, which the SDK's own problems and the service's results may show."""
    return "; ".join(f"{each} ({each.default_message})" if each.default_message else str(each) for each in reasons)


def _swallowed(line: int, error: csv.Error) -> str:
    why = f"{error}; is a quote opened and never closed, or not doubled?"
    return f"is no valid CSV, and nothing from line {line} on was read: {why}"


def _name(column: str) -> str:
    known_by_case = {each.lower(): each for each in (*_FIELDS, *_WIRE_NAMES)}
    column = known_by_case.get(column.lower(), column)
    name = _WIRE_NAMES.get(column, column)
    if name not in _FIELDS and not name.startswith(_OPTION):
        known = ", ".join((*_FIELDS, f"{_OPTION}KEY"))
        raise click.UsageError(f"unknown column {column!r}; the columns are {known}")
    return name


def _members(text: str) -> dict[str, Any]:
    """The fields of a JSON object. Raises ValueError, without the text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")
    values: dict[str, Any] = {}
    for column, value in found.items():
        try:
            name = _name(column)
        except click.UsageError as error:
            raise ValueError(error.message) from None
        if name in values:
            raise ValueError(f"the field {name!r} is there twice")
        values[name] = value
    return {name: value for name, value in values.items() if value is not None}


def _converted(values: dict[str, Any]) -> dict[str, Any]:
    """Cells as what a Message takes; what cannot be converted stays, for the message's own check to name it."""
    _join_options(values)
    validity = values.get("validity")
    if isinstance(validity, str) and _WHOLE.fullmatch(validity):
        values["validity"] = int(validity)
    moment = values.get("scheduled_time")
    if isinstance(moment, str):
        try:
            values["scheduled_time"] = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError("scheduledTime: must be ISO 8601 with a time zone") from None
    for name in ("sender", "to", "text"):
        values.setdefault(name, "")
    return values


def _join_options(values: dict[str, Any]) -> None:
    given = values.get("options")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ValueError("options: must be a JSON object")
        values["options"] = given
    single = {name.removeprefix(_OPTION): values.pop(name) for name in list(values) if name.startswith(_OPTION)}
    if single:
        values["options"] = {**given, **single} if isinstance(given, dict) else single
