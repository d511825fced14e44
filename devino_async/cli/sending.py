"""One run of `devino send`: rows go to the client, receipts come back in the input's order.

A signal stops the reading. The options are in send.py, the rows that wait for their turn in waiting.py, the results in
results.py.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import devino_async
from devino_async.campaigns import Row

from .console import (
    FAILED,
    MESSAGES_FAILED,
    STOP_SIGNALS,
    CommandFailed,
    exit_status_of,
    flush_streams,
    on_signal,
    say,
    status_of,
)
from .continuing import JournaledRun, in_options
from .following import follow
from .intake import Intake
from .progress import counting
from .results import Results
from .scheduling import deadline_hint, default_batch_size
from .shortfalls import Shortfalls
from .troubles import Troubles
from .waiting import WaitingRows

__all__ = ["Heard", "Sending"]

_RECEIPTS_A_STEP = 256
# How many rows are handed over at once. While a client reads them, it blocks the event loop.
_ROWS_A_LIST = 256
_BATCH_SIZE = 32_000
# A kill can leave `in_flight` batches in doubt.
_BATCH_SIZE_WITH_JOURNAL = 8_000
# How long results may stay in the buffer, in seconds.
_FLUSH_INTERVAL = 0.5
# What is in flight ends by its own time-outs, long before this many seconds.
_GRACE = 3_600.0


class _EndedEarly(Exception):
    """Raised if the input may have more rows, so that the journal does not record that it was read to its end."""


class Heard:
    """What the events of a client say while it sends and tracks. An instance is passed to it as `on_event`."""

    def __init__(self) -> None:
        self.troubles = Troubles()
        self.shortfalls = Shortfalls()

    def __call__(self, event: "devino_async.ClientEvent") -> None:
        """Note one event."""
        self.troubles(event)
        self.shortfalls(event)


class Sending:
    """Keeps the rows that were read but not yet answered, and whether to go on.

    Creating it installs the signal handlers, so `run` must follow.
    """

    def __init__(
        self,
        client: "devino_async.DevinoClient",
        intake: Intake,
        options: dict[str, Any],
        heard: Heard,
        journaled: JournaledRun | None = None,
    ) -> None:
        self._client = client
        self._intake = intake
        self._heard = heard
        self._strict = options["strict"]
        self._limit = options["limit"]
        self._track_for = options["track_for"] if options["track"] else None
        self._send_options = {name: options[name] for name in ("include_segment_id", "shorten_url")}
        default = _BATCH_SIZE if journaled is None else _BATCH_SIZE_WITH_JOURNAL
        self._send_options["batch_size"] = default_batch_size(default, options)
        self._schedule = self._send_options["schedule"] = options["schedule"]
        if journaled is not None:
            self._send_options |= {"campaign": journaled.name, "only_new": journaled.only_new}
        self._has_journal = journaled is not None
        self._recorded = None if journaled is None else journaled.recorded
        self._results: Results | None = None
        # Rows that were handed to the client, and the bad rows between them, in the order of the input.
        self._waiting = WaitingRows(self._kept_of)
        # Rows that were read but not handed over when the reading was stopped.
        self._left: deque[Row] = deque()
        # The messages of the last list that the client has not taken yet.
        self._handed: list[devino_async.Message] = []
        self._interrupted_by: int | None = None
        # Closes the client after a signal, if the service is in trouble or the window has not opened.
        self._closing: asyncio.Task[Any] | None = None
        self._tracking = False
        self._stopped_at_bad_row = False
        self._all_followed = True
        for number in STOP_SIGNALS:
            on_signal(number, partial(self._interrupt, number))

    async def begin(self) -> None:
        """Read the first rows. Raises ConfigurationError if the header cannot be used, or there are no rows."""
        await self._intake.begin()

    async def run(self, results: Results) -> int:
        """Send all rows and write their results. Return the exit status."""
        self._results = results
        failure: Exception | None = None
        try:
            await self._deliver(results)
        except (devino_async.DevinoError, CommandFailed, OSError) as error:
            if self._closing is None or not isinstance(error, devino_async.ClientClosed):
                failure = in_options(error)
        except MemoryError:
            failure = CommandFailed("there is not enough memory")
        self._write_bad_rows(results)
        for row in [*self._waiting.take_all(), *self._left, *self._intake.left()]:
            results.not_handed_over(row, "reading was stopped before this row was handed over")
        self._waiting.close()
        results.finish()
        status = self._conclude(results, failure)
        if self._intake.stuck:
            # A thread is blocked reading standard input. A normal exit would wait for it, or crash.
            flush_streams()
            os._exit(status)
        return status

    def _conclude(self, results: Results, failure: Exception | None) -> int:
        for line in results.summary():
            say(line)
        hint = deadline_hint(self._schedule)
        if hint is not None and results.counts["not_sent"]:
            say(hint)
        if failure is not None and not (self._closing is not None and isinstance(failure, devino_async.ClientClosed)):
            say(f"devino: {failure}")
        if self._interrupted_by is not None:
            rest = "the same command continues with the rest" if self._has_journal else "the rest was not read"
            say(f"interrupted; every row that was read has its result, and {rest}")
            return exit_status_of(self._interrupted_by)
        if results.broken is not None:
            return FAILED
        if failure is not None:
            return status_of(failure)
        all_well = results.all_accepted and self._all_followed and not self._stopped_at_bad_row
        return 0 if all_well else MESSAGES_FAILED

    async def _deliver(self, results: Results) -> None:
        async with self._client as devino:
            flushing = asyncio.create_task(_flush_regularly(results))
            try:
                with counting("sending") as advance:
                    await self._stream(devino, results, advance)
            finally:
                flushing.cancel()
                if self._closing is not None:
                    # Errors are not lost: the end of the block closes the client once more, which raises them.
                    await asyncio.gather(self._closing, return_exceptions=True)
            if self._track_for is not None and self._interrupted_by is None:
                # Every row has its result, and the tracking may take an hour.
                results.finish()
                self._tracking = True
                self._all_followed = await follow(devino, results.message_ids, self._track_for, self._heard.shortfalls)

    async def _stream(self, devino: "devino_async.DevinoClient", results: Results, advance: Any) -> None:
        count = 0
        with suppress(_EndedEarly):
            async for receipt in devino.send_many(_InRuns(self._messages), **self._send_options):
                if self._waiting.begins_bad:
                    self._write_bad_rows(results)
                results.receipt(self._waiting.take(), receipt)
                advance()
                count += 1
                if count % _RECEIPTS_A_STEP == 0:
                    # All receipts of a batch come at once. Without this pause they would block the other batches in
                    # flight.
                    await asyncio.sleep(0)
                if results.broken is not None:
                    self._stop()
        self._write_bad_rows(results)

    async def _messages(self) -> "AsyncIterator[list[devino_async.Message]]":
        """Yield the messages to send in lists, as one stream, because a campaign is one stream."""
        count = 0
        while rows := await self._intake.next_run():
            count += len(rows)
            self._left.extend(rows)
            # Nothing here keeps a message, because a batch packs only messages that nothing else refers to.
            rows.clear()
            while self._left and not self._intake.stopped:
                self._handed = self._handed_over()
                yield self._handed
            if self._results is not None:
                self._write_bad_rows(self._results)
            if self._intake.stopped:
                break
        if self._intake.stopped or count == self._limit:
            raise _EndedEarly

    def _handed_over(self) -> "list[devino_async.Message]":
        """Add rows to those that wait for their turn. Return their messages, up to a bad row with --strict."""
        messages = []
        for _ in range(min(_ROWS_A_LIST, len(self._left))):
            row = self._left.popleft()
            if row.held is not None:
                row = self._as_recorded(row)
            self._waiting.add(row)
            if row.message is not None:
                messages.append(row.message)
            if self._strict and self._is_bad(row):
                self._stopped_at_bad_row = True
                self._intake.stop()
                break
        return messages

    def _stop(self) -> None:
        """Read and hand over no more. What the client has not taken yet counts as not handed over."""
        self._intake.stop()
        self._handed.clear()

    def _as_recorded(self, row: Row) -> Row:
        """Return a row that is left out as one to send if an earlier run sent it. It gets its recorded receipt."""
        if row.held is None or self._recorded is None or not self._recorded.take(row.held):
            return row
        return Row(row.line, row.held, to=row.to, cells=row.cells)

    def _kept_of(self, row: Row) -> str:
        return "" if self._results is None else self._results.keep(row)

    def _is_bad(self, row: Row) -> bool:
        if row.left_out is not None:
            return False
        # A row that is late now may have been sent in time by an earlier run of the campaign.
        return row.message is None or (not self._has_journal and row.problem_at(datetime.now(UTC)) is not None)

    def _write_bad_rows(self, results: Results) -> None:
        """Move bad rows from the head of the waiting rows to the results, so that the next one is a message."""
        for row in self._waiting.take_bad():
            results.without_message(row)

    def _interrupt(self, number: int) -> None:
        if self._tracking and self._results is not None:
            # Every row has its result, and giving up a look-up loses nothing. following.py handles Ctrl-C meanwhile.
            for line in self._results.summary():
                say(line)
            self._leave_at_once(number)
        if self._interrupted_by is not None:
            self._leave_at_once(number)
        self._interrupted_by = number
        self._stop()
        if self._schedule is not None:
            # What waits for its window is not in flight. Closing the client ends the wait, and finishes the rest.
            self._closing = asyncio.create_task(self._client.aclose(_GRACE))
            # The failure of a journal is raised again when the client is closed once more.
            self._closing.add_done_callback(lambda task: task.cancelled() or task.exception())
        say("interrupted: reading has stopped, finishing what is in flight; interrupt again to end at once")
        self._heard.troubles.when_present(self._end_waiting)

    def _end_waiting(self) -> None:
        if self._closing is not None:
            return
        # What waits for a service in trouble is not in flight. Closing the client gives it NotSent at once.
        self._closing = asyncio.get_running_loop().create_task(self._client.aclose())

    def _leave_at_once(self, number: int) -> None:
        if self._results is not None:
            self._results.finish(is_whole=self._tracking)
            if self._results.broken is not None:
                say(f"the results are incomplete: {self._results.broken}")
        if sys.stderr.isatty():
            say("\x1b[?25h")  # Show the cursor again, which the progress bar hid.
        os._exit(exit_status_of(number))


class _InRuns:
    """The messages of a stream, for a client that takes them in lists."""

    def __init__(self, lists: "Callable[[], AsyncIterator[list[devino_async.Message]]]") -> None:
        self.runs = lists

    async def __aiter__(self) -> "AsyncIterator[devino_async.Message]":
        async for messages in self.runs():
            for message in messages:
                yield message


async def _flush_regularly(results: Results) -> None:
    """Flush until cancelled, so the results of a slow pipe are visible before they fill a buffer."""
    while True:
        await asyncio.sleep(_FLUSH_INTERVAL)
        results.flush()
