"""Finding campaigns: the options that name a journal, and the campaign that a command is about.

Where journals are is in journals.py.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from devino_async.campaigns import CampaignState, JournalFailed, SQLiteJournal

from .console import printable, say
from .journals import existing, stored_path

__all__ = ["Found", "campaigns_here", "one_campaign", "where"]

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, path_type=Path)


def where(command: F) -> F:
    """Add the options of every command that looks into journals."""
    for option in (
        click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout."),
        click.option(
            "--journal", type=_FILE, metavar="PATH", help="Default: $DEVINO_JOURNAL, FILE.journal, or *.journal here."
        ),
    ):
        command = option(command)
    return command


@frozen
class Found:
    """A campaign, and the journal that has it."""

    state: CampaignState
    journal: SQLiteJournal
    place: Path


async def campaigns_here(journal: Path | None, name: str | None, stack: AsyncExitStack) -> list[Found]:
    """Return the campaigns of all journals that are looked into, the oldest of each first."""
    found = []
    places, is_named = existing(journal, name)
    for place in places:
        opened = SQLiteJournal(place)
        try:
            await stack.enter_async_context(opened)
            states = await opened.campaigns()
        except JournalFailed as error:
            if is_named:
                raise
            # Other programs use this suffix too.
            say(str(error))
            continue
        found += [Found(state, opened, place) for state in states]
    return found


async def one_campaign(journal: Path | None, name: str | None, stack: AsyncExitStack) -> Found:
    """Return the campaign of this name, or the newest that was read from this file. Raises click.UsageError."""
    everything = await campaigns_here(journal, name, stack)
    found = everything
    if name is not None:
        found = [each for each in everything if each.state.name == name]
        if not found:
            found = [each for each in everything if each.state.path == stored_path(Path(name), each.place)][-1:]
    if len(found) == 1:
        path = found[0].state.path
        others = [each.state.name for each in everything if path is not None and each.state.path == path]
        if name is not None and len(others) > 1:
            say(f"campaigns of this file: {', '.join(map(printable, others))}")
        return found[0]
    names = ", ".join(sorted({printable(each.state.name) for each in everything})) or "none"
    what = (
        "give a name"
        if name is None
        else "there is no such campaign"
        if not found
        else "several journals have it; give --journal"
    )
    raise click.UsageError(f"{what}. The campaigns here: {names}")
