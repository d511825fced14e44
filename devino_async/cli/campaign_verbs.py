"""`devino campaign pause|unpause|cancel|resolve|reopen|forget|prune`: what a person decides about campaigns.

What a verb is about to do is shown first. Those that cannot be undone ask, unless `--yes` is given. Keys are in
campaign_keys.py.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from devino_async.campaigns import CampaignState, JournalError, SQLiteJournal, State

from .campaign_keys import resolve_key
from .campaign_words import as_data
from .console import USAGE, agreed, as_json, counted, printable, run, say
from .found_campaigns import Found, campaigns_here, one_campaign, where
from .journals import existing

__all__ = ["VERBS"]

_SHOWN = 10
_yes = click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
_name = click.argument("name", required=False)


@frozen
class _Done:
    """What a verb has done, in words and for JSON."""

    text: str
    data: dict[str, Any]


@frozen
class _Verb:
    """What a verb does: `plan` says it before anything is changed, and returns None if there is nothing to do."""

    plan: Callable[[Found], Awaitable[str | None]]
    change: Callable[[Found], Awaitable[_Done]]


@click.command(epilog="Example: devino campaign pause campaign.csv")
@_name
@where
def pause(name: str | None, journal: Path | None, json_lines: bool) -> None:
    """Let no further batch of a campaign begin, in any process. What is in flight is finished."""

    async def change(found: Found) -> _Done:
        await found.journal.pause(found.state.name)
        return _Done("it is paused. `devino campaign unpause` lets it go on", {})

    plan = _told("No further batch begins, in any process. What is in flight is finished")
    run(_carry_out(name, journal, json_lines, True, _Verb(plan, change)))


@click.command(epilog="Example: devino campaign unpause campaign.csv")
@_name
@where
def unpause(name: str | None, journal: Path | None, json_lines: bool) -> None:
    """Let a paused campaign go on. Run `devino send` again to send the rest."""

    async def change(found: Found) -> _Done:
        await found.journal.unpause(found.state.name)
        return _Done("it can go on. This command sends nothing: run the same `devino send` again", {})

    run(_carry_out(name, journal, json_lines, True, _Verb(_told("Its runs may send again"), change)))


@click.command(epilog="Example: devino campaign cancel campaign.csv --yes")
@_name
@_yes
@where
def cancel(name: str | None, journal: Path | None, json_lines: bool, yes: bool) -> None:
    """End a campaign for good. What was not sent stays unsent. What was accepted cannot be called back."""

    async def change(found: Found) -> _Done:
        await found.journal.cancel(found.state.name)
        return _Done("it is cancelled", {})

    plan = _told("Nothing more of it will ever be sent. What was accepted cannot be recalled. This cannot be undone")
    run(_carry_out(name, journal, json_lines, yes, _Verb(plan, change)))


@click.command(epilog="Example: devino campaign resolve campaign.csv --assume-sent")
@_name
@click.option("--resend", "how", flag_value="resend", help="Let the next run send them. They may arrive twice.")
@click.option("--assume-sent", "how", flag_value="assume_sent", help="Count them as sent. They are never sent again.")
@click.option("--position", "positions", type=click.IntRange(0), multiple=True, help="Only this one. May be repeated.")
@click.option("--key", metavar="KEY", help="Decide about this key instead of a campaign.")
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
        if name is not None or options["positions"]:
            raise click.UsageError("--key cannot be used with a campaign or --position")
        run(resolve_key(options["key"], how, journal, json_lines=json_lines, yes=yes))
    run(_carry_out(name, journal, json_lines, yes, _resolving(how, frozenset(options["positions"]) or None)))


def _resolving(how: str, places: frozenset[int] | None) -> _Verb:
    async def plan(found: Found) -> str | None:
        count = found.state.unconfirmed
        if not count:
            return None
        which = counted(count, "unconfirmed message") if places is None else f"Of {count:,}, those at --position"
        if how == "assume_sent":
            return f"{which} count as sent from now on, and are never sent again. This cannot be undone"
        but = ", except those of a batch that is proved to have arrived" if places is None else ", even if they arrived"
        return f"{which} will be sent by the next run{but}. What did arrive is then paid for twice"

    async def change(found: Found) -> _Done:
        resolved = await found.journal.resolve(found.state.name, how, places)  # type: ignore[arg-type]
        what = "will be sent by the next run" if how == "resend" else "count as sent"
        over = f"; passed over, as their batch arrived: {resolved.passed_over:,}" if resolved.passed_over else ""
        return _Done(
            f"{counted(resolved.set, 'message')} {what}{over}",
            {"resolved": resolved.set, "passed_over": resolved.passed_over},
        )

    return _Verb(plan, change)


@click.command(
    short_help="Let the next run send rejected messages again.",
    epilog="Example: devino campaign reopen campaign.csv --reason balance.not.enough",
)
@_name
@click.option("--reason", "reasons", multiple=True, metavar="KEY", help="A reason of a rejection. May be repeated.")
@_yes
@where
def reopen(name: str | None, journal: Path | None, json_lines: bool, reasons: tuple[str, ...], yes: bool) -> None:
    """Let the next run send rejected messages again that have one of these reasons, such as after the balance was
    topped up. Without --reason the reasons are listed.
    """
    if not reasons:
        run(_list_reasons(name, journal, json_lines))

    async def plan(found: Found) -> str | None:
        count = 0
        async for outcome in found.journal.outcomes(found.state.name):
            count += outcome.state == State.REJECTED and any(each.key in reasons for each in outcome.reasons)
        return f"{counted(count, 'rejected message')} will be sent by the next run" if count else None

    async def change(found: Found) -> _Done:
        count = await found.journal.reopen(found.state.name, reasons)
        return _Done(f"{counted(count, 'message')} will be sent by the next run", {"reopened": count})

    run(_carry_out(name, journal, json_lines, yes, _Verb(plan, change)))


async def _list_reasons(name: str | None, journal: Path | None, json_lines: bool) -> int:
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        keys: Counter[str] = Counter()
        async for outcome in found.journal.outcomes(found.state.name):
            keys.update({each.key for each in outcome.reasons if outcome.state == State.REJECTED})
        for key, count in keys.most_common():
            click.echo(as_json({"reason": key, "messages": count}) if json_lines else f"{count:>12,}  {printable(key)}")
        if not keys:
            say(f"campaign {printable(found.state.name)} has no rejected messages")
    return 0


@click.command(
    short_help="Delete the messages of a campaign from the journal.",
    epilog="Example: devino campaign forget campaign.csv --yes",
)
@_name
@click.option("--even-unconfirmed", is_flag=True, help="Even if it is not known whether some messages were sent.")
@_yes
@where
def forget(name: str | None, journal: Path | None, json_lines: bool, even_unconfirmed: bool, yes: bool) -> None:
    """Delete all that the journal knows of the messages of a campaign. Its name stays, so that it is not sent again."""

    async def change(found: Found) -> _Done:
        count = await found.journal.forget(found.state.name, even_unconfirmed=even_unconfirmed)
        data = {"name": found.state.name, "forgotten": count, "journal": str(found.place)}
        return _Done(f"forgotten: {counted(count, 'message')}. A run with this name is refused", data)

    plan = _told(
        "All that the journal knows about its messages will be deleted. This cannot be undone. Results files stay"
    )
    run(_carry_out(name, journal, json_lines, yes, _Verb(plan, change)))


@click.command(epilog="Example: devino campaign prune --days 90 --yes")
@click.option("--days", type=click.FloatRange(0), required=True, help="What has not changed for so many days.")
@_yes
@where
def prune(journal: Path | None, json_lines: bool, days: float, yes: bool) -> None:
    """Forget finished campaigns, and delete settled keys. A key that was deleted sends again if it is used again."""
    run(_prune(journal, json_lines, days, yes))


VERBS = (pause, unpause, cancel, resolve, reopen, forget, prune)


def _told(text: str) -> Callable[[Found], Awaitable[str | None]]:
    async def plan(_: Found) -> str:
        return text

    return plan


async def _carry_out(name: str | None, journal: Path | None, json_lines: bool, yes: bool, verb: _Verb) -> int:
    """Show the campaign and what will be done, ask if necessary, do it, and show the campaign again."""
    async with AsyncExitStack() as stack:
        found = await one_campaign(journal, name, stack)
        state = found.state
        say(f"campaign {printable(state.name)} in {found.place}: {_counts(state)}")
        plan = await verb.plan(found)
        if plan is None:
            say("there is nothing to do")
            if json_lines:
                click.echo(as_json(as_data(state, found.place)))
            return 0
        say(f"{plan}.")
        if not yes and not agreed():
            return USAGE
        try:
            done = await verb.change(found)
        except JournalError as error:
            say(str(error))
            return USAGE
        say(done.text)
        left = [each for each in await found.journal.campaigns() if each.name == state.name]
        if json_lines:
            click.echo(as_json((as_data(left[0], found.place) if left else {}) | done.data))
        elif left:
            say(f"now: {_counts(left[0])}")
    return 0


def _counts(state: CampaignState) -> str:
    states = (State.ACCEPTED, State.REJECTED, State.NOT_SENT, State.PLANNED, State.UNCONFIRMED, State.ASSUMED_SENT)
    counts = [(each.value.replace("_", " "), getattr(state, each.value)) for each in states]
    counts.append(("in flight", state.in_flight))
    parts = [f"{count:,} {words}" for words, count in counts if count]
    return counted(state.messages, "message") + (f" ({', '.join(parts)})" if parts else "")


async def _prune(journal: Path | None, json_lines: bool, days: float, yes: bool) -> int:
    before = datetime.now(UTC) - timedelta(days=days)
    async with AsyncExitStack() as stack:
        found = await campaigns_here(journal, None, stack)
        journals = {each.place: each.journal for each in found}
        for place in existing(journal, None)[0]:
            if place not in journals:
                journals[place] = await stack.enter_async_context(SQLiteJournal(place))
        go = [each.state for each in found if each.state.finished and each.state.changed_at < before]
        say(f"journals: {', '.join(map(str, journals))}")
        say(f"finished campaigns without a change for {days:g} days, which will be forgotten: {len(go):,}")
        for state in go[:_SHOWN]:
            changed = f"{state.changed_at.astimezone():%Y-%m-%d}"
            say(f"  {printable(state.name)}, {counted(state.messages, 'message')}, {changed}")
        if len(go) > _SHOWN:
            say(f"  and {len(go) - _SHOWN:,} more")
        say(f"Keys settled over {days:g} days ago will be deleted, and can then send again. This cannot be undone.")
        if not yes and not agreed():
            return USAGE
        for place, opened in journals.items():
            pruned = await opened.prune(timedelta(days=days))
            if json_lines:
                click.echo(as_json({"journal": str(place), "campaigns": pruned.campaigns, "keys": pruned.keys}))
            else:
                say(
                    f"{place}: {counted(pruned.campaigns, 'campaign')} forgotten, {counted(pruned.keys, 'key')} deleted"
                )
    return 0
