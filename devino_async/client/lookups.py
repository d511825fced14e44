"""LookUps: calls that only ask. They may be repeated, and given up at any time.

Sends are in dispatch.py. The modules of protocol/ decide what is asked and what an answer means.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from datetime import tzinfo
from functools import partial

from attrs import evolve

from ..checks import require_number
from ..errors import ClientClosed, InvalidQuery, Reason
from ..events import Events, ItemsUnread, TotalDiffers
from ..exchange import Answer, Call, Transport
from ..flow.chunking import Chunk, Chunks
from ..flow.ownership import Owner
from ..flow.paginator import Paginator
from ..flow.pipeline import Pipeline
from ..flow.steps import Pacing, Turns, in_steps
from ..protocol import details, statistics, statuses
from ..protocol.detail_rows import DetailRow
from ..protocol.details import DetailPage, DetailQuery
from ..protocol.statistics import Statistics
from ..protocol.statuses import MessageStatus
from ..transport.limits import Limits

__all__ = ["PROBE", "DetailPaginator", "LookUps"]

_log = logging.getLogger("devino_async")

# The breaker's question whether the service is back: a look-up, which is free, of an id that no message has.
PROBE = evolve(statuses.call(["0"]), probe=True)
_PAGE_SIZE = 500


class DetailPaginator(Paginator[DetailRow, DetailPage]):
    """Detail rows with `async for`, or DetailPages with `pages()`. No row is given twice. `offset` is where to resume.

    A row is identified by its message id and segment id, and compared with the 50,000 rows before it. A walk that ends
    with more or fewer rows than `total` emits TotalDiffers. If the service ignores the offset, ten pages without a new
    row end the walk. If the rows have no ids, that takes 1,000 equal pages, or ten beyond the `total`. After such
    an end, ItemsUnread counts the rows of those pages, and a log line says at which offset the walk ended.
    """


class LookUps:
    """Look-ups, with a few calls in flight. Each raises CallFailed, or ClientClosed where closing cuts it short."""

    def __init__(
        self,
        transport: Transport,
        owner: Owner,
        turns: Turns,
        limits: Limits,
        zone: tzinfo | None,
        *,
        events: Events | None = None,
    ) -> None:
        self._transport = transport
        self._owner = owner
        self._turns = turns
        self._limits = limits
        self._zone = zone
        self._events = events or Events()
        self._closing = False

    def close(self) -> None:
        """Begin nothing more."""
        self._closing = True

    async def ask(self, call: Call) -> Answer:
        """Return the answer to one call. Cancelling the caller cancels it."""
        self._check()
        with self._closing_raises_client_closed():
            return await self._owner.run(self._transport.exchange(call))

    async def statuses(
        self, ids: Iterable[str | int] | AsyncIterable[str | int]
    ) -> AsyncGenerator[MessageStatus, None]:
        """Look up the statuses of any number of messages, in the order of the ids."""
        self._check()
        if isinstance(ids, str | bytes):
            raise InvalidQuery([Reason("invalid", "ids", f"must be an iterable of ids, not {type(ids).__name__}")])
        chunks = Chunks(
            ids,
            encode=partial(map, statuses.checked),
            max_count=statuses.MAX_IDS,
            max_bytes=self._limits.batch_bytes,
            pacing=Pacing(self._turns),
        )
        pipeline: Pipeline[str | int, list[MessageStatus]] = Pipeline(
            chunks, self._look_up, in_flight=self._limits.in_flight, start=self._owner.start
        )
        try:
            with self._closing_raises_client_closed():
                async with aclosing(pipeline.results()) as answers:
                    async for found in answers:
                        for each in found:
                            yield each
        finally:
            # Tasks are left only if the consumer has gone. A look-up may be cut off, as it changes
            # nothing at the service.
            for task in pipeline.left_tasks:
                task.cancel()

    def details(self, query: DetailQuery, page_size: int, start_offset: int) -> DetailPaginator:
        """Return the rows that match, fetched as they are asked for."""
        if not isinstance(query, DetailQuery):
            raise InvalidQuery([Reason("invalid", "query", f"must be a DetailQuery, not {type(query).__name__}")])
        require_number("page_size", page_size, minimum=1, whole=True)
        require_number("start_offset", start_offset, whole=True)

        # This raises InvalidQuery here, where the look-up is made, and not at the first page.
        details.written_dates(query, self._zone)

        def part(narrowed: DetailQuery) -> Callable[[int, int], Awaitable[DetailPage]]:
            async def fetch(offset: int, limit: int) -> DetailPage:
                answer = await self.ask(details.call(narrowed, offset=offset, limit=limit, zone=self._zone))
                page = await in_steps(details.read(answer, zone=self._zone), self._turns)
                self._report_unread(details.ENDPOINT.operation, page.unread)
                return page

            return fetch

        def on_total_differs(rows: int, total: int) -> None:
            self._events.emit(TotalDiffers(operation=details.ENDPOINT.operation, rows=rows, total=total))

        def on_stale(rows: int, offset: int) -> None:
            _log.warning(
                "details: the service gave the same rows again and again, so the look-up ended at offset %d", offset
            )
            self._report_unread(details.ENDPOINT.operation, rows)

        return DetailPaginator(
            map(part, details.split(query, page_size)),
            page_size=page_size,
            start_offset=start_offset,
            key_of=partial(details.key_of, query),
            on_total_differs=on_total_differs,
            on_stale=on_stale,
        )

    @property
    def has_zone(self) -> bool:
        """Whether the zone of the service's dates is known, which makes them aware datetimes."""
        return self._zone is not None

    def pages(self, query: DetailQuery) -> AsyncIterator[DetailPage]:
        """Yield all rows that match, page by page."""
        return self.details(query, _PAGE_SIZE, 0).pages()

    async def statistics(self, call: Call) -> Statistics:
        """Return the counts that the call asks for."""
        found = statistics.read(await self.ask(call), zone=self._zone)
        self._report_unread(call.operation, found.unread)
        return found

    def _report_unread(self, operation: str, count: int) -> None:
        if count:
            self._events.emit(ItemsUnread(operation=operation, count=count))

    def _check(self) -> None:
        if self._closing:
            raise ClientClosed("the client is closed")
        self._owner.check_home()

    async def _look_up(self, chunk: Chunk[str | int]) -> list[MessageStatus]:
        ids = [str(each) for each in chunk.items]
        answer = await self._transport.exchange(statuses.call(ids))
        found, unread = statuses.read(answer, ids, zone=self._zone)
        self._report_unread(statuses.ENDPOINT.operation, unread)
        return found

    @contextmanager
    def _closing_raises_client_closed(self) -> Iterator[None]:
        """Raise ClientClosed in a look-up that closing has cancelled, and leave other errors as they are."""
        try:
            yield
        except asyncio.CancelledError:
            # Closing the client cancels the exchange, and the program may cancel the caller's task.
            # `cancelling` counts only the latter, which must stay a CancelledError.
            task = asyncio.current_task()
            if not self._closing or (task is not None and task.cancelling()):
                raise
        else:
            return
        # Its context is the CancelledError, which the pool stripped of its frames.
        raise ClientClosed("the client was closed while the call was under way")
