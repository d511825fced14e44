"""Paginator: reads row after row by offset, from a service whose page counts cannot be trusted.

It stops at an empty page, or at a page that says it is the last one. A short page
alone ends nothing. The caller decides what a row is and how a page is fetched.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from attrs import evolve

__all__ = ["Page", "Paginator"]

R = TypeVar("R")
P = TypeVar("P", bound="Page")

Fetch = Callable[[int, int], Awaitable[P]]
"""Returns a page of `limit` rows from `offset` on: fetch(offset, limit)."""

KeyOf = Callable[[R], Hashable]
"""Returns the identity of a row, or None for a row that has none."""

OnStale = Callable[[int, int], object]
"""Called where a walk ends because the service gives the same rows again and again. The arguments are
the number of consecutive rows that brought nothing new, and the offset."""

OnTotalDiffers = Callable[[int, int], object]
"""Called with how many rows there were, and how many the service counted."""

# A row is compared with this many rows before it. Their keys need a few megabytes.
_MAX_REMEMBERED = 50_000
# After this many pages without a new row, the walk ends. A service that ignores `offset` would
# otherwise give the same page for ever.
_MAX_STALE_PAGES = 10
# The same for pages of rows without an identity, each equal to the one before. Many such rows may
# be equal without being repeats, for example if only their statuses were asked for.
_MAX_EQUAL_PAGES = 1_000


class Page(Protocol):
    """The part of a page that the paginator reads. `size` is how many rows the service puts on one page."""

    @property
    def rows(self) -> tuple[Any, ...]: ...

    @property
    def size(self) -> int | None: ...

    @property
    def total(self) -> int | None: ...

    @property
    def more(self) -> bool | None: ...


class Paginator(Generic[R, P]):
    """Walks through each page of one look-up, or of several one after another as if they were one.

    `async for` yields rows, and `pages()` yields pages. A row that was on an earlier page is not
    given again. `offset` is the position, among the service's rows, of the first row that was not
    given yet. Use it to resume after a failure. If a look-up that has several parts is resumed, the
    earlier rows are read again and dropped, because nothing says how many rows each part has.
    """

    def __init__(
        self,
        parts: Iterable[Fetch[P]],
        *,
        page_size: int,
        start_offset: int = 0,
        key_of: KeyOf[R] | None = None,
        on_total_differs: OnTotalDiffers | None = None,
        on_stale: OnStale | None = None,
    ) -> None:
        self._parts = list(parts)
        self._page_size = page_size
        self._given = _Given(key_of)
        self._on_total_differs = on_total_differs
        self._on_stale = on_stale
        self.offset = start_offset

    async def __aiter__(self) -> AsyncIterator[R]:
        async for page, repeats in self._walk():
            for place, row in enumerate(page.rows):
                # Counted before the yield. A consumer that leaves its loop there has this row, and
                # this generator may never run again.
                self.offset += 1
                if place not in repeats:
                    self._given.append(row)
                    yield row

    async def pages(self) -> AsyncIterator[P]:
        """Yield page by page. All rows of a page count as given when it is yielded. Pages without rows are left out."""
        async for page, repeats in self._walk():
            self.offset += len(page.rows)
            for row in page.rows:
                self._given.append(row)
            if len(repeats) < len(page.rows):
                yield _without(page, repeats) if repeats else page

    async def _walk(self) -> AsyncIterator[tuple[P, Collection[int]]]:
        """Yield pages with rows, and the places of the rows that were given before."""
        # The service's own offset says where to resume only if there is just one part.
        alone = len(self._parts) == 1
        drop = 0 if alone else self.offset
        for fetch in self._parts:
            progress = _Progress(self.offset if alone else 0, self._page_size)
            while not progress.ended:
                page = await fetch(progress.offset, self._page_size)
                dropped = min(drop, len(page.rows))
                drop -= dropped
                rest = _without(page, range(dropped)) if dropped else page
                repeats = self._given.repeats_in(rest.rows)
                progress.record(page, len(repeats))
                if rest.rows:
                    yield rest, repeats
            if progress.stale and self._on_stale is not None:
                self._on_stale(progress.stale_rows, progress.offset)
            if self._on_total_differs is not None and progress.total_differs:
                self._on_total_differs(progress.offset - progress.repeats, progress.total or 0)


class _Progress:
    """How far one part was read, and whether more pages follow."""

    def __init__(self, offset: int, page_size: int) -> None:
        self._page_size = page_size
        self._start = self.offset = offset
        self._stale_pages = 0
        self._equal_pages = 0
        self._rows_before: tuple[Any, ...] = ()
        self.stale_rows = 0
        self.repeats = 0
        self.total: int | None = None
        self.ended = False

    def record(self, page: Page, repeats: int) -> None:
        """Note a page that was fetched, and how many of its rows were given before."""
        count = len(page.rows)
        self.offset += count
        self.repeats += repeats
        self._stale_pages = self._stale_pages + 1 if count == repeats else 0
        self._equal_pages = self._equal_pages + 1 if count and page.rows == self._rows_before else 0
        self._rows_before = page.rows
        self.stale_rows = self.stale_rows + count if self._stale_pages or self._equal_pages else 0
        # An empty page past the last row may say that the total is 0, so it must not replace an earlier
        # total. A negative total is not a count.
        if page.total is not None and page.total >= 0 and (count or self.total is None):
            self.total = page.total
        self.ended = not count or self.stale or not self._goes_on(page)

    @property
    def stale(self) -> bool:
        """Whether the last pages had nothing new."""
        # A total of 0 is no count if there are rows.
        beyond = bool(self.total) and self.offset > (self.total or 0)
        max_equal = _MAX_STALE_PAGES if beyond else _MAX_EQUAL_PAGES
        return self._stale_pages >= _MAX_STALE_PAGES or self._equal_pages >= max_equal

    @property
    def total_differs(self) -> bool:
        """Whether there were more or fewer rows than `total`. A walk that starts past the last row misses none."""
        if self.total is None or (self.offset == self._start and self.offset > self.total):
            return False
        return self.offset - self.repeats != self.total

    def _goes_on(self, page: Page) -> bool:
        if page.more or (self.total is not None and self.offset < self.total):
            return True
        if page.more is False:
            return False
        # This page does not say whether more follow. Only a short page that ends exactly at `total` is
        # taken for the last one. In all other cases an empty page must say so.
        if self.offset != self.total:
            return True
        # If the service caps pages below what was asked, its cap is in `size`, and a page of that size
        # is full, not short. Then reaching `total` proves nothing, as the count may be wrong.
        full = min(self._page_size, page.size) if page.size and page.size > 0 else self._page_size
        return len(page.rows) >= full


class _Given(Generic[R]):
    """Remembers the rows that were given last."""

    def __init__(self, key_of: KeyOf[R] | None) -> None:
        self._key_of = key_of
        self._keys: set[Hashable] = set()
        self._in_order: deque[Hashable] = deque()

    def append(self, row: R) -> None:
        """Remember a row, and forget the oldest one if there are too many."""
        key = None if self._key_of is None else self._key_of(row)
        if key is None or key in self._keys:
            return
        self._keys.add(key)
        self._in_order.append(key)
        if len(self._in_order) > _MAX_REMEMBERED:
            self._keys.discard(self._in_order.popleft())

    def repeats_in(self, rows: Iterable[R]) -> Collection[int]:
        """Return the places of the rows that were given before, and of those that are here twice.

        Two rows of one page are one row only if they are equal. If only their identity is the same, which of them is
        right is not known, and both are given.
        """
        if self._key_of is None:
            return ()
        repeats = set()
        on_this_page: dict[Hashable, list[R]] = {}
        for place, row in enumerate(rows):
            key = self._key_of(row)
            if key is None:
                continue
            same = on_this_page.setdefault(key, [])
            if key in self._keys or row in same:
                repeats.add(place)
            else:
                same.append(row)
        return repeats


def _without(page: P, places: Collection[int]) -> P:
    rest: Any = page
    kept = tuple(row for place, row in enumerate(page.rows) if place not in places)
    return evolve(rest, rows=kept)  # type: ignore[no-any-return]
