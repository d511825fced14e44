"""Chunking: any stream of items, read lazily, becomes chunks bounded by count and by bytes.

What the items are and how they are encoded is the caller's; how many chunks travel at once is pipeline.py's.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Generic, TypeVar

from attrs import field, frozen

__all__ = ["Chunk", "Chunks"]

T = TypeVar("T")

_ITEMS_A_STEP = 256


@frozen(repr=False)
class Chunk(Generic[T]):
    """Items with their encoded form: `slices` are runs of encoded items, joined by commas within a run."""

    items: list[T]
    slices: list[bytes] = field(factory=list)

    def __repr__(self) -> str:
        return f"Chunk(<{len(self.items)} items>)"


class Chunks(Generic[T]):
    """Reads a source into chunks of at most `max_count` items and about `max_bytes` bytes, in their order.

    An item that is larger than `max_bytes` travels alone. When the source or `encode` raises, what was read before
    still comes as a chunk; then the error is raised. The event loop gets a turn after every few hundred items.
    """

    def __init__(
        self, source: Iterable[T] | AsyncIterable[T], *, encode: Callable[[T], bytes], max_count: int, max_bytes: int
    ) -> None:
        self._source = source
        self._encode = encode
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._items: list[T] = []
        self._run: list[bytes] = []
        self._slices: list[bytes] = []
        self._size = 0

    def take_left(self) -> list[T]:
        """Items that were read but are in no chunk yet; for whoever stops in the middle."""
        left, self._items = self._items, []
        return left

    async def __aiter__(self) -> AsyncIterator[Chunk[T]]:
        failure: Exception | None = None
        stream = self._read_async() if isinstance(self._source, AsyncIterable) else self._read_sync(self._source)
        try:
            async for chunk in stream:
                yield chunk
        except Exception as error:  # noqa: BLE001 - raised again below, after what was read before it
            failure = error
        if self._items:
            yield self._close()
        if failure is not None:
            raise failure

    async def _read_sync(self, source: Iterable[T]) -> AsyncIterator[Chunk[T]]:
        for count, item in enumerate(source, 1):
            full = self._add(item)
            if full is not None:
                yield full
            elif count % _ITEMS_A_STEP == 0:
                await asyncio.sleep(0)

    async def _read_async(self) -> AsyncIterator[Chunk[T]]:
        count = 0
        async for item in self._source:  # type: ignore[union-attr]
            count += 1
            full = self._add(item)
            if full is not None:
                yield full
            elif count % _ITEMS_A_STEP == 0:
                await asyncio.sleep(0)

    def _add(self, item: T) -> Chunk[T] | None:
        """Take one item; gives the chunk that became full by it, which may be the one before it."""
        encoded = self._encode(item)
        full: Chunk[T] | None = None
        if self._items and self._size + len(encoded) + 1 > self._max_bytes:
            full = self._close()
        self._items.append(item)
        self._run.append(encoded)
        self._size += len(encoded) + 1
        if len(self._run) == _ITEMS_A_STEP:
            self._close_run()
        if full is None and len(self._items) == self._max_count:
            return self._close()
        return full

    def _close_run(self) -> None:
        if self._run:
            self._slices.append(b",".join(self._run))
            self._run = []

    def _close(self) -> Chunk[T]:
        self._close_run()
        chunk = Chunk(self._items, self._slices)
        self._items, self._slices, self._size = [], [], 0
        return chunk
