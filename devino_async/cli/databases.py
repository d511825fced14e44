"""Databases that no output may replace: journals, delivery files, and the files that are kept beside them.

Other files are refused in console.py, unless --overwrite is given.
"""

import os
import re
from pathlib import Path

import click

__all__ = ["is_writable", "refuse_database"]

_SQLITE = b"SQLite format 3\0"
_LOG = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_BESIDE = re.compile(r"(.+)(?:-wal|-shm|-journal|\.[a-z]{8}\.claimer)", re.DOTALL)


def refuse_database(output: Path | None, journal: Path | None = None) -> None:
    """Raise click.UsageError if an output would replace an SQLite file, or a file that belongs to one.

    `journal` is a journal that may not exist yet. Call this before a journal is opened: if a file is opened once more
    and closed, the process loses SQLite's locks on it.
    """
    if output is None or str(output) == "-":
        return
    path = output.resolve()
    beside = _BESIDE.fullmatch(path.name)
    databases = [path] if beside is None else [path, path.with_name(beside[1])]
    if _starts(path).startswith(_LOG) or any(_is_database(each, journal) for each in databases):
        raise click.UsageError(
            f"--output {output} is a database or belongs to one, which may know what was sent; choose another file"
        )


def is_writable(path: Path) -> bool:
    """Return whether a file may be written, or whether files may be made in a folder."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_database(path: Path, journal: Path | None) -> bool:
    # Compared without case, because some file systems take both spellings for one file.
    is_named = journal is not None and str(journal.resolve()).casefold() == str(path).casefold()
    return is_named or _starts(path) == _SQLITE


def _starts(path: Path) -> bytes:
    """Return the first bytes of a regular file. A pipe must not be opened, because that would wait for its writer."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return os.read(file.fileno(), len(_SQLITE))
    except OSError:
        return b""
