"""Receipts: what became of one message, of a batch, and of many messages.

Exactly one receipt is made for every message that was read from the caller's input. Its kind is decided in
send_results.py.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen

from ..errors import CallFailed, MessageNotSent, MessageRejected, MessageUnconfirmed, Reason
from .message import Message
from .packing import Packed, Unmade

__all__ = [
    "Accepted",
    "AcceptedRun",
    "FailedRun",
    "MixedRun",
    "NotSent",
    "Receipt",
    "Receipts",
    "Rejected",
    "SendReport",
    "Unconfirmed",
]

# Few enough that the receipts of a run never fill the young generation of the garbage collector.
_RECEIPTS_A_RUN = 128


class _Draft:
    """An Accepted under construction: the same slots, still writable."""

    __slots__ = ("__weakref__", "_at", "_unmade", "message", "message_id", "segment_ids")


@frozen
class Accepted(_Draft):
    """The service accepted the message. Look up its status by `message_id`. `segment_ids` is set if requested."""

    message: Message
    message_id: str
    segment_ids: tuple[str, ...] = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Message:
            """Make the message of a template. Python calls this only for an attribute that is not set."""
            if name != "message":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            unmade = self._unmade
            if unmade is None:
                # Another thread has made it since.
                return self.message
            made = unmade[self._at]
            object.__setattr__(self, "message", made)
            object.__setattr__(self, "_unmade", None)
            return made

    def raise_for_outcome(self) -> "Accepted":
        """Return this receipt, as nothing went wrong."""
        return self


@frozen
class Rejected:
    """The service rejected the message. If it is sent again unchanged, it will be rejected again."""

    message: Message
    reasons: tuple[Reason, ...] = ()
    description: str | None = field(default=None, repr=lambda text: "<set>" if text else "None")

    def raise_for_outcome(self) -> NoReturn:
        """Raise MessageRejected."""
        why = "; ".join(map(str, self.reasons)) or ("see its description" if self.description else "no reason given")
        raise MessageRejected(f"the service rejected the message: {why}", receipt=self)


@frozen
class NotSent:
    """The service provably never processed the message. Sending it again is safe."""

    message: Message
    error: CallFailed

    def raise_for_outcome(self) -> NoReturn:
        """Raise MessageNotSent, with the error of the call as its cause."""
        raise MessageNotSent(f"the message was not sent: {self.error}", receipt=self) from self.error


@frozen
class Unconfirmed:
    """The message may have been sent. The SDK never sends it again by itself, as a repeat may cost a second SMS."""

    message: Message
    error: CallFailed

    def raise_for_outcome(self) -> NoReturn:
        """Raise MessageUnconfirmed, with the error of the call as its cause."""
        raise MessageUnconfirmed(f"the message may have been sent: {self.error}", receipt=self) from self.error


Receipt = Accepted | Rejected | NotSent | Unconfirmed
"""What became of one message. Use it in a `match` statement."""


_new: Callable[[type], Any] = object.__new__
_digits_in = re.compile("[0-9]+").findall


class AcceptedRun:
    """Accepted messages with their ids, and each message's segment ids as one text, as the service wrote them."""

    __slots__ = ("ids", "messages", "segments")

    def __init__(self, messages: Sequence[Message], ids: Sequence[str], segments: Sequence[str] | None) -> None:
        self.messages, self.ids, self.segments = messages, ids, segments

    def receipts(self) -> list[Receipt]:
        """Make the receipts."""
        receipts: list[Receipt] = []
        ids = iter(self.ids)
        segments = repeat(()) if self.segments is None else map(tuple, map(_digits_in, self.segments))
        if not isinstance(self.messages, Packed):
            _add_accepted(receipts, self.messages, ids, segments)
            return receipts
        for run in self.messages.runs():
            if isinstance(run, list):
                _add_accepted(receipts, run, ids, segments)
            else:
                _add_unmade(receipts, run, ids, segments)
        return receipts


Segments = Iterator[tuple[str, ...]]


def _add_accepted(receipts: list[Receipt], messages: Iterable[Message], ids: Iterator[str], segments: Segments) -> None:
    # The class swap of message.py (see _made there), as receipts are made by the million too.
    for message, message_id, segment_ids in zip(messages, ids, segments, strict=False):
        made = _new(_Draft)
        made.message = message
        made.message_id = message_id
        made.segment_ids = segment_ids
        made.__class__ = Accepted
        receipts.append(made)


def _add_unmade(receipts: list[Receipt], run: Unmade, ids: Iterator[str], segments: Segments) -> None:
    """Add receipts that make their messages when they are asked for. See Accepted.__getattr__."""
    for at, message_id, segment_ids in zip(range(len(run)), ids, segments, strict=False):
        made = _new(_Draft)
        made._unmade = run
        made._at = at
        made.message_id = message_id
        made.segment_ids = segment_ids
        made.__class__ = Accepted
        receipts.append(made)


class FailedRun:
    """Messages whose call failed with one error."""

    __slots__ = ("error", "kind", "messages")

    def __init__(self, messages: Sequence[Message], kind: type[NotSent | Unconfirmed], error: CallFailed) -> None:
        self.messages, self.kind, self.error = messages, kind, error

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
                receipts.append(Unconfirmed(message, next(errors)))
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


class Receipts:
    """The receipts of one batch, in the order of its messages.

    They are stored in runs of plain values. The receipts themselves are made about a hundred at a time, when they are
    taken. With tens of thousands of live objects, the garbage collector would block the event loop.
    """

    def __init__(self) -> None:
        self._runs: deque[AcceptedRun | FailedRun | MixedRun | ReadyRun] = deque()
        self.counts: Counter[type] = Counter()

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Receipt]:
        """Yield the receipts that have not been taken yet."""
        for run in list(self._runs):
            yield from run.receipts()

    def take(self) -> Iterator[list[Receipt]]:
        """Remove the receipts and yield them, about a hundred at a time."""
        while self._runs:
            yield self._runs.popleft().receipts()

    def runs(self) -> "Iterator[AcceptedRun | FailedRun | MixedRun | ReadyRun]":
        """Yield the receipts that were not taken yet, as the runs in which they are kept."""
        yield from list(self._runs)

    def accepted(self, messages: Sequence[Message], ids: Sequence[str], segments: Sequence[str] | None = None) -> None:
        """Add accepted messages with their ids, and each message's segment ids as one text."""
        for at in range(0, len(ids), _RECEIPTS_A_RUN):
            part = slice(at, at + _RECEIPTS_A_RUN)
            self._runs.append(AcceptedRun(messages[part], ids[part], None if segments is None else segments[part]))
        self.counts[Accepted] += len(ids)

    def failed(self, messages: Sequence[Message], error: CallFailed) -> None:
        """Add messages whose call failed: as NotSent if the error proves it, else as Unconfirmed."""
        kind = NotSent if error.proves_unsent else Unconfirmed
        for at in range(0, len(messages), _RECEIPTS_A_RUN):
            self._runs.append(FailedRun(messages[at : at + _RECEIPTS_A_RUN], kind, error))
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
        """Add up to about a hundred messages whose results were read one by one."""
        self._runs.append(run)
        self.counts.update(run.kinds)


@frozen(repr=False)
class SendReport:
    """What became of many messages: the receipts by outcome, each tuple in input order."""

    accepted: tuple[Accepted, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    not_sent: tuple[NotSent, ...] = ()
    unconfirmed: tuple[Unconfirmed, ...] = ()

    @classmethod
    def of(cls, receipts: Iterable[Receipt]) -> "SendReport":
        """Sort receipts by outcome."""
        piles: dict[type, list[Receipt]] = {Accepted: [], Rejected: [], NotSent: [], Unconfirmed: []}
        for receipt in receipts:
            piles[type(receipt)].append(receipt)
        return cls(*map(tuple, piles.values()))  # type: ignore[arg-type]

    @property
    def total(self) -> int:
        """Return how many messages were read from the input, whatever became of them."""
        return len(self.accepted) + len(self.rejected) + len(self.not_sent) + len(self.unconfirmed)

    def __iter__(self) -> Iterator[Receipt]:
        yield from self.accepted
        yield from self.rejected
        yield from self.not_sent
        yield from self.unconfirmed

    def __repr__(self) -> str:
        return (
            f"SendReport(accepted={len(self.accepted)}, rejected={len(self.rejected)}, "
            f"not_sent={len(self.not_sent)}, unconfirmed={len(self.unconfirmed)})"
        )
