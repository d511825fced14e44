"""Chunking: any stream of items, read lazily, becomes chunks bounded by count and by bytes.

There are three parts. A reader reads a source in runs. A run is some items with the encoded form of
each. ChunkBuilder joins runs into full chunks. Pacing (steps.py) says when other tasks on the event
loop must have their turn. Chunks connects the three. The caller decides what the items are and how
they are encoded. pipeline.py decides how many chunks are in flight.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from .steps import Pacing, Turns

__all__ = ["Chunk", "ChunkBuilder", "Chunks"]

T = TypeVar("T")

Encode = Callable[[Iterable[T]], Iterable[str]]
"""Yields the encoded form of each item. It reads an item only when that item's encoded form is requested."""

_ITEMS_A_RUN = 64
# Runs are joined into slices of about this size, because each slice costs a system call.
_SLICE_BYTES = 16_384


@frozen(repr=False)
class Chunk(Generic[T]):
    """Items with their encoded form: `slices` are runs of encoded items, joined by commas within a run.

    `position` is the place of the first item in the input, counted from 0.
    """

    items: Sequence[T]
    slices: list[bytes] = field(factory=list)
    position: int = 0

    def __repr__(self) -> str:
        return f"Chunk(<{len(self.items)} items>)"


class _Reader(Generic[T]):
    """Keeps the items that were read and not taken yet, with their encoded forms. The subclasses do the reading."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._encoded: list[str] = []

    def stop(self) -> None:
        """Stop after the item that is being read. Does nothing for a sync source, which is read within one step."""

    def take(self) -> tuple[list[T], list[str]]:
        """Remove and return what was read. An item that could not be encoded is left out."""
        items, encoded = self._items, self._encoded
        self._items, self._encoded = [], []
        del items[len(encoded) :]
        return items, encoded


class _SyncReader(_Reader[T]):
    """Reads an iterable, a run at a time."""

    def __init__(self, source: Iterable[T], encode: Encode[T]) -> None:
        super().__init__()
        self._source = iter(source)
        self._encode = encode

    async def read(self, count: int) -> bool:
        """Read up to `count` items. Return whether there may be more. Raises what the source or `encode` raises."""
        # Each item is encoded before the next is read. Otherwise an item that cannot be encoded would
        # also lose those read after it. `extend` keeps the forms that were encoded before an error.
        self._encoded.extend(self._encode(_noted(islice(self._source, count), self._items)))
        return len(self._items) == count


class _AsyncReader(_Reader[T]):
    """Reads an async iterable, whose items come one by one."""

    def __init__(self, source: AsyncIterable[T], encode: Encode[T], pacing: Pacing) -> None:
        super().__init__()
        self._source = aiter(source)
        self._encode = encode
        self._pacing = pacing
        self._stopped = False

    def stop(self) -> None:
        """Stop after the item that is being read."""
        self._stopped = True

    async def read(self, count: int) -> bool:
        """Read up to `count` items. Return whether there may be more. Raises what the source or `encode` raises."""
        coming: deque[T] = deque()
        encoding = iter(self._encode(_emptied(coming)))
        while True:
            # The reading task may be cancelled in this await. What was read before stays in the
            # reader.
            try:
                item = await anext(self._source)
            except StopAsyncIteration:
                return False
            coming.append(item)
            self._encoded.append(next(encoding))
            self._items.append(item)
            # A source may catch the CancelledError of `Pipeline.stop` and go on. Without these two
            # lines we would go on reading it.
            if self._stopped:
                return False
            if len(self._items) >= count:
                return True
            if self._pacing.due():
                await self._pacing.pause()


def _noted(items: Iterable[T], into: list[T]) -> Iterator[T]:
    for item in items:
        into.append(item)
        yield item


def _emptied(items: deque[T]) -> Iterator[T]:
    while True:
        yield items.popleft()


class ChunkBuilder(Generic[T]):
    """Joins runs of items with their encoded forms into chunks of at most `max_count` items and `max_bytes` bytes.

    An item larger than `max_bytes` gets a chunk of its own. No chunk is empty. `hold()` returns the
    container for the items of one chunk: an empty sequence with `extend`, such as a list, or Packed
    from protocol/packing.py.

    The contract with `hold`: when `extend` is called, nothing in this file refers to the items
    except the list that it is given. So a reader keeps its items in one list, and its frames and
    generators have ended before the builder is fed. There is one exception: if a chunk reaches
    `max_bytes` within a run, its items have more references, and are not packed. Two tests guard
    the contract: tests/flow/test_chunking.py::test_items_have_one_holder and
    tests/client/test_dispatch.py::test_messages_are_packed.
    """

    def __init__(self, *, max_count: int, max_bytes: int, hold: Callable[[], Any] = list) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._hold = hold
        self._full: deque[Chunk[T]] = deque()
        # The open chunk: the position of its first item, its items, its finished slices, and the
        # runs of the next slice.
        self._position = 0
        self._items: Any = hold()
        self._slices: list[bytes] = []
        self._slice: list[bytes] = []
        self._slice_bytes = 0
        self._bytes = 0

    @property
    def room(self) -> int:
        """How many more items the open chunk may hold, by count."""
        return self._max_count - len(self._items)

    @property
    def full(self) -> bool:
        """Whether there is a chunk to take."""
        return bool(self._full)

    def feed(self, items: list[T], encoded: list[str]) -> None:
        """Add a run of items with the encoded form of each. There must be room for all of them."""
        if not items:
            return
        run = ",".join(encoded).encode()
        if self._bytes + len(run) < self._max_bytes:
            self._add(items, run)
            return
        # The chunk reaches `max_bytes` within this run, so each item is added alone.
        for item, text in zip(items, encoded, strict=True):
            one = text.encode()
            if self._bytes + len(one) >= self._max_bytes:
                self.close()
            self._add([item], one)

    def close(self) -> None:
        """Finish the open chunk, if it has any items."""
        if not self._items:
            return
        self._close_slice()
        self._full.append(Chunk(self._items, self._slices, self._position))
        self._position += len(self._items)
        self._items, self._slices, self._bytes = self._hold(), [], 0

    def take(self) -> Chunk[T]:
        """Remove and return the oldest full chunk."""
        return self._full.popleft()

    def take_left(self) -> list[T]:
        """Remove and return the items of all chunks that were not taken, the open one included."""
        self.close()
        left = [item for chunk in self._full for item in chunk.items]
        self._full.clear()
        return left

    def _add(self, items: list[T], run: bytes) -> None:
        self._items.extend(items)
        self._slice.append(run)
        # One byte more for the comma after the run.
        self._slice_bytes += len(run) + 1
        self._bytes += len(run) + 1
        if self._slice_bytes >= _SLICE_BYTES:
            self._close_slice()
        if len(self._items) == self._max_count:
            self.close()

    def _close_slice(self) -> None:
        if self._slice:
            self._slices.append(b",".join(self._slice))
            self._slice, self._slice_bytes = [], 0


class Chunks(Generic[T]):
    """Reads a source into chunks of at most `max_count` items and about `max_bytes` bytes, in input order.

    `encode` and `hold` are explained at Encode and ChunkBuilder. It pauses before each chunk, and
    within one as `pacing` says. If the source, `encode` or a pause raises, the items read before
    that are yielded as a chunk first. Then the error is raised.
    """

    def __init__(
        self,
        source: Iterable[T] | AsyncIterable[T],
        *,
        encode: Encode[T],
        max_count: int,
        max_bytes: int,
        hold: Callable[[], Any] = list,
        pacing: Pacing | None = None,
    ) -> None:
        self._pacing = pacing or Pacing(Turns())
        self._builder: ChunkBuilder[T] = ChunkBuilder(max_count=max_count, max_bytes=max_bytes, hold=hold)
        self._reader: _SyncReader[T] | _AsyncReader[T]
        if isinstance(source, AsyncIterable):
            self._reader = _AsyncReader(source, encode, self._pacing)
        else:
            self._reader = _SyncReader(source, encode)

    def stop(self) -> None:
        """Read no more, even if an async source catches the cancellation and goes on."""
        self._reader.stop()

    def take_left(self) -> list[T]:
        """Remove and return the items that were read but not yielded in a chunk, for a caller that stops early."""
        left = self._builder.take_left()
        items, _ = self._reader.take()
        return left + items

    async def __aiter__(self) -> AsyncIterator[Chunk[T]]:
        # The reading task of a pipeline runs this. It may be cancelled at any await, and it may never
        # resume after a yield. So what was read is always in the reader or the builder, where
        # `take_left` finds it, and never only in a local variable.
        failure: Exception | None = None
        try:
            await self._pacing.pause()
            while await self._reader.read(min(_ITEMS_A_RUN, self._builder.room)):
                self._builder.feed(*self._reader.take())
                must_pause = self._builder.full or self._pacing.due()
                while self._builder.full:
                    yield self._builder.take()
                if must_pause:
                    await self._pacing.pause()
        except Exception as error:  # noqa: BLE001 - raised again below, after what was read before it
            failure = error
        self._builder.feed(*self._reader.take())
        self._builder.close()
        while self._builder.full:
            yield self._builder.take()
        if failure is not None:
            raise failure
