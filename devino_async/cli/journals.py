"""Journals of the command line: where one lies, and how it is opened.

Which campaign of a journal a file belongs to is in continuing.py. The commands that look into journals are in
campaign.py.
"""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devino_async.campaigns import JournalFailed

if TYPE_CHECKING:
    from devino_async.campaigns import SQLiteJournal

__all__ = ["DEFAULT_HOST", "default_name", "entered", "existing", "is_stream", "journal_for", "stored_path"]

_ENVIRONMENT = "DEVINO_JOURNAL"
_SUFFIX = ".journal"
DEFAULT_HOST = "api.devino.online"


def _beside(file: Path) -> Path:
    """Return the path of the journal that lies beside a file."""
    return file.with_name(file.name + _SUFFIX)


def journal_for(
    file: Path, *, journal: Path | None, campaign: str | None, only_new: bool = False, without: bool = False
) -> Path | None:
    """Return where the journal of `devino send` is kept, or None for a run without one.

    Raises click.UsageError if the options contradict each other.
    """
    if without:
        if journal is not None or campaign is not None or only_new:
            raise click.UsageError("--no-journal cannot be used with --journal, --campaign or --only-new")
        return None
    if not is_stream(file):
        return journal or Path(os.environ.get(_ENVIRONMENT) or _beside(file))
    if (journal is None) != (campaign is None) or (only_new and journal is None):
        raise click.UsageError("input that is read only once has a journal if --journal and --campaign are both given")
    return journal


def is_stream(file: Path) -> bool:
    """Return whether a file can be read only once: standard input, or a pipe."""
    return str(file) == "-" or (file.exists() and not file.is_file())


def existing(journal: Path | None, file: str | None) -> tuple[list[Path], bool]:
    """Return the journals to look into, and whether they were named: by an option, the environment, or the file.

    Raises click.UsageError if there are none.
    """
    named = journal or Path(os.environ.get(_ENVIRONMENT) or "")
    if named != Path():
        if not named.is_file():
            raise click.UsageError(f"there is no journal {named}")
        return [named], True
    if file and _beside(Path(file)).is_file():
        return [_beside(Path(file))], True
    found = sorted(Path().glob(f"*{_SUFFIX}"))
    if not found:
        raise click.UsageError("there is no journal here; --journal names one")
    return found, False


def default_name(file: Path, address: str) -> str:
    """Return the name of a file's campaign. Another service than the real one is part of it: a trial is not the run."""
    host = address.partition("://")[2]
    return file.name if host == f"{DEFAULT_HOST}:443" else f"{file.name}@{host}"


def stored_path(file: Path, journal: Path) -> str:
    """Return a path as a journal notes it: from the folder of the journal, so that both can move together."""
    try:
        return os.path.relpath(file.resolve(), journal.resolve().parent)
    except ValueError:  # Two drives of Windows.
        return str(file.resolve())


async def entered(journal: "SQLiteJournal", stack: AsyncExitStack) -> None:
    """Open the journal of `devino send` until the stack ends. Raises click.UsageError, with the ways out."""
    try:
        await stack.enter_async_context(journal)
        await journal.secret()
    except JournalFailed as error:
        raise click.UsageError(
            f"{error}\n--journal PATH keeps the journal in another folder, on a local disk. --no-journal does without:"
            " then a crash leaves no record of what was sent."
        ) from None
