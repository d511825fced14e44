"""`devino campaign pause|unpause|cancel|resolve|reopen|forget|prune`: what a person decides about campaigns.

What a verb is about to do is shown first. Those that cannot be undone ask, unless `--yes` is given.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from devino_async.campaigns import JournalError, SQLiteJournal, State

from .campaign_words import as_data
from .console import USAGE, as_json, printable, run, say
from .found_campaigns import Found, campaigns_here, one_campaign, where
from .journals import existing

__all__ = ["VERBS"]

_yes = click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
_name = click.argument("name", required=False)
_key = click.option("--key", metavar="KEY", help="Decide about this key, and not about a campaign.")


@click.command(epilog="Example: devino campaign pause campaign.csv")
@_name
@where
def pause(name: str | None, journal: Path | None, json_lines: bool) -> None:
    """Let no further batch of a campaign begin, in any process. What is in flight is finished."""
    run(_verb(name, journal, json_lines, True, lambda found: found.journal.pause(found.state.name), "paused"))


@click.command(epilog="Example: devino campaign unpause campaign.csv")
@_name
@where
def unpause(name: str | None, journal: Path | None, json_lines: bool) -> None:
    """Let a paused campaign go on. Run `devino send` again to send the rest."""
    run(_verb(name, journal, json_lines, True, lambda found: found.journal.unpause(found.state.name), "unpaused"))


@click.command(epilog="Example: devino campaign cancel campaign.csv --yes")
@_name
@_yes
@where
def cancel(name: str | None, journal: Path | None, json_lines: bool, yes: bool) -> None:
    """End a campaign for good. What was not sent stays unsent. What was accepted cannot be called back."""
    say("Cancelling cannot be undone. Nothing more of this campaign will be sent.")
    run(_verb(name, journal, json_lines, yes, lambda found: found.journal.cancel(found.state.name), "cancelled"))


@click.command(epilog="Example: devino campaign resolve campaign.csv --assume-sent")
@_name
@click.option("--resend", "how", flag_value="resend", help="Let the next run send them. They may arrive twice.")
@click.option("--assume-sent", "how", flag_value="assume_sent", help="Count them as sent. They are never sent again.")
@click.option("--position", "positions", type=click.IntRange(0), multiple=True, help="Only this one. May be repeated.")
@_key
@_yes
@where
def resolve(
    name: str | None, journal: Path | None, json_lines: bool, how: str | None, yes: bool, **options: Any
) -> None:
    """Decide about unconfirmed messages. Look for them first, because one that arrived is paid for twice if it is sent
    again. Messages of a batch that is proved to have arrived are passed over by --resend, unless --position names them.
    """
    if how is None:
        raise click.UsageError("give --resend or --assume-sent")
    if options["key"] is not None:
        run(_resolve_key(options["key"], how, journal, yes))
        return
    places = frozenset(options["positions"]) or None

    async def decide(found: Found) -> str:
        resolved = await found.journal.resolve(found.state.name, how, places)  # type: ignore[arg-type]
        what = "are sent by the next run" if how == "resend" else "count as sent"
        over = f"; passed over, as their batch arrived: {resolved.passed_over:,}" if resolved.passed_over else ""
        return f"{resolved.set:,} messages {what}{over}"

    run(_verb(name, journal, json_lines, yes, decide))


@click.command(epilog="Example: devino campaign reopen campaign.csv --reason balance.not.enough")
@_name
@click.option("--reason", "reasons", multiple=True, metavar="KEY", help="A reason of a rejection. May be repeated.")
@_yes
@where
def reopen(name: str | None, journal: Path | None, json_lines: bool, reasons: tuple[str, ...], yes: bool) -> None:
    """Let the next run send rejected messages again that have one of these reasons, such as after the balance was
    topped up. Without --reason the reasons are listed.
    """
    run(_reopen(name, journal, json_lines, reasons, yes))


@click.command(epilog="Example: devino campaign forget campaign.csv --yes")
@_name
@click.option("--even-unconfirmed", is_flag=True, help="Even if it is not known whether some messages were sent.")
@_yes
@where
def forget(name: str | None, journal: Path | None, json_lines: bool, even_unconfirmed: bool, yes: bool) -> None:
    """Delete all that the journal knows of the messages of a campaign. Its name stays, so that it is not sent again."""

    async def delete(found: Found) -> str:
        count = await found.journal.forget(found.state.name, even_unconfirmed=even_unconfirmed)
        return f"{count:,} messages are forgotten"

    say("Forgetting cannot be undone. Results files are not touched.")
    run(_verb(name, journal, json_lines, yes, delete))


@click.command(epilog="Example: devino campaign prune --days 90 --yes")
@click.option("--days", type=click.FloatRange(0), required=True, help="What has not changed for so many days.")
@_yes
@where
def prune(journal: Path | None, json_lines: bool, days: float, yes: bool) -> None:
    """Forget finished campaigns, and delete settled keys. A key that was deleted sends again if it is used again."""
    run(_prune(journal, json_lines, days, yes))


VERBS = (pause, unpause, cancel, resolve, reopen, forget, prune)


async def _verb(  # noqa: PLR0917 - the options of every verb
    name: str | None,
    journal: Path | None,
    json_lines: bool,
    yes: bool,
    change: Callable[[Found], Awaitable[str | None]],
    done: str | None = None,
) -> int:
    """Show the campaign, ask if need be, change it, and show it again. Return the exit status."""
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        say(f"campaign {printable(found.state.name)} in {found.place}: {_counts(found)}")
        if not yes and not _agreed():
            return USAGE
        try:
            said = await change(found)
        except JournalError as error:
            say(str(error))
            return USAGE
        say(said or f"campaign {printable(found.state.name)} is {done}")
        left = [each for each in await found.journal.campaigns() if each.name == found.state.name]
        if json_lines:
            for each in left:
                click.echo(as_json(as_data(each, found.place)))
        elif left:
            say(f"now: {_counts(Found(left[0], found.journal, found.place))}")
    return 0


def _counts(found: Found) -> str:
    states = (State.ACCEPTED, State.REJECTED, State.NOT_SENT, State.PLANNED, State.UNCONFIRMED, State.ASSUMED_SENT)
    counts = [(each, getattr(found.state, each.value)) for each in states]
    parts = [f"{count:,} {each.value.replace('_', ' ')}" for each, count in counts if count]
    return f"{found.state.messages:,} messages" + (f" ({', '.join(parts)})" if parts else "")


def _agreed() -> bool:
    try:
        return click.confirm("Go on?", err=True)
    except click.Abort:
        # Ctrl-C, or there is no terminal to ask on.
        say("nothing was changed. --yes does it without asking")
        return False


async def _reopen(name: str | None, journal: Path | None, json_lines: bool, reasons: tuple[str, ...], yes: bool) -> int:
    if reasons:

        async def change(found: Found) -> str:
            return f"{await found.journal.reopen(found.state.name, reasons):,} messages are sent by the next run"

        return await _verb(name, journal, json_lines, yes, change)
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        keys: Counter[str] = Counter()
        async for outcome in found.journal.outcomes(found.state.name):
            keys.update({each.key for each in outcome.reasons if outcome.state == State.REJECTED})
        for key, count in keys.most_common():
            click.echo(as_json({"reason": key, "messages": count}) if json_lines else f"{count:>12,}  {printable(key)}")
    return 0


async def _resolve_key(key: str, how: str, journal: Path | None, yes: bool) -> int:
    [place, *others] = existing(journal, None)[0]
    if others:
        raise click.UsageError("there are several journals here; --journal names one")
    async with SQLiteJournal(place) as opened:
        if not yes and not _agreed():
            return USAGE
        try:
            changed = await opened.resolve_key(key, how)  # type: ignore[arg-type]
        except JournalError as error:
            say(str(error))
            return USAGE
    free = "the key is free, and a send with it goes out" if how == "resend" else "its message counts as sent"
    say(free if changed else "the key is not unconfirmed; nothing was changed")
    return 0 if changed else USAGE


async def _prune(journal: Path | None, json_lines: bool, days: float, yes: bool) -> int:
    async with AsyncExitStack() as stack:
        journals = {each.place: each.journal for each in await campaigns_here(journal, None, stack)}
        for place in existing(journal, None)[0]:
            if place not in journals:
                journals[place] = await stack.enter_async_context(SQLiteJournal(place))
        say(f"journals: {', '.join(map(str, journals))}. Finished campaigns and settled keys of {days:g} days ago go.")
        if not yes and not _agreed():
            return USAGE
        for place, opened in journals.items():
            pruned = await opened.prune(timedelta(days=days))
            if json_lines:
                click.echo(as_json({"journal": str(place), "campaigns": pruned.campaigns, "keys": pruned.keys}))
            else:
                say(f"{place}: {pruned.campaigns:,} campaigns forgotten, {pruned.keys:,} keys deleted")
    return 0
