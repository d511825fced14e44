"""`devino campaign watch`: a campaign that another process sends, on one live screen or line by line.

It only reads. How the journal is read without disturbing the run is in campaigns/watching.py.
"""

import asyncio
import os
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from devino_async.campaigns import CampaignState, JournalFailed
from devino_async.campaigns.watching import JournalView, NotNow, Seen

from .campaign_words import as_data, word_of
from .console import MESSAGES_FAILED, STOP_SIGNALS, USAGE, as_json, exit_status_of, on_signal, printable, run, say
from .found_campaigns import chosen, where
from .journals import existing

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Speed", "watch"]

_WINDOW = 60.0
# How long a journal may be unreadable before the command gives up. Seconds.
_PATIENCE = 10.0
# A look takes at most this share of the time, so that a run with very many parts is not slowed down.
_MAX_SHARE = 0.05
_MAX_BYTES = 2_000_000_000
_BLOCK = 1 << 20
# The first bytes of workbooks, which are ZIP or OLE files. They have no lines.
_NOT_LINES = (b"PK", b"\xd0\xcf")
_COUNTS = ("accepted", "rejected", "unconfirmed", "assumed_sent", "not_sent", "planned", "in_flight")
_HANDLED = ("accepted", "rejected", "unconfirmed", "assumed_sent")


@click.command(epilog="Example: devino campaign watch campaign.csv")
@click.argument("name", required=False)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3_600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@where
def watch(name: str | None, journal: Path | None, json_lines: bool, interval: float) -> None:
    """Watch a campaign that another process is sending. NAME is its name, or the file that is sent. It may be left out
    if there is only one campaign.

    It ends when nothing is left to do, or when no process sends the campaign any more. It writes nothing, and Ctrl-C
    leaves the run alone. If the output is not a terminal, each change is a line. The time left is an estimate, by the
    lines of the file.
    """
    run(_watch(name, journal, json_lines, interval))


@frozen
class _Placed:
    """A campaign as it was seen, and where its journal is."""

    seen: Seen
    place: Path

    @property
    def state(self) -> CampaignState:
        return self.seen.state


class Speed:
    """How many messages a second a campaign handles, measured over the last minute."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def note(self, at: float, handled: int) -> None:
        """Note how many messages were handled at a moment, in seconds of any clock."""
        if self._points and handled < self._points[-1][1]:
            # A person decided that some are to be sent again.
            self._points.clear()
        self._points.append((at, handled))
        while len(self._points) > 2 and self._points[1][0] <= at - _WINDOW:
            self._points.popleft()

    @property
    def rate(self) -> float | None:
        """Messages a second, or None while that is unknown."""
        if not self._points or self._points[-1][0] <= self._points[0][0]:
            return None
        (first_at, first), (last_at, last) = self._points[0], self._points[-1]
        return (last - first) / (last_at - first_at)


@frozen
class _Report:
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


async def _watch(name: str | None, journal: Path | None, json_lines: bool, interval: float) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in STOP_SIGNALS:
        on_signal(number, partial(_stop, stopped, number))
    found = await asyncio.to_thread(_found, journal, name)
    watching = _Watching(found, interval)
    work = asyncio.create_task(watching.to_the_end(json_lines))
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
        say("the run is left alone; this command only watched it")
        return exit_status_of(stopped.result())
    return work.result()


def _stop(stopped: "asyncio.Future[int]", number: int) -> None:
    if not stopped.done():
        stopped.set_result(number)


def _found(journal: Path | None, name: str | None) -> _Placed:
    everything: list[_Placed] = []
    places, is_named = existing(journal, name)
    for place in places:
        try:
            everything += [_Placed(seen, place) for seen in JournalView(place).look()]
        except JournalFailed as error:
            if is_named:
                raise
            say(str(error))
    return chosen(everything, name)


class _Watching:
    """Looks at one campaign again and again."""

    def __init__(self, found: _Placed, interval: float) -> None:
        self._place = found.place
        self._name = found.state.name
        self._view = JournalView(found.place)
        self._interval = interval
        self._speed = Speed()
        self._rows: int | None = None
        self._is_replaced = False

    async def to_the_end(self, json_lines: bool) -> int:
        """Look until the campaign ends or no process sends it. Return the exit status."""
        idle = 0
        with _screen(json_lines) as show:
            while True:
                began = time.monotonic()
                report = await self._report()
                if report is None:
                    break
                took = time.monotonic() - began
                show(report)
                # A run ends and begins again within moments when `devino send` has chosen its campaign. So only the
                # second look in a row without a process counts.
                idle = 0 if report.is_live else idle + 1
                if idle and (report.state.finished or report.state.cancelled or idle > 1):
                    break
                await asyncio.sleep(max(self._interval, took / _MAX_SHARE))
        if report is None:
            say(f"the journal no longer has the campaign {printable(self._name)}: it was forgotten or pruned")
            return USAGE
        for line in _last_words(report):
            say(line)
        state = report.state
        return 0 if state.finished and not state.rejected and not state.cancelled else MESSAGES_FAILED

    async def _report(self) -> _Report | None:
        """Look once, and again while the journal is busy. Return None if it no longer has the campaign."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                found = await asyncio.to_thread(self._view.look, self._name)
                break
            except NotNow:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(min(self._interval, 1.0))
        if self._view.was_replaced and not self._is_replaced:
            self._is_replaced = True
            say("the journal was replaced by another file while it was watched. A run that had it open sends no more")
        if not found:
            return None
        [seen] = found
        if self._rows is None:
            self._rows = await asyncio.to_thread(_rows_of, self._place, seen.state.path)
        report = _Report(seen.state, self._place, seen.is_live, self._total(seen.state))
        self._speed.note(time.monotonic(), report.handled)
        return evolve(report, rate=self._speed.rate)

    def _total(self, state: CampaignState) -> int | None:
        if self._rows:
            return max(self._rows, state.messages)
        return state.messages if state.complete else None


def _rows_of(place: Path, path: str | None) -> int:
    """Return about how many messages a file has, by its lines, or 0 if that is unknown."""
    if path is None:
        return 0
    file = place.parent / path
    try:
        if not file.is_file() or file.stat().st_size > _MAX_BYTES:
            return 0
        with file.open("rb") as lines:
            if lines.read(2) in _NOT_LINES:
                return 0
            lines.seek(0)
            count = sum(block.count(b"\n") for block in iter(partial(lines.read, _BLOCK), b""))
            lines.seek(-1, os.SEEK_END)
            count += lines.read(1) != b"\n"
    except OSError:
        return 0
    has_header = file.suffix.lower() not in {".json", ".jsonl"}
    return max(count - has_header, 0)


def _last_words(report: _Report) -> Iterator[str]:
    state = report.state
    if state.finished:
        yield "the campaign is finished"
    elif state.cancelled:
        yield "the campaign is cancelled; nothing more of it is sent"
    else:
        yield "no process is sending this campaign"
    if state.unconfirmed:
        yield f"in doubt: {state.unconfirmed:,} messages that may have been sent"
    if not state.finished:
        command = ["devino", "campaign", "show", state.name, "--journal", str(report.place)]
        yield f"what to do now is said by: {printable(shlex.join(command))}"


@contextmanager
def _screen(json_lines: bool) -> Iterator[Callable[[_Report], None]]:
    """Yield a function that shows a report."""
    if json_lines:
        yield lambda report: _print(as_json(report.data()))
        return
    if not sys.stdout.isatty():
        yield _Lines().show
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    # Without a thread that refreshes it: the screen changes only after a look.
    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda report: live.update(_table(report), refresh=True)


class _Lines:
    """Prints a line for each change."""

    def __init__(self) -> None:
        self._shown: object = None

    def show(self, report: _Report) -> None:
        now = (report.word, report.state)
        if now != self._shown:
            self._shown = now
            _print(report.line())


def _print(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _table(report: _Report) -> "RenderableType":
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
    bar = [] if report.total is None else [ProgressBar(total=max(report.total, 1), completed=report.handled, width=60)]
    return Group(Text(head, style="bold"), *bar, table)


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
