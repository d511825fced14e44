"""`devino send --track`: counts of the statuses of accepted messages, until all are final.

The look-ups are the client's. DeliveryTracker knows when a status is final.
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import devino_async

from .console import on_signal, printable, say
from .shortfalls import Shortfalls

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["follow"]

_PAUSE = 1.0
_MAX_PAUSE = 30.0
_SHOWN_ERRORS = 5


async def follow(
    devino: "devino_async.DevinoClient", message_ids: list[str], seconds: float, shortfalls: Shortfalls
) -> bool:
    """Look up statuses until all are final, time runs out or Ctrl-C is pressed. Return whether all could be looked up.

    `shortfalls` hears the events of this client. A row that cannot be read leaves its message without a status, as if
    it could not be looked up. Raises CallFailed if the credentials are refused, or if no look-up is answered.
    """
    counts = _Counts(len(message_ids))
    failures: dict[str, devino_async.CallFailed] = {}
    # Messages whose status was missing from an answer with an unreadable row.
    unreadable: set[str] = set()

    async def look_up(ids: list[str]) -> "Mapping[str, devino_async.MessageStatus]":
        unread_before = shortfalls.unread
        found = await devino.statuses(ids)
        counts.note(found)
        missing = set(ids).difference(found) if shortfalls.unread > unread_before else ()
        unreadable.difference_update(ids)
        unreadable.update(missing)
        for each in ids:
            failures.pop(each, None)
        return found

    def on_failure(ids: list[str], error: "devino_async.CallFailed") -> None:
        failures.update(dict.fromkeys(ids, error))

    tracker = devino_async.DeliveryTracker(devino_async.MemoryStore(max_messages=max(len(message_ids), 1)))
    polling = asyncio.create_task(
        tracker.poll_until_final(
            message_ids, look_up, pause=_PAUSE, max_pause=_MAX_PAUSE, deadline=seconds, on_failure=on_failure
        )
    )
    on_signal(signal.SIGINT, polling.cancel)
    with counts.shown():
        await asyncio.wait({polling})
    for line in counts.lines():
        say(line)
    shortfalls.tell()
    if polling.cancelled():
        say("interrupted; the messages are sent, and you can look up their statuses later")
        return True
    for error, count in Counter(map(str, failures.values())).most_common(_SHOWN_ERRORS):
        say(f"the statuses of {count:,} messages could not be looked up: {error}")
    left = [each for each in polling.result().values() if not each.final]
    if left:
        say(f"{len(left):,} are not final yet; ask again later with `devino status`")
    return not any(each.message_id in failures or each.message_id in unreadable for each in left)


class _Counts:
    """The number of messages in each status."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._latest: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def note(self, found: "Mapping[str, devino_async.MessageStatus]") -> None:
        """Count new statuses, each of which replaces the earlier one of its message."""
        for each in found.values():
            before = self._latest.get(each.message_id)
            if before is not None:
                self._counts[before] -= 1
            self._latest[each.message_id] = printable(each.status)
            self._counts[printable(each.status)] += 1

    def lines(self) -> Iterator[str]:
        """Yield a line for each status, the most frequent first."""
        for status, count in self._counts.most_common():
            if count:
                yield f"{status:14} {count:>12,}"
        unknown = self._total - len(self._latest)
        if unknown:
            yield f"{'not known yet':14} {unknown:>12,}"

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show a table that is kept up to date, if stderr is a terminal."""
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
