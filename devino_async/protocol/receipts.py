"""Receipts: what became of one message, of a batch, and of many messages.

Exactly one receipt is made for every message that was read from the caller's input. Its kind is decided in
send_results.py. How the receipts of a batch are kept is in receipt_runs.py.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen

from ..errors import CallFailed, MessageNotSent, MessageRejected, MessageUnconfirmed, Reason
from .message import Message
from .packing import Unmade

__all__ = [
    "Accepted",
    "NotSent",
    "Receipt",
    "Rejected",
    "SendReport",
    "Unconfirmed",
    "add_accepted",
    "add_unmade",
]


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
                # Another thread has made it meanwhile.
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
_Segments = Iterator[tuple[str, ...]]


def add_accepted(receipts: list[Receipt], messages: Iterable[Message], ids: Iterator[str], segments: _Segments) -> None:
    """Add the receipts of accepted messages."""
    # The class swap of message.py (see _made there), as receipts are made by the million too.
    for message, message_id, segment_ids in zip(messages, ids, segments, strict=False):
        made = _new(_Draft)
        made.message = message
        made.message_id = message_id
        made.segment_ids = segment_ids
        made.__class__ = Accepted
        receipts.append(made)


def add_unmade(receipts: list[Receipt], run: Unmade, ids: Iterator[str], segments: _Segments) -> None:
    """Add receipts that make their messages when they are asked for. See Accepted.__getattr__."""
    for at, message_id, segment_ids in zip(range(len(run)), ids, segments, strict=False):
        made = _new(_Draft)
        made._unmade = run
        made._at = at
        made.message_id = message_id
        made.segment_ids = segment_ids
        made.__class__ = Accepted
        receipts.append(made)


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
