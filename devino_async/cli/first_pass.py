"""The first pass: rows of a file are read before any is sent. A signal ends it, and then nothing is sent."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from devino_async.campaigns import Row

from .console import STOP_SIGNALS, exit_status_of, on_signal, say
from .intake import Intake

if TYPE_CHECKING:
    from devino_async import Message

__all__ = ["FirstPass"]

_SHOWN_PROBLEMS = 20


class FirstPass:
    """Reads rows to their end or until a signal comes. `interrupted` is then the exit status.

    `bad` is how many of the rows so far were not messages.
    """

    def __init__(self) -> None:
        self.interrupted: int | None = None
        self.bad = 0
        self._intake: Intake | None = None
        for number in STOP_SIGNALS:
            on_signal(number, partial(self._interrupt, number))

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
            messages = [row.message for row in rows if row.message is not None]
            self.bad += len(rows) - len(messages)
            yield messages
            for _ in messages:
                advance()

    async def bad_rows(self, intake: Intake) -> int:
        """Return how many bad rows there are, and show the first of them."""
        bad = 0
        async for rows in self.runs(intake):
            for row in rows:
                if row.message is None:
                    bad += 1
                    if bad <= _SHOWN_PROBLEMS:
                        say(f"line {row.line}: {row.problem}")
        return bad

    def _interrupt(self, number: int) -> None:
        if self.interrupted is None:
            say("interrupted; nothing was sent")
        self.interrupted = exit_status_of(number)
        if self._intake is not None:
            self._intake.stop()
