"""Journals of the command line: where they are, and how they are opened.

Which campaign of a journal a file belongs to is in continuing.py. The commands that look into journals are in
campaign.py.
"""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devino_async.campaigns import JournalFailed
from devino_async.campaigns.troubles import has_record

if TYPE_CHECKING:
    from devino_async.campaigns import SQLiteJournal

__all__ = ["DEFAULT_HOST", "beside", "default_name", "entered", "existing", "is_stream", "journal_for", "stored_path"]

_ENVIRONMENT = "DEVINO_JOURNAL"
_SUFFIX = ".journal"
_IT_KNOWS = (
    "A journal that exists knows what was sent before, so nothing was sent now. Make it usable first: writable, on a"
    " local disk, and opened by the version of devino-async that made it. Sending without it sends everything again."
)
DEFAULT_HOST = "api.devino.online"


def beside(file: Path) -> Path:
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
        return journal or Path(os.environ.get(_ENVIRONMENT) or beside(file))
    if (journal is None) != (campaign is None) or (only_new and journal is None):
        raise click.UsageError("input that can be read only once needs both --journal and --campaign to have a journal")
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
    if file and beside(Path(file)).is_file():
        return [beside(Path(file))], True
    found = sorted(Path().glob(f"*{_SUFFIX}"))
    if not found:
        raise click.UsageError("there is no journal here; name one with --journal")
    return found, False


def default_name(file: Path, address: str) -> str:
    """Return the name of a file's campaign. It includes any host but the real one, so a trial is another campaign."""
    host = address.partition("://")[2]
    return file.name if host == f"{DEFAULT_HOST}:443" else f"{file.name}@{host}"


def stored_path(file: Path, journal: Path) -> str:
    """Return a path as a journal stores it: relative to the journal's folder, so that both can move together."""
    try:
        return os.path.relpath(file.resolve(), journal.resolve().parent)
    except ValueError:  # Two drives of Windows.
        return str(file.resolve())


async def entered(journal: "SQLiteJournal", place: Path, stack: AsyncExitStack) -> None:
    """Open the journal of `devino send` until the stack ends. Raises click.UsageError, which says what to do.

    Alternatives are named only if there is no file yet, because a file that exists knows what was sent.
    """
    is_there = has_record(str(place))
    try:
        await stack.enter_async_context(journal)
        await journal.secret()
    except JournalFailed as error:
        if is_there:
            raise click.UsageError(f"{error}\n{_IT_KNOWS}") from None
        raise click.UsageError(
            f"{error}\n--journal PATH keeps the journal in another folder, on a local disk. --no-journal keeps none:"
            " then a crash leaves no record of what was sent."
        ) from None
