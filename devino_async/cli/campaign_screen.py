"""What `devino campaign watch` shows after each look: a screen, a line, or JSON. When it looks is in watching.py."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from devino_async.campaigns import CampaignState

from .campaign_words import as_data, word_of
from .console import as_json, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Report", "screen"]

_COUNTS = ("accepted", "rejected", "unconfirmed", "assumed_sent", "not_sent", "planned", "in_flight")
_HANDLED = ("accepted", "rejected", "unconfirmed", "assumed_sent")


@frozen
class Report:
    """What is shown after a look."""

    state: CampaignState
    place: Path
    is_live: bool
    total: int | None
    rate: float | None = None

    @property
    def word(self) -> str:
        if not self.is_live:
            return word_of(self.state)
        if self.state.cancelled or self.state.paused:
            return f"{word_of(self.state)}, finishing what is in flight"
        return "under way" if self.state.in_flight else "under way, nothing in flight"

    @property
    def handled(self) -> int:
        return sum(getattr(self.state, each) for each in _HANDLED)

    @property
    def seconds_left(self) -> float | None:
        if self.total is None or not self.rate or not self.is_live:
            return None
        return max(self.total - self.handled, 0) / self.rate

    def counts(self) -> Iterator[tuple[str, int]]:
        for each in _COUNTS:
            count = getattr(self.state, each)
            if count or each in {"accepted", "in_flight"}:
                yield each.replace("_", " "), count

    def line(self) -> str:
        of = "" if self.total is None else f" of about {self.total:,}"
        counts = ", ".join(f"{count:,} {words}" for words, count in self.counts())
        pace = f"; {self.rate:,.0f} a second" if self.rate and self.is_live else ""
        left = f", about {_duration(self.seconds_left)} left" if self.seconds_left is not None else ""
        return f"{datetime.now().astimezone():%H:%M:%S}  {self.word}: {self.handled:,}{of}: {counts}{pace}{left}"

    def data(self) -> dict[str, Any]:
        left = None if self.seconds_left is None else round(self.seconds_left, 1)
        rate = None if self.rate is None else round(self.rate, 1)
        known = {"live": self.is_live, "rate": rate, "about": self.total, "seconds_left": left}
        return {**as_data(self.state, self.place), **known}


@contextmanager
def screen(json_lines: bool) -> Iterator[Callable[[Report], None]]:
    """Yield a function that shows a report."""
    if json_lines:
        yield lambda report: _print(as_json(report.data()))
        return
    if not sys.stdout.isatty():
        yield _Lines().show
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    # No thread refreshes the screen, because it changes only after a look.
    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda report: live.update(_table(report), refresh=True)


class _Lines:
    """Prints a line for each change."""

    def __init__(self) -> None:
        self._shown: object = None

    def show(self, report: Report) -> None:
        now = (report.word, report.state)
        if now != self._shown:
            self._shown = now
            _print(report.line())


def _print(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _table(report: Report) -> "RenderableType":
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    state = report.state
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for words, count in report.counts():
        table.add_row(words, f"{count:,}")
    if report.is_live:
        table.add_row("rate", "not known yet" if report.rate is None else f"{report.rate:,.0f} a second")
        left = "not known" if report.seconds_left is None else f"about {_duration(report.seconds_left)}"
        table.add_row("time left", left)
    table.add_row("since", _clock(state.started_at))
    table.add_row("last change", _clock(state.changed_at))
    of = "" if report.total is None else f" of about {report.total:,}"
    head = f"Campaign {printable(state.name)}: {report.word}, {report.handled:,}{of} messages"
    bar = Table.grid()  # A bar does not end its own line.
    if report.total is not None:
        bar.add_row(ProgressBar(total=max(report.total, 1), completed=report.handled, width=60))
    return Group(Text(head, style="bold"), bar, table)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    """Return a time in words, such as `4 min 05 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"
