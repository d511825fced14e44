"""Files of message ids: results and other tables with a column `message_id`, or one id a line."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from devino_async.campaigns.file_kinds import EmptyFile
from devino_async.campaigns.tables import Problem, Table, open_table

from .console import say

__all__ = ["ids_in", "ids_of_file"]

_SEPARATORS = re.compile(r"[\s_-]+")
_COLUMN = "messageid"
# What keeps a spreadsheet from reading an id as a number: ="123" or '123.
_AS_TEXT = re.compile(r"""\s*(?:="(.*)"|'?(.*?))\s*""", re.DOTALL)
_ID = re.compile(r"[0-9a-zA-Z_-]{1,64}", re.ASCII)
# A number of a spreadsheet keeps 15 digits. What stands for the others are zeros.
_CUT = re.compile(r"[0-9]{15}0+", re.ASCII)
_ROUNDED = re.compile(r"[0-9]+[eE][0-9]+", re.ASCII)
_MAX_EXACT = 2**53


def ids_in(lines: Iterable[str]) -> Iterator[str]:
    """Yield the ids of a text, one a line."""
    return (line.strip().strip("\ufeff") for line in lines if line.strip())


def ids_of_file(path: Path) -> tuple[list[str], bool]:
    """Return the ids of a file, and whether all could be read.

    Raises click.UsageError or ConfigurationError if the file cannot be used. Rows without an id are left out.
    """
    try:
        with open_table(path) as table:
            at = _column_of(table)
            if at is not None or table.header is None:
                return _of_table(table, at)
            if table.form != "csv" or len([each for each in table.header if each]) > 1:
                raise click.UsageError(f"{path.name} has no column message_id")
            # One id a line: the first one was taken for a header.
            cells = chain.from_iterable(table.runs())
            rest = ("" if isinstance(row, Problem) else row[0] for _, row in cells if isinstance(row, list | Problem))
            return list(ids_in([table.header[0], *rest])), True
    except EmptyFile:
        return [], True
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None


def _column_of(table: Table) -> int | None:
    keys = [_key(each) for each in table.header or ()]
    return keys.index(_COLUMN) if _COLUMN in keys else None


def _key(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()


def _of_table(table: Table, at: int | None) -> tuple[list[str], bool]:
    is_sheet = table.form not in {"csv", "jsonl"}
    found: list[str] = []
    lost: list[int] = []
    for line, cells in chain.from_iterable(table.runs()):
        value: Any = None
        if isinstance(cells, dict):
            value = next((each for name, each in cells.items() if _key(name) == _COLUMN), None)
        elif isinstance(cells, Problem):
            lost.append(line)
        elif at is not None:
            value = cells[at]
        each_id = _id_of(value)
        if each_id is None or (is_sheet and _CUT.fullmatch(each_id)):
            lost.append(line)
        elif each_id:
            found.append(each_id)
    if lost:
        say(
            f"{len(lost):,} rows have an id that cannot be read or has lost digits in a spreadsheet, the first on line "
            f"{lost[0]}. --excel writes files in which ids keep their digits"
        )
    return found, not lost


def _id_of(value: Any) -> str | None:
    """Return the id in a cell, "" if there is none, or None if its digits are lost."""
    if value is None:
        return ""
    if isinstance(value, float):  # Of JSON lines.
        return str(int(value)) if value.is_integer() and abs(value) < _MAX_EXACT else None
    text = str(value)
    found = _AS_TEXT.fullmatch(text)
    text = (found[1] or found[2] or "").strip() if found else text
    if not text or (_ID.fullmatch(text) and not _ROUNDED.fullmatch(text)):
        return text
    return None
