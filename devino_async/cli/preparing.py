"""Preparing a run of `devino send`: all that may refuse it, in order, before its first message goes out.

A journal is made only if nothing refuses the rows, and the output is opened after that. The rows are judged in
approval.py, and which campaign a file belongs to is decided in continuing.py.
"""

import asyncio
import os
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

from devino_async.campaigns import Row, SQLiteJournal
from devino_async.campaigns.troubles import has_record

from .approval import Approval
from .continuing import JournaledRun
from .costs import Costs
from .intake import Intake, while_unchanged
from .journals import entered, is_stream
from .reading import Reading, opened
from .results import OutputFile

__all__ = ["Preparation"]


class Preparation:
    """Reads a file that can be read twice, and then begins to read it once more, for sending.

    `ready` comes first. After that, `intake` has the rows to send, and `journaled` says which campaign they belong to.
    """

    def __init__(
        self,
        path: Path,
        options: dict[str, Any],
        *,
        given_rows: dict[str, Any],
        costs: Costs,
        target: OutputFile,
        stack: AsyncExitStack,
    ) -> None:
        self._path = path
        self._options = options
        self._given_rows = given_rows
        self._target = target
        self._stack = stack
        source = self._source = opened(path, stack)
        self._start = source.tell() if source.seekable() else None
        self._status = None if self._start is None else _status_of(source)
        count = None if self._start is None else partial(costs.counter, keep_sizes=not options["no_journal"])
        self._approval = Approval(costs, count, strict=options["strict"], yes=options["yes"], unique=options["unique"])
        self.journaled: JournaledRun | None = None
        self._once = Reading(source, given_rows, keep_cells=target.carries)
        # A file that can be read twice is read here, and once more when it is sent.
        runs = self._again() if self._approval.reads else self._once.runs()
        self.intake = Intake(runs, options["limit"])

    async def ready(self, journal: SQLiteJournal | None, place: Path | None, address: str) -> int | None:
        """Return None if the rows may go out, or the exit status. What refuses them has said why."""
        if self._approval.reads or place is not None:
            # Otherwise input with a wrong header, or without rows, would leave an empty journal.
            stopped = await self._approval.first.begin(self.intake)
            if stopped is not None:
                return stopped
        is_new = place is None or not has_record(str(place))
        if is_new:
            status = await self._approved_as_new()
            if status is not None:
                return status
        if journal is not None and place is not None:
            await entered(journal, place, self._stack)
            self.journaled = JournaledRun(journal, place, self._path, address)
            status = await self._chosen(self.journaled)
            if status is None and not is_new:
                status = await self._approved_as_known(self.journaled)
            if status is not None:
                return status
        if self._approval.reads:
            self._begin_again()
        # The output file may hold older results, so everything else is checked before it is opened.
        self._check_target()
        # A signal that was read just now has its handler in the queue of the event loop. Let it run first. No await
        # comes between this and the next handlers of signals, as the first ones say that nothing is sent.
        await asyncio.sleep(0)
        return self._approval.first.interrupted

    def carry(self) -> None:
        """Have the results carry the columns of the input. Call it when the intake has begun."""
        self._target.carry(self._once.rows, self.intake.first)

    async def _approved_as_new(self) -> int | None:
        status = await self._approval.read(self.intake)
        if status is None:
            status = self._approval.problem(late=True)
        if status is not None:
            return status
        # No campaign owns the output yet. So if it is refused, no journal is made.
        self._check_target()
        return self._approval.refused()

    async def _approved_as_known(self, journaled: JournaledRun) -> int | None:
        status = None if self._approval.first.was_read else await self._approval.read(self.intake)
        if status is None:
            # A row that is late now may have been sent in time by an earlier run of the campaign.
            status = self._approval.problem(journaled.going, late=not journaled.continues)
        if status is not None:
            return status
        self._check_target()
        if self._approval.asks:
            journaled.announce()
        return self._approval.refused(journaled.going, continues=journaled.continues)

    async def _chosen(self, journaled: JournaledRun) -> int | None:
        options = self._options
        return await journaled.choose(
            self.intake,
            self._again,
            self._approval.first,
            name=options["campaign"],
            only_new=options["only_new"],
            limit=options["limit"],
        )

    def _check_target(self) -> None:
        owns = self.journaled is not None and self.journaled.owns(self._target.path)
        self._target.check(self._source, overwrite=self._options["overwrite"] or owns)

    def _begin_again(self) -> None:
        """Begin to read the rows that are sent. Raises click.UsageError if they are not those that were checked."""
        self._source.seek(self._start or 0)
        sent_before = () if self.journaled is None else self.journaled.sent_before
        given = {**self._given_rows, "sent_before": sent_before}
        self._once = Reading(self._source, given, keep_cells=self._target.carries)
        self.intake = Intake(while_unchanged(self._once.runs(), self._source), self._options["limit"])
        if self._status is not None and not self._is_unchanged(self._status):
            raise click.UsageError(f"{self._path} changed while it was checked. Nothing was sent: run this again")

    def _is_unchanged(self, before: os.stat_result) -> bool:
        """Return whether the file is still the one that was opened, with the same size and time."""
        with suppress(OSError):
            now = _status_of(self._source) if is_stream(self._path) else self._path.stat()
            return (
                now is not None
                and os.path.samestat(now, before)
                and (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
            )
        return False

    def _again(self, sent_before: Collection[str] = ()) -> Iterator[list[Row]]:
        return Reading(self._source_again(), {**self._given_rows, "sent_before": sent_before}).runs()

    def _source_again(self) -> BinaryIO:
        if not is_stream(self._path):
            return opened(self._path, self._stack)
        self._source.seek(self._start or 0)
        return self._source


def _status_of(source: BinaryIO) -> os.stat_result | None:
    """Return the status of an open file, or None if it is not one of the operating system."""
    try:
        return os.fstat(source.fileno())
    except OSError:
        return None
