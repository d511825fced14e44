"""Packing: how the messages of a batch are kept while it is in flight.

The garbage collector blocks a program while it scans tens of thousands of live objects. So a message
that only the batch refers to is stored as separate fields, and made again when it is needed. That
reduced the longest stall of a campaign (benchmarks/campaign.py) from 44 to 7 ms. The lists of fields
are objects too, so there are few of them, and they are long. Sending messages is in sending.py.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol, overload

from .message import NOTHING_MORE, Message, made_again

__all__ = ["Fields", "Packed", "Unmade", "rest_of"]

# Only CPython counts references. Other interpreters cannot tell whether a message is shared, so there
# all messages stay objects.
_references: Callable[[object], int] | None = getattr(sys, "getrefcount", None)


def _counts(messages: Sequence[Message]) -> list[int]:
    return [1] * len(messages) if _references is None else list(map(_references, messages))


# The reference count of a message that is in one list and nowhere else. It is measured, because it
# differs between versions of Python.
_ALONE = 0 if _references is None else _counts([Message(sender="sender", to="79000000001", text="text")])[0]


# As many as are read from an answer at once, so that those runs can be shared without cutting them.
_MAX_RUN = 512

Fields = tuple[str, str, str, Any]
"""Sender, recipient, text and the other fields of a message."""


class Unmade(Protocol):
    """A run of messages that are made when they are asked for, as filling.py makes them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Message]: ...

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> "Unmade": ...

    def fields(self) -> Iterable[Fields]:
        """Return the fields of each message, without making it."""
        ...

    def absorb(self, following: "Unmade") -> bool:
        """Take over the messages of the run that follows. Return False if it is of another kind."""
        ...


class _Columns:
    """A run of packed messages, field by field. `rests` holds each message's other fields, or the message itself."""

    __slots__ = ("rests", "senders", "texts", "tos")

    def __init__(
        self, senders: list[str], tos: list[str], texts: list[str], rests: list[Message | tuple[Any, ...]]
    ) -> None:
        self.senders, self.tos, self.texts, self.rests = senders, tos, texts, rests

    def __len__(self) -> int:
        return len(self.rests)

    def __iter__(self) -> Iterator[Message]:
        return iter(made_again(self.senders, self.tos, self.texts, self.rests))

    def extend(self, more: "_Columns") -> None:
        self.senders += more.senders
        self.tos += more.tos
        self.texts += more.texts
        self.rests += more.rests

    def __getitem__(self, at: slice) -> "_Columns":
        return _Columns(self.senders[at], self.tos[at], self.texts[at], self.rests[at])

    def fields(self) -> Iterable[Fields]:
        rests = self.rests
        if rests.count(NOTHING_MORE) < len(rests):
            rests = [rest if isinstance(rest, tuple) else rest_of(rest) for rest in rests]
        return zip(self.senders, self.tos, self.texts, rests, strict=True)


class Packed(Sequence[Message]):
    """Messages in order, equal to those that were added. A message that is referenced elsewhere stays the same object.

    This is the contract with flow/chunking.py, which fills it: the list passed to `extend` holds the
    SDK's only references to its messages. A second reference, in a local variable or a suspended
    generator, changes nothing that a caller sees. But the message is then kept as an object, and the
    stalls come back. References in the caller's program count as well, so the caller gets back the
    same objects. The guard is tests/client/test_dispatch.py::test_messages_are_packed.
    """

    __slots__ = ("_ends", "_growing", "_runs")

    def __init__(self) -> None:
        self._runs: list[list[Message] | _Columns | Unmade] = []
        self._ends: list[int] = []
        # The last run, while it may still grow.
        self._growing: Any = None

    def extend(self, messages: list[Message] | Unmade) -> None:
        """Add messages. A message that only this list refers to is packed."""
        if not isinstance(messages, list):
            run: Any = messages
        elif messages:
            counts = _counts(messages)
            run = [*messages] if min(counts) > _ALONE else _packed(messages, counts)
        else:
            return
        # Few long runs are fewer objects for the garbage collector than many short ones.
        if _absorbed(self._growing, run):
            self._ends[-1] += len(run)
        else:
            self._add(run)
            self._growing = run

    def _add(self, run: list[Message] | _Columns | Unmade) -> None:
        self._runs.append(run)
        self._ends.append(len(self) + len(run))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Message]:
        return chain.from_iterable(self._runs)

    def fields(self) -> Iterator[Fields]:
        """Yield sender, recipient, text and the other fields of each message, without making it."""
        return chain.from_iterable(map(_fields_of, self._runs))

    def runs(self) -> Iterator[list[Message] | Unmade]:
        """Yield the messages in runs: lists of made messages, and runs that make theirs when they are asked for."""
        for run in self._runs:
            yield list(run) if isinstance(run, _Columns) else run

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
        # The part shares whole runs, so none of them may grow from now on.
        self._growing = None
        number = bisect_right(self._ends, start)
        while start < stop:
            run, end = self._runs[number], self._ends[number]
            before = end - len(run)
            whole = start == before and end <= stop
            part._add(run if whole else run[start - before : stop - before])
            start, number = end, number + 1
        return part


def _absorbed(last: Any, run: Any) -> bool:
    """Return whether the last run could take the messages of another, and did."""
    if last is None:
        return False
    if type(last) not in {list, _Columns}:
        return type(run) not in {list, _Columns} and bool(last.absorb(run))
    if type(run) is not type(last) or len(run) + len(last) > _MAX_RUN:
        return False
    last.extend(run)
    return True


def _packed(messages: list[Message], counts: list[int]) -> _Columns:
    return _Columns(
        [message.sender for message in messages],
        [message.to for message in messages],
        [message.text for message in messages],
        [message if count > _ALONE else rest_of(message) for message, count in zip(messages, counts, strict=True)],
    )


def _fields_of(run: list[Message] | _Columns | Unmade) -> Iterable[Fields]:
    if isinstance(run, list):
        return [(each.sender, each.to, each.text, rest_of(each)) for each in run]
    return run.fields()


def rest_of(message: Message) -> tuple[Any, ...]:
    """Return the other fields of a message, as `fields` and `made_again` have them."""
    if (
        message.validity is None
        and message.scheduled_time is None
        and message.priority is None
        and message.callback_url is None
        and message.options is None
    ):
        return NOTHING_MORE
    return (message.validity, message.scheduled_time, message.priority, message.callback_url, message.options)
