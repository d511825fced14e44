"""Chunking: any stream of items, read lazily, becomes chunks bounded by count and by bytes.

There are three parts. A reader (reading.py) reads a source in runs. A run is some items with the
encoded form of each. ChunkBuilder joins runs into full chunks. Pacing (steps.py) says when other
tasks on the event loop must have their turn. Chunks connects the three. The caller decides what the items are and how
they are encoded. pipeline.py decides how many chunks are in flight.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from .reading import Encode, InRuns, Run, reader_of
from .steps import Pacing, Turns

__all__ = ["Chunk", "ChunkBuilder", "Chunks"]

T = TypeVar("T")

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

    def feed(self, run: Run[T]) -> None:
        """Add a run of items. There must be room for all of them."""
        items = run.items
        if not items:
            return
        joined = run.joined
        if self._bytes + len(joined) < self._max_bytes:
            self._add(items, joined)
            return
        # The chunk reaches `max_bytes` within this run, so each item is added alone.
        for at, one in enumerate(run.each()):
            if self._bytes + len(one) >= self._max_bytes:
                self.close()
            self._add(items[at : at + 1], one)

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

    def _add(self, items: Sequence[T], joined: bytes) -> None:
        self._items.extend(items)
        self._slice.append(joined)
        # One byte more for the comma after the run.
        self._slice_bytes += len(joined) + 1
        self._bytes += len(joined) + 1
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

    `encode` is explained in reading.py, and `hold` at ChunkBuilder. It pauses before each chunk, and
    within one as `pacing` says. If the source, `encode` or a pause fails, the items read before that
    are yielded as a chunk first. Then the error is raised.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        encode: Encode[T] | InRuns[T],
        max_count: int,
        max_bytes: int,
        hold: Callable[[], Any] = list,
        pacing: Pacing | None = None,
    ) -> None:
        self._pacing = pacing or Pacing(Turns())
        self._builder: ChunkBuilder[T] = ChunkBuilder(max_count=max_count, max_bytes=max_bytes, hold=hold)
        self._reader = reader_of(source, encode, self._pacing)

    def stop(self) -> None:
        """Read no more, even if an async source catches the cancellation and goes on."""
        self._reader.stop()

    def take_left(self) -> list[T]:
        """Remove and return the items that were read but not yielded in a chunk, for a caller that stops early."""
        return [*self._builder.take_left(), *self._reader.take().items]

    async def __aiter__(self) -> AsyncIterator[Chunk[T]]:
        # The reading task of a pipeline runs this. It may be cancelled at any await, and it may never
        # resume after a yield. So what was read is always in the reader or the builder, where
        # `take_left` finds it, and never only in a local variable.
        failure: Exception | None = None
        try:
            await self._pacing.pause()
            while await self._reader.read(min(_ITEMS_A_RUN, self._builder.room)):
                self._builder.feed(self._reader.take())
                must_pause = self._builder.full or self._pacing.due()
                while self._builder.full:
                    yield self._builder.take()
                if self._reader.failure is not None:
                    break
                if must_pause:
                    await self._pacing.pause()
        except Exception as error:  # noqa: BLE001 - raised again below, after what was read before it
            failure = error
        self._builder.feed(self._reader.take())
        self._builder.close()
        failure = self._reader.failure or failure
        while self._builder.full:
            yield self._builder.take()
        if failure is not None:
            raise failure
