"""Reading: a reader reads a source in runs. A run is some items with the encoded form of each.

There are two ways. Either each item is encoded before the next is read. Or raw items are read, and a whole run
of items is made from them at once. chunking.py joins runs into chunks, and says how long a run may be.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from attrs import frozen

from .steps import Pacing

__all__ = ["Encode", "HasRuns", "InRuns", "Make", "Run", "reader_of"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Encode = Callable[[Iterable[T]], Iterable[str]]
"""Yields the encoded form of each item. It reads an item only when that item's encoded form is requested."""


class Run(Protocol[T_co]):
    """Some items with the encoded form of each: joined by commas in `joined`, and one by one from `each`."""

    @property
    def items(self) -> Sequence[T_co]: ...

    @property
    def joined(self) -> bytes: ...

    def each(self) -> Iterable[bytes]: ...


Make = Callable[[list[Any]], tuple[Run[T], Exception | None]]
"""Makes a run out of raw items, up to the first one that it cannot use. Returns the error of that one as well."""


@runtime_checkable
class HasRuns(Protocol[T]):
    """An async iterable that can also give its items in lists, which saves an await for each item.

    A list then belongs to the reader, which takes items out of it. What the source takes out first counts as not read.
    """

    def runs(self) -> AsyncIterable[list[T]]: ...

    def __aiter__(self) -> AsyncIterator[T]: ...


@frozen
class InRuns(Generic[T]):
    """Says that items are made and encoded in runs, by `make`, and not one by one."""

    make: Make[T]


@frozen(repr=False)
class _Encoded(Generic[T]):
    """A run of items that were encoded one by one."""

    items: list[T]
    texts: list[str]

    @property
    def joined(self) -> bytes:
        return ",".join(self.texts).encode()

    def each(self) -> Iterable[bytes]:
        return map(str.encode, self.texts)


class _Reader(Generic[T]):
    """Keeps the items that were read and not taken yet, with their encoded forms. The subclasses do the reading."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._encoded: list[str] = []
        self.failure: Exception | None = None

    def stop(self) -> None:
        """Stop after the item that is being read. Does nothing for a sync source, which is read within one step."""

    def take(self) -> Run[T]:
        """Remove and return what was read. An item that could not be encoded is left out."""
        items, encoded = self._items, self._encoded
        self._items, self._encoded = [], []
        del items[len(encoded) :]
        return _Encoded(items, encoded)


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


class _AsyncRunReader(_Reader[T]):
    """Reads an async iterable that can give lists of items. Each item of a list counts as read when it is taken."""

    def __init__(self, source: HasRuns[T], encode: Encode[T]) -> None:
        super().__init__()
        self._runs = aiter(source.runs())
        self._encode = encode
        # The items at hand, the next one last. An item is dropped here once it is taken, so that a batch can pack it.
        self._at_hand: list[T] = []
        self._stopped = False

    def stop(self) -> None:
        """Read no further list. Items at hand are left."""
        self._stopped = True

    async def read(self, count: int) -> bool:
        """Read up to `count` items. Return whether there may be more. Raises what the source or `encode` raises."""
        while not self._stopped:
            before = len(self._items)
            self._encoded.extend(self._encode(_noted(_popped(self._at_hand, count), self._items)))
            if len(self._items) > before:
                return True
            try:
                self._at_hand = await anext(self._runs)
                self._at_hand.reverse()
            except StopAsyncIteration:
                return False
        return False


class _RawReader(Generic[T]):
    """Keeps the raw items that were read, until a run of them is taken. The subclasses do the reading.

    Raw items are read a whole run ahead of the check. So those after an unusable one are read but never sent.
    """

    def __init__(self, make: Make[T]) -> None:
        self._make = make
        self._raw: list[Any] = []
        self.failure: Exception | None = None
        """The error of the item that could not be used. Nothing is to be read after it."""

    def stop(self) -> None:
        """Stop after the item that is being read. Does nothing for a sync source, which is read within one step."""

    def take(self) -> Run[T]:
        """Remove what was read, and return what could be made of it."""
        raw, self._raw = self._raw, []
        run, failure = self._make(raw)
        self.failure = self.failure or failure
        return run


class _SyncRawReader(_RawReader[T]):
    """Reads an iterable, a run at a time."""

    def __init__(self, source: Iterable[Any], make: Make[T]) -> None:
        super().__init__(make)
        self._source = iter(source)

    async def read(self, count: int) -> bool:
        """Read up to `count` items. Return whether there may be more. Raises what the source raises."""
        # `extend` keeps the items that were read before an error.
        self._raw.extend(islice(self._source, count))
        return len(self._raw) == count


class _AsyncRawReader(_RawReader[T]):
    """Reads an async iterable, whose items come one by one."""

    def __init__(self, source: AsyncIterable[Any], make: Make[T], pacing: Pacing) -> None:
        super().__init__(make)
        self._source = aiter(source)
        self._pacing = pacing
        self._stopped = False

    def stop(self) -> None:
        """Stop after the item that is being read."""
        self._stopped = True

    async def read(self, count: int) -> bool:
        """Read up to `count` items. Return whether there may be more. Raises what the source raises."""
        while True:
            # The reading task may be cancelled in this await. What was read before stays in the reader.
            try:
                self._raw.append(await anext(self._source))
            except StopAsyncIteration:
                return False
            # A source may catch the CancelledError of `Pipeline.stop` and go on, as in _AsyncReader.
            if self._stopped:
                return False
            # A slow source must not keep the items at hand from being checked.
            if len(self._raw) >= count or self._pacing.due():
                return True


def _noted(items: Iterable[T], into: list[T]) -> Iterator[T]:
    for item in items:
        into.append(item)
        yield item


def _popped(items: list[T], count: int) -> Iterator[T]:
    for _ in range(min(count, len(items))):
        yield items.pop()


def _emptied(items: deque[T]) -> Iterator[T]:
    while True:
        yield items.popleft()


def reader_of(
    source: Iterable[Any] | AsyncIterable[Any], encode: Encode[T] | InRuns[T], pacing: Pacing
) -> _SyncReader[T] | _AsyncReader[T] | _AsyncRunReader[T] | _SyncRawReader[T] | _AsyncRawReader[T]:
    """Return the reader for a source of this kind. Raises TypeError if it cannot be iterated."""
    if isinstance(encode, InRuns):
        if isinstance(source, AsyncIterable):
            return _AsyncRawReader(source, encode.make, pacing)
        return _SyncRawReader(source, encode.make)
    if isinstance(source, HasRuns):
        return _AsyncRunReader(source, encode)
    return _AsyncReader(source, encode, pacing) if isinstance(source, AsyncIterable) else _SyncReader(source, encode)
