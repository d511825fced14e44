"""Before the first message: bad rows with --strict, the limits of the costs, the summary, and the question.

The rows are read in first_pass.py, and the summary is written in summary.py.
"""

import sys
from collections.abc import Callable
from decimal import Decimal

import click
from attrs import evolve

from devino_async.campaigns import Preflight, PreflightPass

from .console import MESSAGES_FAILED, USAGE, counted, end_at_signals, say
from .costs import Costs
from .first_pass import FirstPass
from .intake import Intake
from .progress import counting
from .summary import between, in_short, table

__all__ = ["Approval"]


class Approval:
    """Reads a file that can be read twice, and decides whether its messages may go out.

    `count` begins to count what the rows cost. Without it the file can be read only once, and nothing is decided. `yes`
    sends without a question.
    """

    def __init__(
        self, costs: Costs, count: Callable[[], PreflightPass] | None, *, strict: bool, yes: bool, unique: bool
    ) -> None:
        if count is None and costs.are_limited:
            raise click.UsageError(
                "--max-segments and --max-cost need a file that can be read twice. Save the rows to a file first"
            )
        self.first = FirstPass(count, shows_bad=strict)
        self._costs = costs
        self._strict = strict
        self._yes = yes
        self._unique = unique

    @property
    def reads(self) -> bool:
        """Whether the file can be read before its messages go out."""
        return self.first.counter is not None

    def result(self, price: Decimal | None) -> Preflight:
        """Return what the rows cost, at this price of a segment."""
        assert self.first.counter is not None  # noqa: S101 - `devino check` always counts
        found = self.first.counter.result()
        if price is None:
            return found
        return evolve(found, cost=found.segments * price, cost_max=found.segments_max * price)

    @property
    def asks(self) -> bool:
        """Whether a person is asked."""
        return self.first.counter is not None and not self._yes and _is_terminal()

    async def read(self, intake: Intake) -> int | None:
        """Read all rows, if they can be read twice. Return the exit status after a signal, else None.

        Raises what `Intake.begin` raises.
        """
        if self.first.counter is None or await self.first.begin(intake) is not None:
            return self.first.interrupted
        with counting("checking") as advance:
            async for _ in self.first.messages(intake, advance):
                pass
        return self.first.interrupted

    def problem(self, going: bytes = b"", *, late: bool) -> int | None:
        """Say why nothing may be sent, and return the exit status, or return None.

        `going` says which messages would go out, as in Comparison. With `late`, rows whose time has passed are bad.
        """
        if self._strict and self.first.refuses(late=late):
            return MESSAGES_FAILED
        if self.first.counter is None:
            return None
        passed = [*self._costs.passed(self.first.counter.selection(going).segments_max)]
        for each in passed:
            say(each)
        if passed:
            say("nothing was sent")
        return USAGE if passed else None

    def refused(self, going: bytes = b"", *, continues: bool = False) -> int | None:
        """Show the summary, and ask on a terminal. Return the exit status of a no, or None to go on."""
        if self.first.counter is None:
            return None
        out = self.first.counter.selection(going)
        if not out.rows:
            return None
        found = self.first.counter.result()
        for line in table(found, show=False) if self.asks else in_short(found, unique=self._unique):
            say(line)
        price = self._costs.price
        cost = "" if price is None else f", cost {between(out.segments * price, out.segments_max * price)}"
        # A stream is not compared with its earlier run.
        now = "to send now" if going else "to send at most" if continues else "to send"
        segments = between(out.segments, out.segments_max)
        thing = "segment" if out.segments_max == 1 else "segments"
        say(f"{now}: {counted(out.rows, 'message')}, {segments} {thing}{cost}")
        if not self.asks:
            return None
        status = _asked()
        self.first.handle_signals()
        return status


def _is_terminal() -> bool:
    return all(file is not None and file.isatty() for file in (sys.stdin, sys.stderr))


def _asked() -> int | None:
    # The question blocks the event loop, which would not see a signal. Python would not see one that comes just before
    # it waits for the answer. Nothing else runs meanwhile, so a signal may end the process.
    end_at_signals()
    try:
        if click.confirm("Send?", err=True):
            return None
    except click.Abort:
        # The end of the input does not end the line of the question.
        say("")
    say("nothing was sent. --yes sends without asking")
    return USAGE
