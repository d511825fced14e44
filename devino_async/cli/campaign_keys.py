"""Keyed sends on the command line, for `devino campaign export --keys`, `resolve --key` and `reconcile --keys`.

Each is about one journal. Its campaigns are in the other files.
"""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import click

from devino_async.campaigns import JournalError, SQLiteJournal, State
from devino_async.campaigns.troubles import has_record

from .console import USAGE, agreed, as_json, counted, printable, say
from .journals import existing

__all__ = ["key_counts", "one_journal", "resolve_key", "state_of"]


async def one_journal(journal: Path | None, stack: AsyncExitStack) -> tuple[SQLiteJournal, Path]:
    """Open the only journal there is. Raises click.UsageError if there are several, or none with content."""
    places = [place for place in existing(journal, None)[0] if has_record(str(place))]
    if len(places) != 1:
        raise click.UsageError(f"there are {len(places)} journals here. Name the one that has the keys with --journal")
    return await stack.enter_async_context(SQLiteJournal(places[0])), places[0]


async def state_of(journal: SQLiteJournal, key: str) -> State | None:
    """Return the state of a keyed send, or None if the journal does not know the key."""
    record = (await journal.find_keys([key])).get(key)
    return None if record is None else record.state


async def key_counts(journal: SQLiteJournal) -> str:
    """Return how many keys are in each state, in words."""
    counts: Counter[State] = Counter()
    async for each in journal.keys():
        counts[each.state] += 1
    parts = ", ".join(f"{count:,} {state.value.replace('_', ' ')}" for state, count in counts.most_common())
    return counted(counts.total(), "key") + (f" ({parts})" if parts else "")


async def resolve_key(key: str, how: str, journal: Path | None, *, json_lines: bool, yes: bool) -> int:
    """Show a key and what will be done, ask if necessary, and do it. Return the exit status."""
    async with AsyncExitStack() as stack:
        opened, place = await one_journal(journal, stack)
        known = await state_of(opened, key)
        if known is None:
            say(f"the journal {place} does not know this key. `devino campaign export --keys` lists its keys")
            return USAGE
        say(f"key {printable(key)} in {place}: {known.value.replace('_', ' ')}")
        if known is not State.UNCONFIRMED:
            say("the key is not unconfirmed; nothing was changed")
            return USAGE
        if how == "resend":
            say(
                "The key becomes free, and the next send with it goes out. If the message did arrive, it arrives twice."
            )
        else:
            say("Its message counts as sent from now on, and is never sent again. This cannot be undone.")
        if not yes and not agreed():
            return USAGE
        try:
            changed = await opened.resolve_key(key, how)  # type: ignore[arg-type]
        except JournalError as error:
            say(str(error))
            return USAGE
        now = await state_of(opened, key)
    if changed:
        say("the key is free" if how == "resend" else "its message counts as sent")
    else:
        say("the key is no longer unconfirmed; nothing was changed")
    if json_lines and now is not None:
        click.echo(as_json({"key": key, "state": now.value, "journal": str(place)}))
    return 0 if changed else USAGE
