"""Preparing a run of `devino send`: all that may refuse it, in order, before its first message goes out.

A journal is made only if nothing refuses the rows, and the output is opened after that. The rows are judged in
approval.py, and which campaign a file belongs to is decided in continuing.py.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, BinaryIO

from devino_async.campaigns import CampaignForgotten, Row, SQLiteJournal
from devino_async.campaigns.troubles import has_record

from .approval import Approval
from .continuing import JournaledRun, in_options
from .costs import Costs
from .intake import Intake
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
        counter = None if self._start is None else costs.counter(keep_sizes=not options["no_journal"])
        self._approval = Approval(
            costs, counter, strict=options["strict"], yes=options["yes"], unique=options["unique"]
        )
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
            status = await self._chosen(self.journaled, journal)
            if status is None and not is_new:
                status = await self._approved_as_known(self.journaled)
            if status is not None:
                return status
        # The output file may hold older results, so everything else is checked before it is opened.
        self._check_target()
        if self._approval.reads:
            self._once = Reading(self._source_again(), self._given_rows, keep_cells=self._target.carries)
            self.intake = Intake(self._once.runs(), self._options["limit"])
        return None

    def carry(self) -> None:
        """Have the results carry the columns of the input. Call it when the intake has begun."""
        self._target.carry(self._once.rows, self.intake.first)

    async def _approved_as_new(self) -> int | None:
        status = await self._approval.read(self.intake)
        if status is None:
            status = self._approval.problem(late=True)
        if status is not None:
            return status
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

    async def _chosen(self, journaled: JournaledRun, journal: SQLiteJournal) -> int | None:
        first, options = self._approval.first, self._options
        status = await journaled.choose(
            self.intake,
            self._again,
            first=first,
            name=options["campaign"],
            only_new=options["only_new"],
            limit=options["limit"],
        )
        if status is None and first.interrupted is None:
            try:
                await journal.check_not_forgotten(journaled.name)
            except CampaignForgotten as error:
                raise in_options(error) from None
        return status or first.interrupted

    def _check_target(self) -> None:
        owns = self.journaled is not None and self.journaled.owns(self._target.path)
        self._target.check(self._source, overwrite=self._options["overwrite"] or owns)

    def _again(self) -> Iterator[list[Row]]:
        return Reading(self._source_again(), self._given_rows).runs()

    def _source_again(self) -> BinaryIO:
        if not is_stream(self._path):
            return opened(self._path, self._stack)
        self._source.seek(self._start or 0)
        return self._source
