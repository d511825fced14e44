"""`devino campaign show --statuses`: what became of the accepted messages of a campaign, as counts by status.

Statuses come from the service, from a DeliveryTracker's database, or from both. Only counts are kept in memory.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import click
from attrs import define, field

import devino_async
from devino_async.campaigns import State
from devino_async.campaigns.troubles import has_record

from .console import exit_status_of, on_signal, printable, say
from .continuing import address_of
from .found_campaigns import Found
from .options import connection_of
from .progress import counting
from .shortfalls import Shortfalls

__all__ = ["Asking", "Statuses"]

_IDS_AT_ONCE = 500
_FINAL = frozenset({"DELIVERED", "EXPIRED", "UNDELIVERABLE", "REJECTED", "CLICKED", "UNKNOWN"})


@define
class Statuses:
    """How many of the accepted messages have each status. `accepted` is how many there are."""

    accepted: int
    sources: tuple[str, ...]
    asked: int = 0
    counts: Counter[str] = field(factory=Counter)
    conflicting: int = 0
    # Whether all were asked about. If not, those without a status may still get one, and count as not looked at.
    complete: bool = False
    exit_status: int = 0

    @property
    def not_known(self) -> int:
        """How many were asked about but are not known."""
        return max(self.asked - self.counts.total(), 0) if self.complete else 0

    def lines(self) -> Iterator[str]:
        """Yield the counts for a person, the most frequent first."""
        yield f"Statuses of the accepted messages, from {' and '.join(self.sources)}:"
        for status, count in self.counts.most_common():
            yield f"  {printable(status):14}{count:>12,}"
        if self.not_known:
            yield f"  {'not known':14}{self.not_known:>12,}"
        if self.conflicting:
            yield f"{self.conflicting:,} of them have two final statuses. The earlier one is counted."
        waiting = sum(count for status, count in self.counts.items() if status not in _FINAL)
        if waiting:
            yield f"Not final yet: {waiting:,}. Ask again later."
        if not self.complete:
            yield f"Stopped early. {self.counts.total():,} of {self.accepted:,} messages were looked at."

    def data(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "counts": dict(self.counts.most_common()),
            "not_known": self.not_known,
            "conflicting": self.conflicting,
            "complete": self.complete,
        }


class Asking:
    """Where statuses are asked for. Making it checks the credentials and the database."""

    def __init__(self, *, service: bool, deliveries: Path | None, options: dict[str, Any]) -> None:
        base_url = options["base_url"]
        given = connection_of(options)
        self._shortfalls = Shortfalls()
        self._address = address_of(base_url)
        self._client: devino_async.DevinoClient | None = None
        if service:
            self._client = devino_async.DevinoClient(**given, on_event=self._shortfalls)
        self._deliveries = deliveries
        # An empty file would become a database.
        if deliveries is not None and not has_record(str(deliveries)):
            raise click.UsageError(f"there is no database {deliveries}. `devino listen --database` creates one")

    async def ask(self, found: Found) -> Statuses:
        """Ask for the statuses of all accepted messages. Ctrl-C ends it, and what is known by then is returned."""
        if self._client is not None and self._address != found.state.address:
            raise click.UsageError(
                f"the campaign was sent to {found.state.address}, and only it knows the statuses, but this would ask "
                f"{self._address}. Name the service with --base-url"
            )
        sources = [str(self._deliveries)] if self._deliveries is not None else []
        if self._client is not None:
            sources.append("the service")
        statuses = Statuses(found.state.accepted, tuple(sources))
        work = asyncio.create_task(self._count(found, statuses))
        on_signal(signal.SIGINT, work.cancel)
        await asyncio.wait({work})
        if work.cancelled():
            statuses.exit_status = exit_status_of(signal.SIGINT)
        else:
            work.result()
            statuses.complete = True
        self._shortfalls.tell()
        return statuses

    async def _count(self, found: Found, statuses: Statuses) -> None:
        async with AsyncExitStack() as stack:
            store = None
            if self._deliveries is not None:
                store = devino_async.SQLiteStore(self._deliveries)
                stack.push_async_callback(store.aclose)
            advance = stack.enter_context(counting("looking up", found.state.accepted))
            left = await stack.enter_async_context(aclosing(self._left(found, statuses, store, advance)))
            if self._client is None:
                async for _ in left:
                    pass
                return
            devino = await stack.enter_async_context(self._client)
            answers = await stack.enter_async_context(aclosing(devino.iter_statuses(left)))
            try:
                async for each in answers:
                    statuses.counts[str(each.status)] += 1
            except devino_async.CallFailed:
                for line in statuses.lines():
                    say(line)
                raise

    async def _left(
        self, found: Found, statuses: Statuses, store: "devino_async.SQLiteStore | None", advance: Any
    ) -> AsyncGenerator[str, None]:
        """Yield the ids that the service must be asked about. Final statuses from the database are counted."""
        async for ids in _accepted(found):
            deliveries = {} if store is None else await store.get(ids)
            for each in ids:
                statuses.asked += 1
                advance()
                known = deliveries.get(each)
                if known is not None and known.status is not None and (known.final or self._client is None):
                    statuses.counts[str(known.status)] += 1
                    statuses.conflicting += bool(known.conflicting)
                else:
                    yield each


async def _accepted(found: Found) -> AsyncIterator[list[str]]:
    """Yield the ids of the accepted messages, some at a time."""
    ids: list[str] = []
    async for outcome in found.journal.outcomes(found.state.name):
        if outcome.state == State.ACCEPTED and outcome.message_id is not None:
            ids.append(outcome.message_id)
            if len(ids) == _IDS_AT_ONCE:
                yield ids
                ids = []
    if ids:
        yield ids
