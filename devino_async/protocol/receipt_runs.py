"""The receipts of a batch, kept as plain values in runs, and made when they are taken.

With tens of thousands of live receipts, the garbage collector would block the event loop. What a receipt is, is in
receipts.py.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

from ..errors import CallFailed, Reason
from .message import Message
from .packing import Packed
from .receipts import Accepted, NotSent, Receipt, Rejected, Unconfirmed, add_accepted, add_unmade

__all__ = ["AcceptedRun", "FailedRun", "MixedRun", "Receipts"]

# How many receipts are made at a time. Twice as many objects, with their messages, are then new at once. About 700 new
# objects start a garbage collection, which takes these for long-lived. With 128 that happened five times as often.
_RECEIPTS_A_RUN = 64
# Until then they are kept in longer runs, because each run is several objects.
_MESSAGES_A_RUN = 512

_digits_in = re.compile("[0-9]+").findall


class AcceptedRun:
    """Accepted messages with their ids, and each message's segment ids as one text, as the service wrote them."""

    __slots__ = ("ids", "messages", "segments")

    def __init__(self, messages: Sequence[Message], ids: Sequence[str], segments: Sequence[str] | None) -> None:
        self.messages, self.ids, self.segments = messages, ids, segments

    def pieces(self, count: int) -> "Iterator[AcceptedRun]":
        """Yield this run in pieces of at most `count` messages."""
        for at in range(0, len(self.ids), count):
            part = slice(at, at + count)
            segments = None if self.segments is None else self.segments[part]
            yield AcceptedRun(self.messages[part], self.ids[part], segments)

    def receipts(self) -> list[Receipt]:
        """Make the receipts."""
        receipts: list[Receipt] = []
        ids = iter(self.ids)
        segments = repeat(()) if self.segments is None else map(tuple, map(_digits_in, self.segments))
        if not isinstance(self.messages, Packed):
            add_accepted(receipts, self.messages, ids, segments)
            return receipts
        for run in self.messages.runs():
            if isinstance(run, list):
                add_accepted(receipts, run, ids, segments)
            else:
                add_unmade(receipts, run, ids, segments)
        return receipts


class FailedRun:
    """Messages whose call failed with one error."""

    __slots__ = ("error", "kind", "messages")

    def __init__(self, messages: Sequence[Message], kind: type[NotSent | Unconfirmed], error: CallFailed) -> None:
        self.messages, self.kind, self.error = messages, kind, error

    def pieces(self, count: int) -> "Iterator[FailedRun]":
        """Yield this run in pieces of at most `count` messages."""
        for at in range(0, len(self.messages), count):
            yield FailedRun(self.messages[at : at + count], self.kind, self.error)

    def receipts(self) -> list[Receipt]:
        """Make the receipts."""
        return [self.kind(message, self.error) for message in self.messages]


class MixedRun:
    """Messages whose results were read one by one, in the order in which they are appended.

    `kinds` has an entry for each message. Each of the other lists has entries for one kind of message only. The entries
    are plain values: the reasons of a rejection are one flat tuple of key, ref, default message, key, ref and so on.
    """

    __slots__ = ("descriptions", "errors", "ids", "kinds", "messages", "reasons", "segments")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.kinds: list[type[Receipt]] = []
        self.ids: list[str] = []
        self.segments: list[tuple[str, ...]] = []
        self.descriptions: list[str | None] = []
        self.reasons: list[tuple[str | None, ...]] = []
        self.errors: list[CallFailed] = []

    def append_accepted(self, message_id: str, segment_ids: tuple[str, ...]) -> None:
        """Record that the next message was accepted."""
        self.kinds.append(Accepted)
        self.ids.append(message_id)
        self.segments.append(segment_ids)

    def append_rejected(self, description: str | None, reasons: tuple[str | None, ...]) -> None:
        """Record that the next message was rejected."""
        self.kinds.append(Rejected)
        self.descriptions.append(description)
        self.reasons.append(reasons)

    def append_unconfirmed(self, error: CallFailed) -> None:
        """Record that the next message may have been sent."""
        self.kinds.append(Unconfirmed)
        self.errors.append(error)

    def append(self, receipt: Receipt) -> None:
        """Record the next message by a receipt, which is made again when it is taken."""
        match receipt:
            case Accepted():
                self.append_accepted(receipt.message_id, receipt.segment_ids)
            case Rejected():
                parts = ((each.key, each.ref, each.default_message) for each in receipt.reasons)
                self.append_rejected(receipt.description, tuple(chain.from_iterable(parts)))
            case _:
                self.kinds.append(type(receipt))
                self.errors.append(receipt.error)

    def receipts(self) -> list[Receipt]:
        """Make the receipts."""
        accepted = zip(self.ids, self.segments, strict=True)
        rejected = zip(self.reasons, self.descriptions, strict=True)
        errors = iter(self.errors)
        receipts: list[Receipt] = []
        for message, kind in zip(self.messages, self.kinds, strict=True):
            if kind is Accepted:
                receipts.append(Accepted(message, *next(accepted)))
            elif kind is Rejected:
                texts, description = next(rejected)
                receipts.append(Rejected(message, _reasons(texts), description))
            else:
                receipts.append((NotSent if kind is NotSent else Unconfirmed)(message, next(errors)))
        return receipts


class ReadyRun:
    """Receipts that have been made already."""

    __slots__ = ("_receipts",)

    def __init__(self, receipts: list[Receipt]) -> None:
        self._receipts = receipts

    def receipts(self) -> list[Receipt]:
        """Return the receipts."""
        return self._receipts


def _reasons(texts: tuple[str | None, ...]) -> tuple[Reason, ...]:
    each: Any = iter(texts)
    return tuple(map(Reason, each, each, each))


_Run = AcceptedRun | FailedRun | MixedRun | ReadyRun


class Receipts:
    """The receipts of one batch, in the order of its messages.

    They are stored in runs of plain values. The receipts themselves are made a few dozen at a time, when they are
    taken. With tens of thousands of live objects, the garbage collector would block the event loop.
    """

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()
        self.counts: Counter[type] = Counter()

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Receipt]:
        """Yield the receipts that have not been taken yet."""
        for run in list(self._runs):
            for piece in _pieces(run):
                yield from piece.receipts()

    def take(self) -> Iterator[list[Receipt]]:
        """Remove the receipts and yield them, a few dozen at a time."""
        while self._runs:
            first, *others = _pieces(self._runs.popleft())
            self._runs.extendleft(reversed(others))
            yield first.receipts()

    def runs(self) -> Iterator[_Run]:
        """Yield the receipts that were not taken yet, as the runs in which they are kept."""
        yield from list(self._runs)

    def accepted(self, messages: Sequence[Message], ids: Sequence[str], segments: Sequence[str] | None = None) -> None:
        """Add accepted messages with their ids, and each message's segment ids as one text."""
        if ids:
            self._runs.extend(AcceptedRun(messages, ids, segments).pieces(_MESSAGES_A_RUN))
        self.counts[Accepted] += len(ids)

    def failed(self, messages: Sequence[Message], error: CallFailed) -> None:
        """Add messages whose call failed: as NotSent if the error proves it, else as Unconfirmed."""
        kind = NotSent if error.proves_unsent else Unconfirmed
        if messages:
            self._runs.extend(FailedRun(messages, kind, error).pieces(_MESSAGES_A_RUN))
        self.counts[kind] += len(messages)

    def extend(self, others: "Receipts") -> None:
        """Add the receipts of the messages that follow."""
        self._runs.extend(others._runs)
        self.counts.update(others.counts)

    def ready(self, receipts: list[Receipt]) -> None:
        """Add receipts that have been made already."""
        for at in range(0, len(receipts), _RECEIPTS_A_RUN):
            self._runs.append(ReadyRun(receipts[at : at + _RECEIPTS_A_RUN]))
        self.counts.update(map(type, receipts))

    def mixed(self, run: MixedRun) -> None:
        """Add up to about a hundred messages whose results came one by one."""
        self._runs.append(run)
        self.counts.update(run.kinds)


def _pieces(run: _Run) -> Iterable[_Run]:
    return run.pieces(_RECEIPTS_A_RUN) if isinstance(run, AcceptedRun | FailedRun) else [run]
