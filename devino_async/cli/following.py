"""What becomes of accepted messages, for `devino send --track`: counts of their statuses until all are final.

Asking and knowing when a status is final are the client's and DeliveryTracker's.
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .running import on_signal, printable, say

if TYPE_CHECKING:
    from rich.table import Table

    from devino_async import DevinoClient, MessageStatus

__all__ = ["follow"]

_PAUSE = 1.0
_MAX_PAUSE = 30.0


async def follow(devino: "DevinoClient", message_ids: list[str], seconds: float) -> None:
    """Ask until all are final or the time is over; Ctrl-C ends it. Raises CallFailed for an unusable credential."""
    from devino_async import DeliveryTracker, MemoryStore  # noqa: PLC0415

    counts = _Counts(len(message_ids))

    async def look_up(ids: list[str]) -> "Mapping[str, MessageStatus]":
        found = await devino.statuses(ids)
        counts.note(found)
        return found

    tracker = DeliveryTracker(MemoryStore(max_messages=max(len(message_ids), 1)))
    polling = asyncio.create_task(
        tracker.poll_until_final(message_ids, look_up, pause=_PAUSE, max_pause=_MAX_PAUSE, deadline=seconds)
    )
    on_signal(signal.SIGINT, polling.cancel)
    with counts.shown():
        await asyncio.wait({polling})
    for line in counts.lines():
        say(line)
    if polling.cancelled():
        say("interrupted; the messages are sent, their statuses can be asked for later")
    else:
        left = [each for each in polling.result().values() if not each.final]
        if left:
            say(f"{len(left):,} are not final yet; ask again later with `devino status`")


class _Counts:
    """How many messages have which status."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._latest: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def note(self, found: "Mapping[str, MessageStatus]") -> None:
        for each in found.values():
            before = self._latest.get(each.message_id)
            if before is not None:
                self._counts[before] -= 1
            self._latest[each.message_id] = printable(each.status)
            self._counts[printable(each.status)] += 1

    def lines(self) -> Iterator[str]:
        for status, count in self._counts.most_common():
            if count:
                yield f"{status:14} {count:>12,}"
        unknown = self._total - len(self._latest)
        if unknown:
            yield f"{'not known yet':14} {unknown:>12,}"

    @contextmanager
    def shown(self) -> Iterator[None]:
        """A table that is kept up to date, if stderr is a terminal."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        with Live(get_renderable=self._table, console=Console(stderr=True), transient=True):
            yield

    def _table(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415

        table = Table(title="statuses")
        table.add_column("status")
        table.add_column("messages", justify="right")
        for line in self.lines():
            status, _, count = line.rpartition(" ")
            table.add_row(status.strip(), count)
        return table
