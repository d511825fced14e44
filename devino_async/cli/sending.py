"""One run of `devino send`: rows go to the client, receipts come back in the input's order.

A signal stops the reading.

The options are in send.py, the results in results.py.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator
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
)
from .following import follow
from .intake import Intake
from .progress import counting
from .results import Results

__all__ = ["Sending"]

_RECEIPTS_A_STEP = 256
_MAX_BAD_WAITING = 20_000
# How long results may stay in the buffer, in seconds.
_FLUSH_INTERVAL = 0.5


class Sending:
    """Keeps the rows that were read but not yet answered, and whether to go on.

    Creating it installs the signal handlers, so `run` must follow.
    """

    def __init__(self, client: "devino_async.DevinoClient", intake: Intake, options: dict[str, Any]) -> None:
        self._client = client
        self._intake = intake
        self._strict = options["strict"]
        self._track_for = options["track_for"] if options["track"] else None
        self._send_options = {name: options[name] for name in ("batch_size", "include_segment_id", "shorten_url")}
        self._results: Results | None = None
        # Rows that were handed to the client, and the bad rows between them, in the order of the input.
        self._waiting: deque[Row] = deque()
        # Rows that were read but not handed over when the reading was stopped.
        self._left: list[Row] = []
        self._bad_waiting = 0
        self._more = True
        self._interrupted_by: int | None = None
        self._tracking = False
        self._stopped_at_bad_row = False
        self._all_followed = True
        for number in STOP_SIGNALS:
            on_signal(number, partial(self._interrupt, number))

    async def run(self, results: Results) -> int:
        """Send all rows and write their results. Return the exit status."""
        self._results = results
        failure: Exception | None = None
        try:
            await self._deliver(results)
        except (devino_async.DevinoError, CommandFailed, OSError) as error:
            failure = error
        except MemoryError:
            failure = CommandFailed("there is not enough memory")
        self._write_bad_rows(results)
        for row in [*self._left, *self._intake.left()]:
            results.not_handed_over(row, "reading was stopped before this row was handed over")
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
        if failure is not None:
            say(f"devino: {failure}")
        if self._interrupted_by is not None:
            say("interrupted; every row that was read has its result, and the rest was not read")
            return exit_status_of(self._interrupted_by)
        if failure is not None or results.broken is not None:
            return FAILED
        all_well = results.all_accepted and self._all_followed and not self._stopped_at_bad_row
        return 0 if all_well else MESSAGES_FAILED

    async def _deliver(self, results: Results) -> None:
        async with self._client as devino:
            flushing = asyncio.create_task(_flush_regularly(results))
            try:
                with counting("sending") as advance:
                    while self._more:
                        await self._stream(devino, results, advance)
            finally:
                flushing.cancel()
            if self._track_for is not None and self._interrupted_by is None:
                results.flush()
                self._tracking = True
                self._all_followed = await follow(devino, results.message_ids, self._track_for)

    async def _stream(self, devino: "devino_async.DevinoClient", results: Results, advance: Any) -> None:
        count = 0
        async for receipt in devino.send_many(self._messages(), **self._send_options):
            self._write_bad_rows(results)
            results.receipt(self._waiting.popleft(), receipt)
            advance()
            count += 1
            if count % _RECEIPTS_A_STEP == 0:
                # All receipts of a batch come at once. Without this pause they would block the other batches in flight.
                await asyncio.sleep(0)
            if results.broken is not None:
                self._intake.stop()
        self._write_bad_rows(results)

    async def _messages(self) -> "AsyncIterator[devino_async.Message]":
        """Yield messages to send. The stream ends early if very many bad rows wait behind a message.

        The client then sends what it has, the bad rows get their results, and another stream continues.
        """
        while self._bad_waiting < _MAX_BAD_WAITING:
            rows = await self._intake.next_run()
            for position, row in enumerate(rows):
                if self._intake.stopped:
                    self._left = rows[position:]
                    break
                self._waiting.append(row)
                if row.message is not None:
                    yield row.message
                    continue
                self._bad_waiting += 1
                if self._strict:
                    self._stopped_at_bad_row = True
                    self._intake.stop()
            if not rows or self._intake.stopped:
                self._more = False
                return

    def _write_bad_rows(self, results: Results) -> None:
        """Write the bad rows at the head of the waiting rows, so that the next one is a message."""
        while self._waiting and self._waiting[0].message is None:
            results.invalid(self._waiting.popleft())
            self._bad_waiting -= 1

    def _interrupt(self, number: int) -> None:
        if self._tracking and self._results is not None:
            # Every row has its result, and giving up a look-up loses nothing. following.py handles Ctrl-C meanwhile.
            for line in self._results.summary():
                say(line)
            self._leave_at_once(number)
        if self._interrupted_by is not None:
            self._leave_at_once(number)
        self._interrupted_by = number
        self._intake.stop()
        say("interrupted: reading has stopped, finishing what is in flight; interrupt again to end at once")

    def _leave_at_once(self, number: int) -> None:
        if self._results is not None:
            self._results.finish()
        if sys.stderr.isatty():
            say("\x1b[?25h")  # Show the cursor again, which the progress bar hid.
        os._exit(exit_status_of(number))


async def _flush_regularly(results: Results) -> None:
    """Flush until cancelled, so the results of a slow pipe are visible before they fill a buffer."""
    while True:
        await asyncio.sleep(_FLUSH_INTERVAL)
        results.flush()
