"""Receipts: what became of each message, those of a whole batch, and the report over many of them.

Exactly one receipt is made for every message that was read. Which one it is, send_results.py knows.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NoReturn

from attrs import field, frozen

from ..errors import CallFailed, MessageNotSent, MessageRejected, MessageUnconfirmed, Reason
from .message import Message

__all__ = ["Accepted", "NotSent", "Receipt", "Receipts", "Rejected", "SendReport", "Told", "Unconfirmed"]

# So few that the young generation of the garbage collector never fills up with them.
_RECEIPTS_A_RUN = 128


class _Draft:
    """An Accepted while it is made, tens of thousands at a time: nothing keeps its slots from being set."""

    __slots__ = ("__weakref__", "message", "message_id", "segment_ids")


@frozen
class Accepted(_Draft):
    """The service took the message; `message_id` finds its status, `segment_ids` are there if they were asked for."""

    message: Message
    message_id: str
    segment_ids: tuple[str, ...] = ()

    def raise_for_outcome(self) -> "Accepted":
        """This receipt itself: nothing went wrong."""
        return self


@frozen
class Rejected:
    """The service said no to this message; sending it unchanged will be rejected again."""

    message: Message
    reasons: tuple[Reason, ...] = ()
    description: str | None = field(default=None, repr=lambda text: "<set>" if text else "None")

    def raise_for_outcome(self) -> NoReturn:
        """Raise MessageRejected."""
        why = "; ".join(map(str, self.reasons)) or ("see its description" if self.description else "no reason given")
        raise MessageRejected(f"the service rejected the message: {why}", receipt=self)


@frozen
class NotSent:
    """Proved never processed by the service; sending it again is safe."""

    message: Message
    error: CallFailed

    def raise_for_outcome(self) -> NoReturn:
        """Raise MessageNotSent, with the error of the call as its cause."""
        raise MessageNotSent(f"the message was not sent: {self.error}", receipt=self) from self.error


@frozen
class Unconfirmed:
    """May have been sent; the SDK never sends it again by itself, as a repeat may cost a second SMS."""

    message: Message
    error: CallFailed

    def raise_for_outcome(self) -> NoReturn:
        """Raise MessageUnconfirmed, with the error of the call as its cause."""
        raise MessageUnconfirmed(f"nobody can tell whether the message was sent: {self.error}", receipt=self) from (
            self.error
        )


Receipt = Accepted | Rejected | NotSent | Unconfirmed
"""What became of one message; made for `match`."""


Told = tuple[Any, ...]
"""What a receipt tells beside its message. Flat tuples of texts are nothing to a garbage collector.

Of Accepted the id and the ids of segments; of Rejected the description, and then the key, ref and default message of
each reason; of the others the error.
"""


_new: Callable[..., Any] = object.__new__
_digits_in = re.compile("[0-9]+").findall


def _accepted(messages: Sequence[Message], ids: Sequence[str], segments: Sequence[str] | None) -> list[Receipt]:
    receipts: list[Receipt] = []
    each_segments = repeat(()) if segments is None else map(tuple, map(_digits_in, segments))
    for message, message_id, segment_ids in zip(messages, ids, each_segments, strict=False):
        made = _new(_Draft)
        made.message = message
        made.message_id = message_id
        made.segment_ids = segment_ids
        made.__class__ = Accepted
        receipts.append(made)
    return receipts


def _rejected(message: Message, description: str | None, *texts: Any) -> Receipt:
    each = iter(texts)
    return Rejected(message, tuple(map(Reason, each, each, each)), description)


def _told(messages: Sequence[Message], kinds: Sequence[type[Receipt]], told: Sequence[Told]) -> list[Receipt]:
    return [
        _rejected(message, *each) if kind is Rejected else kind(message, *each)
        for message, kind, each in zip(messages, kinds, told, strict=True)
    ]


def _failed(made: type[NotSent | Unconfirmed], messages: Sequence[Message], error: CallFailed) -> list[Receipt]:
    return [made(message, error) for message in messages]


class Receipts:
    """The receipts of one batch, in the order of its messages.

    They are kept as messages and what is told of them, and made a hundred at a time when they are taken: tens of
    thousands of objects kept alive are what the garbage collector would stop the event loop for.
    """

    def __init__(self) -> None:
        self._runs: deque[Callable[[], list[Receipt]]] = deque()
        self.counts: Counter[type] = Counter()

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Receipt]:
        """Those that were not taken yet."""
        for run in list(self._runs):
            yield from run()

    def take(self) -> Iterator[list[Receipt]]:
        """The receipts in runs of about a hundred, each given once."""
        while self._runs:
            yield self._runs.popleft()()

    def accepted(self, messages: Sequence[Message], ids: Sequence[str], segments: Sequence[str] | None = None) -> None:
        """Add messages that were accepted, with their ids and, as text, the ids of their segments."""
        for at in range(0, len(ids), _RECEIPTS_A_RUN):
            part = slice(at, at + _RECEIPTS_A_RUN)
            self._runs.append(
                partial(_accepted, messages[part], ids[part], None if segments is None else segments[part])
            )
        self.counts[Accepted] += len(ids)

    def failed(self, messages: Sequence[Message], error: CallFailed) -> None:
        """Add messages whose call failed: NotSent where that is proved, else Unconfirmed."""
        made = NotSent if error.proves_unsent else Unconfirmed
        for at in range(0, len(messages), _RECEIPTS_A_RUN):
            self._runs.append(partial(_failed, made, messages[at : at + _RECEIPTS_A_RUN], error))
        self.counts[made] += len(messages)

    def add(self, messages: Sequence[Message], kinds: Sequence[type[Receipt]], told: Sequence[Told]) -> None:
        """Add up to about a hundred messages one by one: the kind of each receipt, and what it tells."""
        self._runs.append(partial(_told, messages, kinds, told))
        self.counts.update(kinds)


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
        """How many messages were read, whatever became of them."""
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
