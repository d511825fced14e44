"""Rows of cells, in the form that every kind of file is read into."""

from collections.abc import Iterable
from typing import Any, Literal

__all__ = ["RUN", "Cells", "Cut", "Form", "Problem", "Run", "names_of"]

RUN = 512
"""The maximum number of rows in a run."""

Form = Literal["csv", "jsonl", "xlsx", "xls", "ods"]


class Problem(str):
    """Why a row cannot be read, in words that hold none of its cells."""

    __slots__ = ()


class Cut(Problem):
    """Why nothing more of the file can be read."""

    __slots__ = ()


Cells = list[str] | dict[str, Any] | Problem
"""The cells of a row under the header, the members of a JSON object, or why the row cannot be read."""
Run = list[tuple[int, Cells]]
"""Rows with the numbers of their lines, as an editor or a spreadsheet counts them from 1."""


def names_of(header: Iterable[str]) -> list[str]:
    """Return names with single spaces between words, without the empty ones at the end."""
    names = [" ".join(name.split()) for name in header]
    while names and not names[-1]:
        names.pop()
    return names
