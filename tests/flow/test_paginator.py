"""The paginator: each row once and in order, from a service whose own counts lie, and from any place again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow import paginator as flow_paginator
from devino_async.flow.paginator import Paginator
from devino_async.protocol.detail_rows import DetailRow
from devino_async.protocol.details import DetailPage


class Down(Exception):
    """The scripted service fails."""


@frozen
class Lies:
    """What the service claims of a page beside its rows."""

    pages: int | None = None
    number: int | None = None
    total: int | None = None
    offset: int | None = None
    page_exists: bool | None = None
    more: str = "honest"
    size: str = "honest"


class Script:
    """A service that holds rows, puts at most `cap` of them on a page, and lies about all that may be lied about."""

    def __init__(
        self, rows: list[int], lies: Lies = Lies(), cap: int | None = None, fails_at: int | None = None
    ) -> None:
        self.rows = rows
        self.lies = lies
        self.cap = cap
        self.fails_at = fails_at
        self.asked: list[tuple[int, int]] = []

    async def fetch(self, offset: int, limit: int) -> DetailPage:
        if self.fails_at == len(self.asked):
            self.fails_at = None
            raise Down
        assert len(self.asked) < 2_000, "the walk does not end"
        self.asked.append((offset, limit))
        served = min(limit, self.cap or limit)
        rows = self.rows[offset : offset + served]
        more = {"honest": offset + served < len(self.rows), "true": True, "null": None}[self.lies.more]
        size = {
            "honest": served,
            "null": None if self.cap is None else served,
            "zero": 0 if self.cap is None else served,
        }[self.lies.size]
        return DetailPage(
            rows=tuple(DetailRow(task_id=row) for row in rows),
            offset=self.lies.offset,
            size=size,
            number=self.lies.number,
            page_exists=self.lies.page_exists,
            total=self.lies.total,
            pages=self.lies.pages,
            more=more,
        )


lies = st.builds(
    Lies,
    pages=st.none() | st.integers(-1, 3),
    number=st.none() | st.integers(-1, 3),
    total=st.none() | st.integers(-1, 30),
    offset=st.none() | st.integers(-1, 30),
    page_exists=st.none() | st.booleans(),
    more=st.sampled_from(["honest", "true", "null"]),
    size=st.sampled_from(["honest", "null", "zero"]),
)
Fetch = Callable[[int, int], Awaitable[DetailPage]]


def paginator(scripts: list[Any], size: int, start: int = 0, **more: Any) -> Paginator[DetailRow, DetailPage]:
    return Paginator([script.fetch for script in scripts], page_size=size, start_offset=start, **more)


def by_task(row: DetailRow) -> int | None:
    return row.task_id


def rows_of(lengths: list[int]) -> list[list[int]]:
    """Numbered rows in parts of these lengths."""
    numbered = iter(range(sum(lengths)))
    return [[next(numbered) for _ in range(length)] for length in lengths]


caps = st.none() | st.integers(1, 6)


@given(st.integers(0, 30), lies, st.integers(1, 12), caps)
def test_each_row_once(count: int, told: Lies, size: int, cap: int | None) -> None:
    """Whatever pages, number, total and offset claim, also with a cap on pages: every row once, in order, by offset."""

    async def scenario() -> None:
        script = Script(list(range(count)), told, cap)
        walking = paginator([script], size)
        assert [row.task_id async for row in walking] == list(range(count))
        assert walking.offset == count
        served = min(size, cap or size)
        offsets = [offset for offset, _ in script.asked]
        assert offsets == [min(index * served, count) for index in range(len(offsets))]
        assert all(limit == size for _, limit in script.asked)
        assert len(script.asked) <= -(-count // served) + 1

    asyncio.run(scenario())


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    lies,
    st.integers(1, 5),
    caps,
    st.integers(0, 40),
    st.booleans(),
)
def test_resume_from_any_offset(
    lengths: list[int], told: Lies, size: int, cap: int | None, start: int, by_page: bool
) -> None:
    """Begun at any offset, a look-up in one part or several gives exactly the rows from there on."""

    async def scenario() -> None:
        parts = rows_of(lengths)
        walking = paginator([Script(rows, told, cap) for rows in parts], size, start)
        if by_page:
            got = [row.task_id async for page in walking.pages() for row in page.rows]
        else:
            got = [row.task_id async for row in walking]
        assert got == list(range(start, sum(lengths)))
        assert walking.offset == max(start, sum(lengths))

    asyncio.run(scenario())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 5), st.integers(0, 12), st.booleans())
def test_resume_after_a_failure(lengths: list[int], size: int, fails_at: int, anew: bool) -> None:
    """After a page failed, the same paginator, or a new one from its offset, goes on: no row twice, none lost."""

    async def scenario() -> None:
        parts = rows_of(lengths)
        scripts = [Script(rows, fails_at=fails_at) for rows in parts]
        walking = paginator(scripts, size)
        got: list[int | None] = []
        for _ in range(len(parts) + 1):
            try:
                async for row in walking:
                    got.append(row.task_id)  # noqa: PERF401 - what came before the failure counts
                break
            except Down:
                assert walking.offset == len(got)
                if anew:
                    walking = paginator(scripts, size, walking.offset)
        assert got == list(range(sum(lengths)))

    asyncio.run(scenario())


async def test_leaving_in_the_middle() -> None:
    """A row that was handed out is not handed out again to a consumer that leaves the loop and comes back."""
    walking = paginator([Script(list(range(10)))], 4)
    async for row in walking:
        if row.task_id == 5:
            break
    assert walking.offset == 6
    assert [row.task_id async for row in walking] == [6, 7, 8, 9]


async def test_pages() -> None:
    """Pages are those of the service, whole. A look-up without rows gives no page."""
    walking = paginator([Script(list(range(10)))], 4)
    assert [len(page.rows) async for page in walking.pages()] == [4, 4, 2]
    assert [page async for page in paginator([Script([])], 4).pages()] == []


async def test_more_false_ends() -> None:
    """A full page that says there is no more is the last: no request is spent on an empty one."""
    script = Script(list(range(8)))
    assert len([row async for row in paginator([script], 4)]) == 8
    assert script.asked == [(0, 4), (4, 4)]


class Moving:
    """A service whose rows change while they are read: page after page as scripted, whatever the offset."""

    def __init__(self, *pages: list[int], total: int | None = None, more: bool | None = True) -> None:
        self.pages = [*pages]
        self.total = total
        self.more = more
        self.asked: list[int] = []

    async def fetch(self, offset: int, limit: int) -> DetailPage:
        self.asked.append(offset)
        rows = self.pages.pop(0) if self.pages else []
        told = tuple(DetailRow(task_id=row) for row in rows)
        return DetailPage(rows=told, total=self.total, more=self.more)


@pytest.mark.parametrize("by_page", [False, True])
async def test_no_row_twice(by_page: bool) -> None:
    """A row that an earlier page had is not given again, but `offset` counts it as the service does."""
    service = Moving([1, 2, 3], [3, 4, 5], [4, 5], [5, 6])
    walking = paginator([service], 3, key_of=by_task)
    if by_page:
        pages = [[row.task_id for row in page.rows] async for page in walking.pages()]
        assert pages == [[1, 2, 3], [4, 5], [6]]
    else:
        assert [row.task_id async for row in walking] == [1, 2, 3, 4, 5, 6]
    assert walking.offset == 10
    assert service.asked == [0, 3, 6, 8, 10]


async def test_no_row_twice_after_leaving() -> None:
    """What was given is remembered by a consumer that leaves the loop and comes back, and what was not given is not."""
    walking = paginator([Moving([1, 2, 3], [2, 3, 4])], 3, key_of=by_task)
    async for row in walking:
        if row.task_id == 2:
            break
    assert [row.task_id async for row in walking] == [3, 4]


@pytest.mark.parametrize("by_page", [False, True])
async def test_rows_of_one_page(by_page: bool) -> None:
    """A row that one page has twice is given once. Rows with one id that differ are two, and those without are many."""
    heard: list[Any] = []
    walking = paginator([Moving([1, 1, 2], [3, 2, 3], total=3)], 3, key_of=by_task, on_total_differs=heard.append)
    if by_page:
        assert [[row.task_id for row in page.rows] async for page in walking.pages()] == [[1, 2], [3]]
    else:
        assert [row.task_id async for row in walking] == [1, 2, 3]
    assert (walking.offset, heard) == (6, [])

    async def differing(offset: int, limit: int) -> DetailPage:
        rows = (DetailRow(task_id=1, text="a"), DetailRow(task_id=1, text="b"), DetailRow(task_id=1, text="a"))
        return DetailPage(rows=() if offset else rows)

    differ: Paginator[DetailRow, DetailPage] = Paginator([differing], page_size=3, key_of=by_task)
    assert [row.text async for row in differ] == ["a", "b"]
    assert len([row async for row in paginator([Moving([1, 1], [1])], 2, key_of=lambda _: None)]) == 3


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is compared with the last ones only, so that a walk of any length keeps a few megabytes."""
    monkeypatch.setattr(flow_paginator, "_MAX_REMEMBERED", 4)
    walking = paginator([Moving([1, 2, 3], [4, 5, 6], [1, 5])], 3, key_of=by_task)
    assert [row.task_id async for row in walking] == [1, 2, 3, 4, 5, 6, 1]


async def test_a_service_that_ignores_the_offset() -> None:
    """A service that gives the same page for ever is left after some pages, and its rows are given once."""
    heard: list[Any] = []
    service = Moving(*[[1, 2]] * 1_000)
    walking = paginator([service], 2, key_of=by_task, on_stale=lambda *told: heard.append(told))
    assert [row.task_id async for row in walking] == [1, 2]
    assert len(service.asked) == 11
    assert heard == [(20, 22)]


@pytest.mark.parametrize(("total", "pages"), [(None, 1_001), (0, 1_001), (-1, 1_001), (2, 11), (40, 21)])
async def test_rows_without_ids_from_a_service_that_ignores_the_offset(total: int | None, pages: int) -> None:
    """Equal pages of rows without ids end too, and it is told. Only beyond the total are they sure to be repeats."""
    heard: list[Any] = []
    service = Moving(*[[1, 2]] * 5_000, total=total)
    walking = paginator([service], 2, key_of=lambda _: None, on_stale=lambda *told: heard.append(told))
    assert len([row async for row in walking]) == 2 * pages
    assert heard == [(2 * pages - 2, 2 * pages)]


async def test_equal_rows_without_ids_are_rows() -> None:
    """Rows without ids may all look the same, as those of a query for nothing but statuses do."""
    heard: list[Any] = []
    walking = paginator([Moving(*[[1, 1]] * 900)], 2, key_of=lambda _: None, on_stale=lambda *told: heard.append(told))
    assert len([row async for row in walking]) == 1_800
    assert heard == []


async def test_short_pages_while_there_are_more() -> None:
    """A short page ends nothing while `more` is true or `total` is not reached."""
    assert len([row async for row in paginator([Moving([1], [2, 3], [4])], 5)]) == 4
    silent = Moving([1], [2, 3], [4], total=4, more=None)
    assert [row.task_id async for row in paginator([silent], 5)] == [1, 2, 3, 4]
    assert silent.asked == [0, 1, 3]


@pytest.mark.parametrize(
    ("service", "start", "told"),
    [
        (Moving([1, 2], [3], total=3), 0, []),
        (Moving([1, 2], [3], total=5), 0, [(3, 5)]),
        (Moving([1, 2], [2, 3], total=4), 0, [(3, 4)]),
        (Moving([1, 2], [3], total=2), 0, [(3, 2)]),
        (Moving([], total=2), 0, [(0, 2)]),
        (Moving([7, 8], total=9), 7, []),
        (Moving([7, 8], total=12), 7, [(9, 12)]),
        (Moving([], total=2), 9, []),
        (Moving([1], total=None), 0, []),
        (Moving([1], total=-1), 0, []),
    ],
)
async def test_other_than_total(service: Moving, start: int, told: list[tuple[int, int]]) -> None:
    """At the end, other than `total` different rows are told with both counts, those before the start included."""
    heard: list[tuple[int, int]] = []
    walking = paginator([service], 2, start, key_of=by_task, on_total_differs=lambda *counts: heard.append(counts))
    async for _ in walking:
        pass
    assert heard == told


async def test_total_is_not_judged_before_the_end() -> None:
    """A consumer that leaves early has not missed the rows that it did not want."""
    heard: list[Any] = []
    walking = paginator([Moving([1, 2], [3], total=9)], 2, on_total_differs=lambda *counts: heard.append(counts))
    async for row in walking:
        if row.task_id == 2:
            break
    assert heard == []


async def test_the_pages_own_contradiction() -> None:
    """Offset 1000 of total 1000 with more true and pages 100, as in the page's example, ends with the empty page."""
    script = Script(list(range(1_000)), Lies(pages=100, number=21, total=1_000, page_exists=True, more="true"))
    assert len([row async for row in paginator([script], 50)]) == 1_000
    assert script.asked[-1] == (1_000, 50)


async def test_nothing_is_asked_before_it_is_needed() -> None:
    """Making a paginator asks nothing, and the next page is asked for only when its first row is wanted."""
    scripts = [Script(list(range(4))), Script([4])]
    walking = paginator(scripts, 2)
    assert scripts[0].asked == []
    iterator = aiter(walking)
    await anext(iterator)
    await anext(iterator)
    assert scripts[0].asked == [(0, 2)]
    assert scripts[1].asked == []


@pytest.mark.parametrize("parts", [[], [[]], [[], [], []]])
async def test_no_rows(parts: list[list[Any]]) -> None:
    """No parts, or parts without rows, give nothing and end."""
    assert [row async for row in paginator([Script(rows) for rows in parts], 5)] == []


@pytest.mark.parametrize("size", [None, 2, 5, 0, -1])
@pytest.mark.parametrize("total", [None, 0, -1, 2])
async def test_a_short_page_alone_ends_nothing(total: int | None, size: int | None) -> None:
    """Where a page does not say whether more follow, only an empty page ends the walk, or a short one at `total`."""
    service = Moving([1, 2], [3], [4, 5], total=total, more=None)
    fetch = service.fetch

    async def sized(offset: int, limit: int) -> DetailPage:
        return evolve(await fetch(offset, limit), size=size)

    walking: Paginator[DetailRow, DetailPage] = Paginator([sized], page_size=5)
    found = [row.task_id async for row in walking]
    if total == 2 and size != 2:
        assert (found, service.asked) == ([1, 2], [0])
    else:
        assert (found, service.asked) == ([1, 2, 3, 4, 5], [0, 2, 3, 5])
