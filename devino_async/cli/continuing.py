"""Continuing: which campaign of the journal a file continues, and when a person must decide that.

The comparison itself is in campaigns/. Here its result becomes messages for the person and an exit status.
"""

import os
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devino_async.campaigns import Comparison, Row, compare

from .console import USAGE, say
from .first_pass import FirstPass
from .intake import Intake
from .journals import DEFAULT_HOST, default_name, is_stream, stored_path
from .progress import counting

if TYPE_CHECKING:
    from devino_async.campaigns import Journal

__all__ = ["JournaledRun", "address_of"]

_DAY = timedelta(days=1)
_PORTS = {"http": 80, "https": 443}


def address_of(base_url: str | None) -> str:
    """Return the scheme, host and port of the service, as a journal stores them."""
    parts = urlsplit(base_url or os.environ.get("DEVINO_BASE_URL") or f"https://{DEFAULT_HOST}")
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


class JournaledRun:
    """A run of `devino send` with a journal: which campaign it continues, and what the journal records about it."""

    def __init__(self, journal: "Journal", place: Path, file: Path, address: str) -> None:
        self._journal = journal
        self._place = place
        self._file = file
        self._address = address
        self._output: str | None = None
        self.name = ""
        # Whether an earlier run of the campaign may have sent some of the rows.
        self.continues = False
        self.only_new = True

    async def choose(
        self, read: Callable[[], Iterator[Row]], *, name: str | None, only_new: bool, limit: int | None
    ) -> int | None:
        """Choose the campaign. Return None, or the exit status if a person must decide.

        `read` begins to read the rows. Only the first `limit` of them are to be sent. Without a `name`, the campaign is
        named after the file.
        """
        if is_stream(self._file):
            # It cannot be compared before it is sent. So it must be the same, message by message.
            self.name, self.only_new = name or "", only_new
            self._output = await self._noted_output()
            states = await self._journal.campaigns()
            self.continues = any(each.name == name and each.messages for each in states)
            return None
        first = FirstPass()
        rows = read()
        default = default_name(self._file, self._address)
        with counting("comparing") as advance:
            found = await compare(
                self._journal,
                first.messages(Intake(islice(rows, limit)), advance),
                name=name or default,
                address=self._address,
                path=None if name else stored_path(self._file, self._place),
                rest=first.messages(Intake(rows), advance),
            )
        if first.interrupted is not None:
            return first.interrupted
        if not only_new and found.missing:
            _say_missing(found, self._file)
            return USAGE
        if not only_new and found.finished_at is not None and datetime.now(UTC) - found.finished_at > _DAY:
            _say_finished(found, found.finished_at)
            return USAGE
        self.name, self.continues = found.name, found.campaign is not None
        self._output = await self._noted_output()
        self._say_which(found, is_first=found.name == (name or default))
        return None

    async def _noted_output(self) -> str | None:
        """Return where the results of this campaign went, even if its last run ended before its first request."""
        states = await self._journal.campaigns()
        return next((each.output for each in states if each.name == self.name), None)

    def owns(self, output: Path | None) -> bool:
        """Return whether this campaign's results were written to this file before."""
        return output is not None and self._output == stored_path(output, self._place)

    async def note(self, output: Path | None) -> None:
        """Record where the messages come from and where the results go. Raises JournalError if the run cannot begin."""
        regular = output is not None and not is_stream(output)
        run = await self._journal.begin(
            self.name,
            self._address,
            path=None if is_stream(self._file) else stored_path(self._file, self._place),
            output=stored_path(output, self._place) if output is not None and regular else None,
        )
        await self._journal.end(run, complete=False)

    def _say_which(self, found: Comparison, *, is_first: bool) -> None:
        if found.campaign is None:
            if not is_first:
                say(f"no row of {self._file.name} is in its earlier campaigns, so this is a new one")
            say(f"campaign {found.name!r} begins; its journal is {self._place}")
            return
        if found.finished_at is not None:
            say(f"all {found.unchanged:,} rows were sent in campaign {found.name!r}; nothing is sent")
            return
        unsent = f" ({found.unsent:,} of them not sent yet)" if found.unsent else ""
        gone = f"; no longer in the file: {found.missing:,} sent or perhaps sent" if found.missing else ""
        say(f"campaign {found.name!r} continues: {found.unchanged:,} rows unchanged{unsent}, {found.new:,} new{gone}")


def _say_missing(found: Comparison, file: Path) -> None:
    gone = [f"{found.missing_sent:,} sent"] if found.missing_sent else []
    gone += [f"{found.missing_in_doubt:,} perhaps sent"] if found.missing_in_doubt else []
    say(f"{file.name} has changed since campaign {found.name!r}. No longer in it: {' and '.join(gone)}")
    say(f"unchanged: {found.unchanged:,}, new: {found.new:,}. Nothing was sent now. Add one of these to the command:")
    say(f"  --only-new  to continue, and send what is not in the journal: {found.new + found.unsent:,} rows")
    every = found.unchanged + found.new
    say(f"  --campaign {shlex.quote(found.free_name)}  to send all {every:,} rows, as a new campaign")


def _say_finished(found: Comparison, at: datetime) -> None:
    when = f"{at.astimezone():%Y-%m-%d at %H:%M}"
    say(f"all {found.unchanged:,} rows were sent in campaign {found.name!r}, which finished on {when}")
    say("nothing was sent now. To send them all once more, add this:")
    say(f"  --campaign {shlex.quote(found.free_name)}")
