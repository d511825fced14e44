"""Sources that give their items in lists: no item is lost, repeated or kept, whatever the lists and the reads."""

from collections.abc import AsyncIterator, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.reading import reader_of
from devino_async.flow.steps import Pacing, Turns


class Lists:
    def __init__(self, lists: list[list[int]]) -> None:
        self._lists = lists

    async def runs(self) -> AsyncIterator[list[int]]:
        for each in self._lists:
            yield [*each]

    async def __aiter__(self) -> AsyncIterator[int]:
        for each in self._lists:
            for item in each:
                yield item


def encode(items: Iterable[int]) -> Iterator[str]:
    for item in items:
        if item < 0:
            raise ValueError("negative")
        yield str(item)


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=5), st.lists(st.integers(1, 7), min_size=30))
async def test_any_lists(lists: list[list[int]], counts: list[int]) -> None:
    """Every item comes once, in order, and never more at a time than asked for. Lists may be empty."""
    reader = reader_of(Lists(lists), encode, Pacing(Turns()))
    found: list[int] = []
    for count in counts:
        more = await reader.read(count)
        run = reader.take()
        assert len(run.items) <= count
        assert run.joined == ",".join(map(str, run.items)).encode()
        found += run.items
        if not more:
            break
    assert found == [item for each in lists for item in each]


async def test_an_item_that_cannot_be_encoded() -> None:
    """Items before one that cannot be encoded are read, and the error is raised."""
    reader = reader_of(Lists([[1, 2, -3, 4]]), encode, Pacing(Turns()))
    with pytest.raises(ValueError, match="negative"):
        await reader.read(10)
    assert reader.take().items == [1, 2]


async def test_stop() -> None:
    """After a stop nothing more is read, not even what is at hand."""
    reader = reader_of(Lists([[1, 2, 3], [4]]), encode, Pacing(Turns()))
    assert await reader.read(2)
    reader.stop()
    assert not await reader.read(2)
    assert reader.take().items == [1, 2]
