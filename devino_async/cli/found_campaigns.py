"""Finding campaigns: the options that name a journal, and the campaign that a command is about.

Where journals are is in journals.py.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from attrs import frozen

from devino_async.campaigns import CampaignState, ForgottenCampaign, JournalFailed, SQLiteJournal
from devino_async.campaigns.troubles import has_record

from .console import printable, say
from .databases import is_writable
from .journals import beside, default_name, existing, stored_path

__all__ = ["Found", "campaigns_here", "chosen", "forgotten_here", "listed", "one_campaign", "where"]

F = TypeVar("F", bound=Callable[..., Any])
P = TypeVar("P", bound="Placed")
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


class Placed(Protocol):
    """A campaign, and where its journal is."""

    @property
    def state(self) -> CampaignState: ...

    @property
    def place(self) -> Path: ...


@frozen
class Found:
    """A campaign, and the journal that has it."""

    state: CampaignState
    journal: SQLiteJournal
    place: Path


async def campaigns_here(journal: Path | None, name: str | None, stack: AsyncExitStack) -> list[Found]:
    """Return the campaigns of all journals that are looked into, the oldest of each first.

    Raises JournalFailed if a journal that is named cannot be used, or if none of the journals can.
    """
    found = []
    places, is_named = existing(journal, name)
    # An empty file belongs to a run that has just begun, or to another program. It has no campaigns.
    places = [place for place in places if has_record(str(place))]
    failed = 0
    for place in places:
        opened = SQLiteJournal(place)
        try:
            await stack.enter_async_context(opened)
            states = await opened.campaigns()
        except JournalFailed as error:
            failed += 1
            if is_named or failed == len(places):
                raise _with_advice(error, place) from None
            # Other programs use this suffix too.
            say(str(error))
            continue
        found += [Found(state, opened, place) for state in states]
    return found


def _with_advice(error: JournalFailed, place: Path) -> JournalFailed:
    """Return the error. If the file cannot be written, it says how to look at it nevertheless."""
    if is_writable(place) and is_writable(place.resolve().parent):
        return error
    return JournalFailed(
        f"{error}\nTo look at it only, copy it to a folder that can be written, with its -wal file if there is one,"
        " while no run is under way, and name the copy with --journal. Never send with a copy."
    )


async def listed(journal: Path | None, name: str | None, stack: AsyncExitStack) -> list[Found]:
    """Return all campaigns, or those of this name or file. Raises click.UsageError.

    For a file with a journal beside it, all campaigns of that journal are returned.
    """
    everything = await campaigns_here(journal, name, stack)
    if name is None or any(each.place == beside(Path(name)) for each in everything):
        return everything
    found = [each for each in everything if each.state.name == name or _is_of_file(each, name)]
    if not found:
        raise click.UsageError(f"there is no such campaign. {_names(everything)}")
    return found


async def forgotten_here(
    journal: Path | None, name: str | None, stack: AsyncExitStack
) -> list[tuple[ForgottenCampaign, Path]]:
    """Return what stays of forgotten campaigns, all of them or those of this name or file, and where it is."""
    found = []
    for place in existing(journal, name)[0]:
        if has_record(str(place)):
            with suppress(JournalFailed):
                opened = await stack.enter_async_context(SQLiteJournal(place))
                found += [(each, place) for each in await opened.forgotten()]
    # Its path was forgotten too, but a campaign is named after its file.
    return [
        (each, place)
        for each, place in found
        if name is None or each.name in {name, default_name(Path(name), each.address)}
    ]


async def one_campaign(journal: Path | None, name: str | None, stack: AsyncExitStack) -> Found:
    """Return the campaign of this name, or the newest that was read from this file. Raises click.UsageError."""
    return chosen(await campaigns_here(journal, name, stack), name)


def chosen(everything: list[P], name: str | None) -> P:
    """Return the campaign of this name, or the newest that was read from this file. Raises click.UsageError."""
    found = everything
    if name is not None:
        found = [each for each in everything if each.state.name == name]
        if not found:
            found = [each for each in everything if _is_of_file(each, name)][-1:]
    if len(found) == 1:
        path = found[0].state.path
        others = [each.state.name for each in everything if path is not None and each.state.path == path]
        if name is not None and len(others) > 1:
            say(f"campaigns of this file: {', '.join(map(printable, others))}")
        return found[0]
    what = (
        "give a name"
        if name is None
        else "there is no such campaign"
        if not found
        else "several journals have it; give --journal"
    )
    raise click.UsageError(f"{what}. {_names(everything)}")


def _is_of_file(found: Placed, name: str) -> bool:
    return found.state.path == stored_path(Path(name), found.place)


def _names(everything: Sequence[Placed]) -> str:
    names = ", ".join(sorted({printable(each.state.name) for each in everything})) or "none"
    return f"The campaigns here: {names}"
