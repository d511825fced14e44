"""Chunking: any stream of items, read lazily, becomes chunks bounded by count and by bytes.

What the items are and how they are encoded is the caller's; how many chunks travel at once is pipeline.py's.
"""

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from .steps import LONGEST_STEP, Turns

__all__ = ["Chunk", "Chunks"]

T = TypeVar("T")

_ITEMS_A_RUN = 64
# Runs are joined into slices of about this much, as many tiny ones would each cost a system call.
_SLICE_BYTES = 16_384


@frozen(repr=False)
class Chunk(Generic[T]):
    """Items with their encoded form: `slices` are runs of encoded items, joined by commas within a run."""

    items: Sequence[T]
    slices: list[bytes] = field(factory=list)

    def __repr__(self) -> str:
        return f"Chunk(<{len(self.items)} items>)"


class Chunks(Generic[T]):
    """Reads a source into chunks of at most `max_count` items and about `max_bytes` bytes, in their order.

    `encode` gives the encoded form of each item that it is given, and reads no further than it gives. `hold` makes what
    keeps the items of a chunk: an empty sequence that can be extended. An item that is larger than `max_bytes` travels
    alone. When the source or `encode` raises, what was read before still comes as a chunk; then the error is raised.
    Others get their turn after every `LONGEST_STEP` of reading.
    """

    def __init__(
        self,
        source: Iterable[T] | AsyncIterable[T],
        *,
        encode: Callable[[Iterable[T]], Iterable[str]],
        max_count: int,
        max_bytes: int,
        hold: Callable[[], Any] = list,
        turns: Turns | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._encode = encode
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._turns = turns or Turns()
        self._clock = clock
        self._pause_at = 0.0
        self._hold = hold
        self._items: Any = hold()
        # Items of an async source come one by one; they are taken a run at a time.
        self._gathered: list[T] = []
        self._gathered_run: list[str] = []
        self._run: list[bytes] = []
        self._run_size = 0
        self._slices: list[bytes] = []
        self._size = 0
        self._full: deque[Chunk[T]] = deque()
        self._stopped = False

    def stop(self) -> None:
        """Read no more, whatever an async source makes of being cancelled."""
        self._stopped = True

    def take_left(self) -> list[T]:
        """Items that were read but are in no chunk yet; for whoever stops in the middle."""
        left: list[T] = [item for chunk in self._full for item in chunk.items] + list(self._items) + self._gathered
        self._full.clear()
        self._gathered, self._gathered_run = [], []
        self._items = self._hold()
        return left

    async def __aiter__(self) -> AsyncIterator[Chunk[T]]:
        failure: Exception | None = None
        stream = self._read_async() if isinstance(self._source, AsyncIterable) else self._read_sync(self._source)
        try:
            async for chunk in stream:
                yield chunk
        except Exception as error:  # noqa: BLE001 - raised again below, after what was read before it
            failure = error
        self._take_gathered()
        while self._full:
            yield self._full.popleft()
        if self._items:
            yield self._close()
        if failure is not None:
            raise failure

    async def _read_sync(self, source: Iterable[T]) -> AsyncIterator[Chunk[T]]:
        reading = iter(source)
        while True:
            # Each item is encoded before the next is read, so that a bad one costs none that came after it.
            wanted = self._room()
            items: list[T] = []
            run: list[str] = []
            failure: BaseException | None = None
            try:
                run.extend(self._encode(_noted(islice(reading, wanted), items)))
            except BaseException as error:  # noqa: BLE001 - raised again, after what was read before it
                failure = error
            del items[len(run) :]
            self._take(items, run)
            while self._full:
                yield self._full.popleft()
            if failure is not None:
                raise failure
            if len(run) < wanted:
                return
            await self._turn()

    async def _read_async(self) -> AsyncIterator[Chunk[T]]:
        coming: deque[T] = deque()
        encoding = iter(self._encode(_emptied(coming)))
        async for item in self._source:  # type: ignore[union-attr]
            coming.append(item)
            self._gathered_run.append(next(encoding))
            self._gathered.append(item)
            # Who keeps items smaller may ask whether anybody else holds them.
            del item
            if self._stopped:
                return
            if len(self._gathered) >= self._room():
                self._take_gathered()
                while self._full:
                    yield self._full.popleft()
            await self._turn()

    def _take_gathered(self) -> None:
        items, run = self._gathered, self._gathered_run
        self._gathered, self._gathered_run = [], []
        self._take(items, run)

    async def _turn(self) -> None:
        if self._clock() >= self._pause_at:
            await self._turns.give()
            self._pause_at = self._clock() + LONGEST_STEP

    def _room(self) -> int:
        """How many items may be read at once."""
        return min(_ITEMS_A_RUN, self._max_count - len(self._items))

    def _take(self, items: list[T], run: list[str]) -> None:
        """Add items with their encoded forms, no more than there is room for."""
        if not items:
            return
        encoded = ",".join(run).encode()
        size = len(encoded) + 1
        if self._size + size > self._max_bytes:
            if len(items) > 1:
                for item, alone in zip(items, run, strict=True):
                    self._take([item], [alone])
                return
            if self._items:
                self._full.append(self._close())
        self._items.extend(items)
        self._run.append(encoded)
        self._run_size += size
        self._size += size
        if self._run_size >= _SLICE_BYTES:
            self._close_run()
        if len(self._items) == self._max_count:
            self._full.append(self._close())

    def _close_run(self) -> None:
        if self._run:
            self._slices.append(b",".join(self._run))
            self._run, self._run_size = [], 0

    def _close(self) -> Chunk[T]:
        self._close_run()
        chunk: Chunk[T] = Chunk(self._items, self._slices)
        self._items, self._slices, self._size = self._hold(), [], 0
        return chunk


def _noted(items: Iterable[T], into: list[T]) -> Iterator[T]:
    for item in items:
        into.append(item)
        yield item


def _emptied(items: deque[T]) -> Iterator[T]:
    while True:
        yield items.popleft()
