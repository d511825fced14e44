"""Rows of a file of messages: CSV with a header, or JSON lines. Each row becomes a Message, or a problem with its line.

Read lazily, a few hundred rows at a time. What is done with them is send.py's.
"""

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from typing import IO, Any

import click
from attrs import frozen

from devino_async import InvalidMessage, Message

__all__ = ["Row", "Rows"]

_FIELDS = ("sender", "to", "text", "validity", "scheduled_time", "priority", "callback_url", "options")
_WIRE_NAMES = {"from": "sender", "scheduledTime": "scheduled_time", "callbackUrl": "callback_url"}
_OPTION = "options."
_LONGEST_CELL = 1_000_000


@frozen
class Row:
    """One row: a message, or what is wrong with it. `line` counts from 1, the header included."""

    line: int
    to: str
    message: Message | None = None
    problem: str | None = None


class Rows:
    """The rows of a text file. Raises click.UsageError for a header that names no field of a message."""

    def __init__(self, file: IO[str], form: str | None, defaults: dict[str, Any]) -> None:
        csv.field_size_limit(_LONGEST_CELL)
        self._defaults = defaults
        first = next((line for line in file if line.strip()), "")
        is_json = form == "jsonl" or (form is None and first.lstrip("\ufeff \t").startswith("{"))
        lines = chain([first.lstrip("\ufeff")], file) if first else iter(())
        self._rows = self._of_json(lines) if is_json else self._of_csv(lines)

    def read(self, count: int) -> list[Row]:
        """Up to so many rows; none at the end."""
        return list(islice(self._rows, count))

    def _of_csv(self, lines: Iterator[str]) -> Iterator[Row]:
        header = next(lines, "")
        if not header:
            return iter(())
        delimiter = max(",;\t", key=header.count)
        columns = next(csv.reader([header], delimiter=delimiter))
        names = [_name(column.strip()) for column in columns]
        return self._of_cells(csv.reader(lines, delimiter=delimiter), names)

    def _of_cells(self, reader: Any, names: list[str]) -> Iterator[Row]:
        while True:
            line = reader.line_num + 2
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line, "", problem=str(error))
                continue
            if not cells:
                continue
            if len(cells) != len(names):
                yield Row(line, "", problem=f"has {len(cells)} cells for {len(names)} columns")
                continue
            yield self._row(line, {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""})

    def _of_json(self, lines: Iterator[str]) -> Iterator[Row]:
        for line, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict):
                yield Row(line, "", problem="is no JSON object")
                continue
            try:
                values = {_name(name): value for name, value in found.items() if value is not None}
            except click.UsageError as error:
                yield Row(line, "", problem=error.message)
                continue
            yield self._row(line, values)

    def _row(self, line: int, values: dict[str, Any]) -> Row:
        to = str(values.get("to", ""))
        try:
            return Row(line, to, Message(**_converted({**self._defaults, **values})))
        except InvalidMessage as invalid:
            return Row(line, to, problem="; ".join(map(str, invalid.problems)))
        except ValueError as error:
            return Row(line, to, problem=str(error))


def _name(column: str) -> str:
    name = _WIRE_NAMES.get(column, column)
    if name not in _FIELDS and not name.startswith(_OPTION):
        known = ", ".join((*_FIELDS, f"{_OPTION}KEY"))
        raise click.UsageError(f"unknown column {column!r}; the columns are {known}")
    return name


def _converted(values: dict[str, Any]) -> dict[str, Any]:
    """Cells as what a Message takes; what cannot be converted stays, for the message's own check to name it."""
    options = {name.removeprefix(_OPTION): values.pop(name) for name in list(values) if name.startswith(_OPTION)}
    given = values.get("options")
    if isinstance(given, str):
        try:
            values["options"] = given = json.loads(given)
        except ValueError:
            raise ValueError("options: must be a JSON object") from None
    if options:
        values["options"] = {**given, **options} if isinstance(given, dict) else options
    validity = values.get("validity")
    if isinstance(validity, str) and validity.strip().isdigit():
        values["validity"] = int(validity)
    moment = values.get("scheduled_time")
    if isinstance(moment, str):
        try:
            values["scheduled_time"] = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError("scheduled_time: must be ISO 8601 with a time zone") from None
    for name in ("sender", "to", "text"):
        values.setdefault(name, "")
    return values
