"""Continuing: which campaign of the journal a file continues, and when a person must decide that.

The comparison itself is in campaigns/. Here its result becomes messages for the person and an exit status.
"""

import asyncio
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devino_async.campaigns import (
    CampaignChanged,
    CampaignForgotten,
    CampaignPaused,
    Comparison,
    JournalError,
    Recorded,
    Row,
    compare,
)

from .console import USAGE, counted, say
from .first_pass import FirstPass
from .intake import Intake
from .journals import DEFAULT_HOST, default_name, is_stream, stored_path
from .progress import counting

if TYPE_CHECKING:
    from devino_async.campaigns import CampaignState, SQLiteJournal

__all__ = ["JournaledRun", "address_of", "in_options"]

Read = Callable[[Collection[str]], Iterator[list[Row]]]

_DAY = timedelta(days=1)
_PORTS = {"http": 80, "https": 443}


def address_of(base_url: str | None) -> str:
    """Return the scheme, host and port of the service, as a journal stores them."""
    parts = urlsplit(base_url or os.environ.get("DEVINO_BASE_URL") or f"https://{DEFAULT_HOST}")
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def in_options(error: Exception) -> Exception:
    """Return the error. If its text tells a person to use an argument of Python, it names the option instead."""
    if isinstance(error, CampaignPaused):
        error.args = (str(error).replace("unpause it to go on", "`devino campaign unpause` lets it go on"),)
    if isinstance(error, CampaignForgotten):
        error.args = (str(error).replace("choose another name", "--campaign NAME sends all rows, as a new one"),)
    if isinstance(error, CampaignChanged):
        text = str(error).replace("use only_new=True", "add --only-new")
        error.args = (text.replace("choose another campaign name", "choose another name with --campaign"),)
    return error


class JournaledRun:
    """A run of `devino send` with a journal: which campaign it continues, and what the journal records about it."""

    def __init__(self, journal: "SQLiteJournal", place: Path, file: Path, address: str) -> None:
        self._journal = journal
        self._place = place
        self._file = file
        self._address = address
        self._outputs: Sequence[str] = ()
        self._words: list[str] = []
        self.name = ""
        # Whether an earlier run of the campaign may have sent some of the rows.
        self.continues = False
        self.only_new = True
        # The results that rows which are left out have from an earlier run.
        self.recorded: Recorded | None = None
        # Which messages go out now, as in Comparison.
        self.going = b""
        # The numbers whose message was sent from another row than the first one that has the number now.
        self.sent_before: Collection[str] = ()

    async def choose(
        self,
        intake: Intake,
        read: Read,
        first: FirstPass,
        *,
        name: str | None,
        only_new: bool,
        limit: int | None,
    ) -> int | None:
        """Choose the campaign. Return None, or the exit status if a person must decide, or a signal came.

        `intake` has the rows to send, which are the first `limit` rows, and `first` reads them. `read` begins to read
        all rows again, and is given `sent_before`. Without a `name`, the campaign is named after the file. Raises
        CampaignForgotten.
        """
        decided = await self._choose(intake, read, first, name=name, only_new=only_new, limit=limit)
        if decided is not None:
            return decided
        try:
            await self._journal.check_not_forgotten(self.name)
        except CampaignForgotten as error:
            raise in_options(error) from None
        # A signal that was read just now has its handler in the queue of the event loop. Let it run first: otherwise it
        # would say that nothing is sent, and everything would be sent.
        await asyncio.sleep(0)
        return first.interrupted

    async def _choose(
        self,
        intake: Intake,
        read: Read,
        first: FirstPass,
        *,
        name: str | None,
        only_new: bool,
        limit: int | None,
    ) -> int | None:
        if is_stream(self._file):
            # It cannot be compared before it is sent. So each message must be the same as in the earlier run.
            self.name, self.only_new = name or "", only_new
            states = await self._journal.campaigns()
            self.continues = any(each.name == name and each.messages for each in states)
            self._outputs = next((each.outputs for each in states if each.name == name), ())
            return None
        default = default_name(self._file, self._address)
        found = await self._compared(intake, read, first, name or default, is_named=bool(name), limit=limit)
        if found.recorded is not None:
            self.sent_before = await first.sent_repeats(lambda: Intake(read(())), found.recorded)
        if self.sent_before and first.interrupted is None:
            intake = Intake(read(self.sent_before), limit)
            found = await self._compared(intake, read, first, name or default, is_named=bool(name), limit=limit)
        if first.interrupted is not None:
            return first.interrupted
        if not only_new and found.missing:
            _say_missing(found, self._file)
            return USAGE
        if not only_new and found.finished_at is not None and _age(found.finished_at) > _DAY:
            _say_finished(found, found.finished_at, some_bad=first.bad > 0)
            return USAGE
        # It may be the earlier file with another --text or --sender. All its messages would be paid for again.
        recent = _unfinished_or_recent(found.earlier)
        if recent is not None:
            _say_nothing_in_common(found, recent, self._file)
            return USAGE
        self.name, self.continues, self.recorded = found.name, found.campaign is not None, found.recorded
        self.going = found.going
        self._outputs = await self._noted_outputs()
        self._words = self._words_for(found, is_first=found.name == (name or default), some_bad=first.bad > 0)
        return None

    async def _compared(
        self, intake: Intake, read: Read, first: FirstPass, name: str, *, is_named: bool, limit: int | None
    ) -> Comparison:
        """Return how the file differs from its campaign in the journal. `first` reads it, and counts its rows."""
        first.begin_counting()

        def again() -> Intake:
            return Intake(read(self.sent_before))

        with counting("comparing") as advance:
            return await compare(
                self._journal,
                first.messages(intake, advance),
                name=name,
                address=self._address,
                path=None if is_named else stored_path(self._file, self._place),
                rest=first.others(again, limit),
            )

    async def _noted_outputs(self) -> Sequence[str]:
        """Return where the results of this campaign went, even if its last run ended before its first request."""
        return next((each.outputs for each in await self._journal.campaigns() if each.name == self.name), ())

    def announce(self) -> None:
        """Say which campaign begins or continues. It is called when the run can no longer be refused."""
        for line in self._words:
            say(line)
        self._words = []

    def owns(self, output: Path | None) -> bool:
        """Return whether this campaign's results were written to this file before, and no other campaign's since."""
        return output is not None and stored_path(output, self._place) in self._outputs

    async def note(self, output: Path | None) -> None:
        """Record where the messages come from and where the results go. Raises JournalError if the run cannot begin."""
        regular = output is not None and not is_stream(output)
        try:
            run = await self._journal.begin(
                self.name,
                self._address,
                path=None if is_stream(self._file) else stored_path(self._file, self._place),
                output=stored_path(output, self._place) if output is not None and regular else None,
            )
        except JournalError as error:
            raise in_options(error) from None
        await self._journal.end(run, complete=False)

    def _words_for(self, found: Comparison, *, is_first: bool, some_bad: bool) -> list[str]:
        if found.campaign is None:
            new = f"no row of {self._file.name} is in its earlier campaigns, so this is a new one"
            begins = f"campaign {found.name!r} begins; its journal is {self._place}"
            return [begins] if is_first else [new, begins]
        if found.campaign.cancelled:
            return [f"campaign {found.name!r} was cancelled: nothing more of it is sent"]
        if found.finished_at is not None:
            return [f"{_all_sent(found, some_bad=some_bad)}; nothing is sent", *_mended(found)]
        unsent = f" ({found.unsent:,} of them not sent yet)" if found.unsent else ""
        gone = f"; no longer in the file: {_gone(found)}" if found.missing else ""
        counts = f"{counted(found.unchanged, 'row')} unchanged{unsent}, {found.new:,} new{gone}"
        return [f"campaign {found.name!r} continues: {counts}"]


def _all(count: int, noun: str = "row") -> str:
    return f"the only {noun}" if count == 1 else f"all {counted(count, noun)}"


def _gone(found: Comparison) -> str:
    counts = [f"{found.missing_sent:,} sent"] if found.missing_sent else []
    return " and ".join([*counts, *([f"{found.missing_in_doubt:,} perhaps sent"] if found.missing_in_doubt else [])])


def _all_sent(found: Comparison, *, some_bad: bool) -> str:
    """Return what became of a campaign that finished. Not all of it was sent if some was rejected."""
    state = found.campaign
    if state is None or not (state.rejected or state.assumed_sent):
        which = _all(found.unchanged, "valid row" if some_bad else "row")
        return f"{which} {'was' if found.unchanged == 1 else 'were'} sent in campaign {found.name!r}"
    counts = {"accepted": state.accepted, "rejected": state.rejected, "assumed sent": state.assumed_sent}
    told = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
    return f"nothing is left to send in campaign {found.name!r}: {told}"


def _mended(found: Comparison) -> list[str]:
    if found.campaign is None or not found.campaign.rejected:
        return []
    return ["a rejected row that is corrected in the file is sent by running the same command again"]


def _age(moment: datetime) -> timedelta:
    return datetime.now(UTC) - moment


def _unfinished_or_recent(earlier: "Sequence[CampaignState]") -> "CampaignState | None":
    """Return the newest campaign if it is not finished, else one that changed within the last day, else None.

    A campaign does not count if it is certain that none of its messages was sent.
    """
    paid = [each for each in earlier if each.accepted + each.unconfirmed + each.assumed_sent + each.in_flight]
    if paid and not paid[0].finished and not paid[0].cancelled:
        return paid[0]
    return next((each for each in paid if _age(each.changed_at) <= _DAY), None)


def _say_nothing_in_common(found: Comparison, earlier: "CampaignState", file: Path) -> None:
    state = "finished" if earlier.finished else "cancelled" if earlier.cancelled else "not finished"
    counts = f"{counted(earlier.messages, 'message')}, {earlier.accepted:,} of them accepted"
    say(f"no row of {file.name} is the same as in its campaign {earlier.name!r}. That has {counts}, and is {state}")
    say(f"it last changed on {earlier.changed_at.astimezone():%Y-%m-%d at %H:%M}. Nothing was sent now")
    say("if an option such as --sender, --text or --priority differs from then, every row is another message. Choose:")
    say("  the same options as before  to go on with that campaign")
    say(f"  --campaign {shlex.quote(found.free_name)}  to send {_all(found.new)}, as a new campaign")


def _say_missing(found: Comparison, file: Path) -> None:
    say(f"{file.name} has changed since campaign {found.name!r}. No longer in it: {_gone(found)}")
    say(f"unchanged: {found.unchanged:,}, new: {found.new:,}. Nothing was sent now. Add one of these to the command:")
    say(f"  --only-new  to continue, and send what is not in the journal: {counted(found.new + found.unsent, 'row')}")
    every = found.unchanged + found.new
    say(f"  --campaign {shlex.quote(found.free_name)}  to send {_all(every)}, as a new campaign")


def _say_finished(found: Comparison, at: datetime, *, some_bad: bool) -> None:
    say(f"{_all_sent(found, some_bad=some_bad)}, which finished on {at.astimezone():%Y-%m-%d at %H:%M}")
    for line in _mended(found):
        say(line)
    say("nothing was sent now. To send all rows once more, add this:")
    say(f"  --campaign {shlex.quote(found.free_name)}")
