"""Paginator: row after row by offset, from a service whose page counts cannot be trusted.

It stops at an empty page, a short page, or a page that says there is no more. What a row is, and
how a page is fetched, is the caller's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from attrs import evolve

__all__ = ["Page", "Paginator"]

R = TypeVar("R")
P = TypeVar("P", bound="Page")

Fetch = Callable[[int, int], Awaitable[P]]
"""Gives the page of `limit` rows from `offset` on: fetch(offset, limit)."""


class Page(Protocol):
    """What the paginator has to know of a page. `size` is how many rows the service puts on one."""

    @property
    def rows(self) -> tuple[Any, ...]: ...

    @property
    def size(self) -> int | None: ...

    @property
    def more(self) -> bool | None: ...


class Paginator(Generic[R, P]):
    """Walks the pages of one look-up, or of several one after another as if they were one.

    `async for` gives rows, and `pages()` gives pages. `offset` is the number of the first row that
    was not given yet, to resume from after a failure. Resuming a look-up in several parts reads the
    earlier rows again and drops them, as nothing says how many rows each part has.
    """

    def __init__(self, parts: Iterable[Fetch[P]], *, page_size: int, start_offset: int = 0) -> None:
        self._parts = list(parts)
        self._page_size = page_size
        self.offset = start_offset

    async def __aiter__(self) -> AsyncIterator[R]:
        async for page in self._walk():
            for row in page.rows:
                # Counted before the yield: a consumer that stops there has this row, and may never
                # come back here.
                self.offset += 1
                yield row

    async def pages(self) -> AsyncIterator[P]:
        """Page by page. The rows of a page count as given with it. A look-up without rows gives no page."""
        async for page in self._walk():
            self.offset += len(page.rows)
            yield page

    async def _walk(self) -> AsyncIterator[P]:
        # Only where there is one part does the service's own offset say where to resume.
        alone = len(self._parts) == 1
        drop = 0 if alone else self.offset
        for fetch in self._parts:
            async for page in self._pages_of(fetch, self.offset if alone else 0):
                dropped = min(drop, len(page.rows))
                drop -= dropped
                if dropped < len(page.rows):
                    yield _without(page, dropped) if dropped else page

    async def _pages_of(self, fetch: Fetch[P], offset: int) -> AsyncIterator[P]:
        while True:
            page = await fetch(offset, self._page_size)
            count = len(page.rows)
            offset += count
            yield page
            # A service that caps pages below what was asked says so in `size`. Such a page is full,
            # not short.
            full = min(self._page_size, page.size) if page.size and page.size > 0 else self._page_size
            if count < full or page.more is False:
                return


def _without(page: P, dropped: int) -> P:
    rest: Any = page
    return evolve(rest, rows=page.rows[dropped:])  # type: ignore[no-any-return]
