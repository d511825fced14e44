"""`devino campaign watch`: a campaign that another process sends, on one live screen or line by line.

It only reads. How the journal is read without disturbing the run is in campaigns/watching.py.
"""

import asyncio
import os
import shlex
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
from attrs import evolve, frozen

from devino_async.campaigns import CampaignState, JournalFailed
from devino_async.campaigns.watching import JournalView, Missing, NotNow, Seen

from .campaign_screen import Report, screen
from .console import MESSAGES_FAILED, STOP_SIGNALS, USAGE, exit_status_of, on_signal, printable, run, say
from .found_campaigns import chosen, where
from .journals import existing

__all__ = ["Speed", "watch"]

T = TypeVar("T")
_WINDOW = 60.0
# How long a journal may be busy before the command gives up, in seconds.
_PATIENCE = 10.0
# How many looks in a row may miss the file. It is missing for a moment while another is moved into its place.
_MISSED_LOOKS = 3
# Looks take at most this share of the time, so that they do not slow down a run with very many parts.
_MAX_SHARE = 0.05
_MAX_BYTES = 2_000_000_000
_BLOCK = 1 << 20
# The first bytes of workbooks, which are ZIP or OLE files. They have no lines.
_NOT_LINES = (b"PK", b"\xd0\xcf")


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
            # A person decided to send some of them again.
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


async def _watch(name: str | None, journal: Path | None, json_lines: bool, interval: float) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in STOP_SIGNALS:
        on_signal(number, partial(_stop, stopped, number))
    found = await _patiently(partial(_found, journal, name), min(interval, 1.0))
    watching = _Watching(found, interval)
    work = asyncio.create_task(watching.to_the_end(json_lines))
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
        say("stopped watching. The run goes on")
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
            if is_named or (isinstance(error, NotNow) and not isinstance(error, Missing)):
                raise
            say(str(error))
    return chosen(everything, name)


async def _patiently(look: Callable[[], T], pause: float) -> T:
    """Look in a thread, and again while the journal is busy, or missing for a moment."""
    until, missed, is_told = time.monotonic() + _PATIENCE, 0, False
    while True:
        try:
            return await asyncio.to_thread(look)
        except NotNow as error:
            missed = missed + 1 if isinstance(error, Missing) else 0
            if time.monotonic() > until or missed == _MISSED_LOOKS:
                raise
            if not missed and not is_told:
                is_told = True
                say(f"{error}; trying again")
        await asyncio.sleep(pause)


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
        with screen(json_lines) as show:
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

    async def _report(self) -> Report | None:
        """Look once. Return None if the journal no longer has the campaign."""
        found = await _patiently(partial(self._view.look, self._name), min(self._interval, 1.0))
        if self._view.was_replaced and not self._is_replaced:
            self._is_replaced = True
            say("the journal was replaced by another file meanwhile. A run that had it open sends nothing more")
        if not found:
            return None
        [seen] = found
        if self._rows is None:
            self._rows = await asyncio.to_thread(_rows_of, self._place, seen.state.path)
        report = Report(seen.state, self._place, seen.is_live, self._total(seen.state))
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


def _last_words(report: Report) -> Iterator[str]:
    state = report.state
    if state.finished:
        yield "the campaign is finished"
    elif state.cancelled:
        yield "the campaign is cancelled; nothing more of it is sent"
    else:
        yield "no process is sending this campaign"
    if state.unconfirmed:
        yield f"unconfirmed: {state.unconfirmed:,} messages that may have been sent"
    if not state.finished:
        command = ["devino", "campaign", "show", state.name, "--journal", str(report.place)]
        yield f"to see what to do now: {printable(shlex.join(command))}"
