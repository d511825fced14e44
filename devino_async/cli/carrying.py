"""Columns of the input that results carry, so that a person finds the rows again: all but that of the recipients."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from devino_async.campaigns import Row
from devino_async.campaigns.files import Rows

from .cells import CsvWriter

__all__ = ["Carrying"]


class Carrying:
    """Writes the cells of rows as the last cells of their results.

    The columns are those of the header. Objects of JSON lines have the members of the first one. A column with the name
    of one of `taken` is called `input.NAME`.
    """

    def __init__(self, rows: Rows, first: Row | None, taken: Collection[str]) -> None:
        header, self._at, self._names = rows.header, [], []
        if header is not None:
            self._at = [at for at, name in enumerate(header) if at != rows.recipients_at and name.strip()]
            names = [header[at] for at in self._at]
        else:
            cells = {} if first is None or not isinstance(first.cells, Mapping) else first.cells
            names = self._names = [name for name in cells if name != "to"]
        self.names = _renamed(names, taken)

    def written(self, row: Row, writer: CsvWriter) -> str:
        """Return the cells of a row as they are written. A row that was written before has them as a str."""
        cells = row.cells
        if isinstance(cells, str):
            return cells
        if isinstance(cells, Mapping):
            return writer.cells(_plain(cells.get(name)) for name in self._names) if self._names else ""
        if not self.names:
            return ""
        return writer.cells([""] * len(self.names) if cells is None else [cells[at] for at in self._at])


def _renamed(names: Sequence[str], taken: Collection[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        while name in taken or name in found:
            name = f"input.{name}"  # noqa: PLW2901
        found.append(name)
    return found


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
