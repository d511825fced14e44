"""The first pass: rows of a file are read before any is sent. A signal ends it, and then nothing is sent."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from devino_async import ConfigurationError
from devino_async.campaigns import Recorded, Row

from .console import STOP_SIGNALS, exit_status_of, flush_streams, on_signal, say
from .intake import Intake

if TYPE_CHECKING:
    from devino_async import Message

__all__ = ["FirstPass"]

_SHOWN_PROBLEMS = 20


class FirstPass:
    """Reads rows to their end or until a signal comes. `interrupted` is then the exit status.

    `bad` is how many of the rows so far were not messages, without those that were left out.
    """

    def __init__(self) -> None:
        self.interrupted: int | None = None
        self.bad = 0
        self._left_out = 0
        self._has_repeated = False
        self._intake: Intake | None = None
        self._late: list[str] = []
        self._count_late = 0
        for number in STOP_SIGNALS:
            on_signal(number, partial(self._interrupt, number))

    async def begin(self, intake: Intake) -> int | None:
        """Read the first rows of input that can be read only once. Return the exit status after a signal, else None.

        Raises what `Intake.begin` raises.
        """
        self._intake = intake
        await intake.begin()
        if self.interrupted is not None and intake.stuck:
            # A thread is blocked reading standard input. A normal exit would wait for it, or crash.
            flush_streams()
            os._exit(self.interrupted)
        return self.interrupted

    def begin_counting(self) -> None:
        """Count the rows from 0. Call it before the file is read once more."""
        self.bad = self._left_out = 0
        self._has_repeated = False

    async def runs(self, intake: Intake) -> AsyncIterator[list[Row]]:
        """Yield the rows of one intake, in runs."""
        self._intake = intake
        if self.interrupted is not None:
            return
        while rows := await intake.next_run():
            yield rows

    async def messages(self, intake: Intake, advance: Callable[[], None]) -> "AsyncIterator[Sequence[Message]]":
        """Yield the messages of one intake, in runs. `advance` is called for each."""
        async for rows in self.runs(intake):
            if rows[-1].ends_reading:
                # What is sent of a file that is cut short may be wrong, so nothing is.
                raise ConfigurationError(f"line {rows[-1].line} {rows[-1].problem}")
            messages = [row.message for row in rows if row.message is not None]
            left_out = sum(row.left_out is not None for row in rows)
            self.bad += len(rows) - len(messages) - left_out
            self._left_out += left_out
            yield messages
            for _ in messages:
                advance()

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

    async def bad_rows(self, intake: Intake, *, late: bool) -> int:
        """Return how many bad rows there are, and show the first of them.

        With `late`, rows whose scheduled time has passed are bad rows too. Otherwise `refuses_late` may be asked about
        them later.
        """
        bad = 0
        now = datetime.now(UTC)
        async for rows in self.runs(intake):
            for row in rows:
                problem = row.problem_at(now)
                if problem is None:
                    continue
                told = f"line {row.line}: {problem}"
                if row.message is None or late:
                    bad += 1
                    if bad <= _SHOWN_PROBLEMS:
                        say(told)
                else:
                    self._count_late += 1
                    self._late += [told][: _SHOWN_PROBLEMS - len(self._late)]
        return bad

    def refuses_late(self) -> bool:
        """Return whether there were rows whose scheduled time has passed, and show the first of them."""
        for told in self._late:
            say(told)
        if self._count_late:
            say(f"{self._count_late:,} bad rows; nothing was sent")
        return self._count_late > 0

    def _interrupt(self, number: int) -> None:
        if self.interrupted is None:
            say("interrupted; nothing was sent")
        self.interrupted = exit_status_of(number)
        if self._intake is not None:
            self._intake.stop()
