"""Packing: how the messages of a batch are kept while it is in flight.

The garbage collector blocks a program to look through tens of thousands of live objects. So a
message that nothing else refers to is kept as its fields, and made again when it is asked for. That
took the longest stall of a campaign (benchmarks/campaign.py) from 44 to 7 ms. How messages travel
is sending.py's.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

from .message import NOTHING_MORE, Message, made_again

__all__ = ["Packed"]

# Only CPython counts references. Elsewhere no message is known to be unshared, so all stay objects.
_references: Callable[[object], int] | None = getattr(sys, "getrefcount", None)


def _counts(messages: Sequence[Message]) -> list[int]:
    return [1] * len(messages) if _references is None else list(map(_references, messages))


# The count of a message that stands in one list and nowhere else. It is measured, as versions of
# Python differ.
_ALONE = 0 if _references is None else _counts([Message(sender="sender", to="79000000001", text="text")])[0]


class _Columns:
    """A run of packed messages, field by field. `rests` holds all but the first three, or the message itself."""

    __slots__ = ("rests", "senders", "texts", "tos")

    def __init__(
        self, senders: list[str], tos: list[str], texts: list[str], rests: list[Message | tuple[Any, ...]]
    ) -> None:
        self.senders, self.tos, self.texts, self.rests = senders, tos, texts, rests

    def __len__(self) -> int:
        return len(self.rests)

    def __iter__(self) -> Iterator[Message]:
        return iter(made_again(self.senders, self.tos, self.texts, self.rests))

    def __getitem__(self, at: slice) -> "_Columns":
        return _Columns(self.senders[at], self.tos[at], self.texts[at], self.rests[at])


class Packed(Sequence[Message]):
    """Messages in order, equal to those that were added. They are the very same objects where others hold them too.

    The contract with flow/chunking.py, which fills it: the list given to `extend` is the last
    reference of the SDK to the messages in it. A second one, in a local name or in a generator that
    still waits, breaks nothing that a caller sees, but the message is then kept as an object and
    the stalls come back. What the caller's program refers to counts as well, and so comes out as
    the same object. Guarded by tests/client/test_dispatch.py::test_messages_are_packed.
    """

    __slots__ = ("_ends", "_runs")

    def __init__(self) -> None:
        self._runs: list[list[Message] | _Columns] = []
        self._ends: list[int] = []

    def extend(self, messages: list[Message]) -> None:
        """Add messages. Those that only this list refers to are packed."""
        counts = _counts(messages)
        if messages:
            self._add(messages if min(counts) > _ALONE else _packed(messages, counts))

    def _add(self, run: list[Message] | _Columns) -> None:
        self._runs.append(run)
        self._ends.append(len(self) + len(run))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Message]:
        return chain.from_iterable(self._runs)

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> "Packed": ...
    def __getitem__(self, at: int | slice) -> "Message | Packed":
        if not isinstance(at, slice):
            [message] = self[range(len(self))[at] :][:1]
            return message
        start, stop, _ = at.indices(len(self))
        part = Packed()
        number = bisect_right(self._ends, start)
        while start < stop:
            run, end = self._runs[number], self._ends[number]
            before = end - len(run)
            whole = start == before and end <= stop
            part._add(run if whole else run[start - before : stop - before])
            start, number = end, number + 1
        return part


def _packed(messages: list[Message], counts: list[int]) -> _Columns:
    return _Columns(
        [message.sender for message in messages],
        [message.to for message in messages],
        [message.text for message in messages],
        [
            message
            if count > _ALONE
            else NOTHING_MORE
            if message.validity is None
            and message.scheduled_time is None
            and message.priority is None
            and message.callback_url is None
            and message.options is None
            else (message.validity, message.scheduled_time, message.priority, message.callback_url, message.options)
            for message, count in zip(messages, counts, strict=True)
        ],
    )
