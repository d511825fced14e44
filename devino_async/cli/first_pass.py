"""The first pass: rows of a file are read before any is sent. A signal ends it, and then nothing is sent."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from devino_async import ConfigurationError
from devino_async.campaigns import PreflightPass, Recorded, Row

from .console import STOP_SIGNALS, counted, exit_status_of, flush_streams, on_signal, say
from .intake import Intake

if TYPE_CHECKING:
    from devino_async import Message

__all__ = ["FirstPass"]

_SHOWN_PROBLEMS = 20
# Counting so many rows takes a few milliseconds.
_ROWS_A_STEP = 100


class FirstPass:
    """Reads rows to their end or until a signal comes. `interrupted` is then the exit status.

    `count` begins to count what the rows cost, with `counter`. With `shows_bad`, the first bad rows are shown as they
    come. `bad` is how many of the rows so far were not messages, without those that were left out. `was_read` says
    whether `messages` came to the end of the file.
    """

    def __init__(self, count: Callable[[], PreflightPass] | None = None, *, shows_bad: bool = False) -> None:
        self.interrupted: int | None = None
        self.bad = 0
        self.was_read = False
        self.counter = None if count is None else count()
        self._begin_counter = count
        self._left_out = 0
        self._has_repeated = False
        self._intake: Intake | None = None
        self._now = datetime.now(UTC)
        self._shows_bad = shows_bad
        self._shown_bad = 0
        # What to say of the first rows whose scheduled time has passed.
        self._shown_late: list[str] = []
        self._late = 0
        self.handle_signals()

    def handle_signals(self) -> None:
        """Have a signal end the reading from now on."""
        for number in STOP_SIGNALS:
            on_signal(number, partial(self._interrupt, number))

    async def begin(self, intake: Intake) -> int | None:
        """Read the first rows of an intake. Return the exit status after a signal, else None.

        Raises what `Intake.begin` raises.
        """
        self._intake = intake
        await intake.begin()
        self._end_if_stuck()
        return self.interrupted

    def begin_counting(self) -> None:
        """Count the rows from 0. Call it before the file is read once more."""
        self.bad = self._left_out = self._late = 0
        self._has_repeated = self.was_read = False
        self._shown_late = []
        self.counter = None if self._begin_counter is None else self._begin_counter()

    async def runs(self, intake: Intake) -> AsyncIterator[list[Row]]:
        """Yield the rows of one intake, in runs."""
        self._intake = intake
        if self.interrupted is not None:
            return
        while rows := await intake.next_run():
            yield rows
        self._end_if_stuck()

    async def messages(self, intake: Intake, advance: Callable[[], None]) -> "AsyncIterator[Sequence[Message]]":
        """Count the rows of one intake, and yield their messages, in runs. `advance` is called for each."""
        async for rows in self.runs(intake):
            if rows[-1].ends_reading:
                # What is sent of a file that is cut short may be wrong, so nothing is.
                raise ConfigurationError(f"line {rows[-1].line} {rows[-1].problem}")
            messages = await self._count(rows)
            yield messages
            for _ in messages:
                advance()
        self.was_read = self.interrupted is None

    async def others(self, read: Callable[[], Intake], limit: int | None) -> "AsyncIterator[Sequence[Message]]":
        """Yield the messages that `messages` did not: those of rows that are left out, or after the limit.

        `read` reads the file once more. It is called only if there can be such messages.
        """
        if limit is None and not self._left_out:
            return
        count = 0
        async for rows in self.runs(read()):
            self._has_repeated = self._has_repeated or any(row.left_out == "repeated" for row in rows)
            bound = len(rows) if limit is None else max(0, limit - count)
            count += len(rows)
            found = [row.held for row in rows[:bound]] + [row.message or row.held for row in rows[bound:]]
            yield [message for message in found if message is not None]

    async def sent_repeats(self, read: Callable[[], Intake], recorded: Recorded) -> Collection[str]:
        """Return the numbers of rows that are left out as repeated, although an earlier run sent or may have sent them.

        That is so if the row before them is new, or was mended. `read` reads the file once more, if there can be any.
        """
        if not self._has_repeated:
            return ()
        return {
            row.held.to
            async for rows in self.runs(read())
            for row in rows
            if row.left_out == "repeated" and row.held is not None and recorded.may_have_arrived(row.held)
        }

    def refuses(self, *, late: bool) -> bool:
        """Return whether there were bad rows, and say so.

        With `late`, rows whose scheduled time has passed are bad rows too. The first of them are shown.
        """
        for told in self._shown_late if late else ():
            say(told)
        count = self.bad + (self._late if late else 0)
        if count:
            say(f"{counted(count, 'bad row')}; nothing was sent")
        return count > 0

    async def _count(self, rows: list[Row]) -> "list[Message]":
        """Return the messages of the rows."""
        messages = []
        for row in rows:
            if row.message is None:
                if row.left_out is not None:
                    self._left_out += 1
                    continue
                self.bad += 1
                # A second count shows nothing again.
                if self._shows_bad and self._shown_bad < min(self.bad, _SHOWN_PROBLEMS):
                    self._shown_bad += 1
                    say(f"line {row.line}: {row.problem}")
                continue
            messages.append(row.message)
            if row.message.scheduled_time is not None and (problem := row.problem_at(self._now)) is not None:
                self._late += 1
                if len(self._shown_late) < _SHOWN_PROBLEMS:
                    self._shown_late.append(f"line {row.line}: {problem}")
        if self.counter is not None:
            for start in range(0, len(rows), _ROWS_A_STEP):
                self.counter.feed(rows[start : start + _ROWS_A_STEP])
                await asyncio.sleep(0)
        return messages

    def _end_if_stuck(self) -> None:
        if self.interrupted is not None and self._intake is not None and self._intake.stuck:
            # A thread is blocked reading standard input. A normal exit would wait for it, or crash.
            flush_streams()
            os._exit(self.interrupted)

    def _interrupt(self, number: int) -> None:
        if self.interrupted is None:
            say("interrupted; nothing was sent")
        self.interrupted = exit_status_of(number)
        if self._intake is not None:
            self._intake.stop()
