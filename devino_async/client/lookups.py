"""LookUps: questions go down the street and answers come back. They may be repeated, and nobody misses one that is cut.

Sends are dispatch.py's; what is asked and what an answer means, the chapters'.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from datetime import tzinfo
from functools import partial

from ..errors import ClientClosed, ConfigurationError, InvalidQuery, Reason
from ..exchange import Answer, Call, Transport
from ..flow.chunking import Chunk, Chunks
from ..flow.ownership import Owner
from ..flow.paginator import Paginator
from ..flow.pipeline import Pipeline
from ..flow.steps import Turns, in_steps
from ..protocol import details, statuses
from ..protocol.detail_rows import DetailRow
from ..protocol.details import DetailPage, DetailQuery
from ..protocol.statuses import MessageStatus
from ..transport.limits import Limits

__all__ = ["DetailPaginator", "LookUps"]


class DetailPaginator(Paginator[DetailRow, DetailPage]):
    """Detail rows with `async for`, or DetailPages with `pages()`; `offset` is where to resume."""


class LookUps:
    """Asks, a few questions at once. Every call may raise CallFailed, and ClientClosed when closing cuts it short."""

    def __init__(self, transport: Transport, owner: Owner, limits: Limits, zone: tzinfo | None, turns: Turns) -> None:
        self._transport = transport
        self._owner = owner
        self._limits = limits
        self._zone = zone
        self._turns = turns
        self._closing = False

    def close(self) -> None:
        """Begin nothing more."""
        self._closing = True

    async def ask(self, call: Call) -> Answer:
        """The answer to one call; cancelling the caller cancels it."""
        self._check()
        with self._closing_told():
            return await self._owner.alone(self._transport.exchange(call))

    async def statuses(
        self, ids: Iterable[str | int] | AsyncIterable[str | int]
    ) -> AsyncGenerator[MessageStatus, None]:
        """The statuses of any number of messages, in the order of the ids."""
        self._check()
        if isinstance(ids, str | bytes):
            raise InvalidQuery([Reason("invalid", "ids", "must be a list or another iterable of ids, not one text")])
        encode = partial(map, statuses.checked)
        chunks = Chunks(
            ids, encode=encode, max_count=statuses.MAX_IDS, max_bytes=self._limits.batch_bytes, turns=self._turns
        )
        pipeline: Pipeline[str | int, list[MessageStatus]] = Pipeline(
            chunks, self._look_up, window=self._limits.in_flight, start=self._owner.start
        )
        try:
            with self._closing_told():
                async with aclosing(pipeline.results()) as answers:
                    async for found in answers:
                        for each in found:
                            yield each
        finally:
            for task in pipeline.left_tasks:
                task.cancel()

    def details(self, query: DetailQuery, page_size: int, start_offset: int) -> DetailPaginator:
        """The rows that match, fetched as they are asked for."""
        if not isinstance(query, DetailQuery):
            raise InvalidQuery([Reason("invalid", "query", f"must be a DetailQuery, not {type(query).__name__}")])
        if type(page_size) is not int or type(start_offset) is not int or page_size < 1 or start_offset < 0:
            raise ConfigurationError("page_size must be a whole number above 0, and start_offset one of 0 or more")

        def part(narrowed: DetailQuery) -> Callable[[int, int], Awaitable[DetailPage]]:
            async def fetch(offset: int, limit: int) -> DetailPage:
                answer = await self.ask(details.call(narrowed, offset=offset, limit=limit, zone=self._zone))
                return await in_steps(details.read(answer, zone=self._zone), self._turns)

            return fetch

        parts = map(part, details.split(query, page_size))
        return DetailPaginator(parts, page_size=page_size, start_offset=start_offset)

    def _check(self) -> None:
        if self._closing:
            raise ClientClosed("the client is closed")
        self._owner.check_home()

    async def _look_up(self, chunk: Chunk[str | int]) -> list[MessageStatus]:
        ids = [str(each) for each in chunk.items]
        answer = await self._transport.exchange(statuses.call(ids))
        return statuses.read(answer, ids, zone=self._zone)

    @contextmanager
    def _closing_told(self) -> Iterator[None]:
        """A look-up that was cut short by closing ends as ClientClosed; one that its caller cancelled as cancelled."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closing or (task is not None and task.cancelling()):
                raise
        else:
            return
        raise ClientClosed("the client was closed while the call was under way")
