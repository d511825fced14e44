"""Receipts: what became of each message, and the report over many of them.

Exactly one receipt is made for every message that was read. Values only; sending.py makes them.
"""

from collections.abc import Iterable, Iterator
from typing import NoReturn

from attrs import field, frozen

from ..errors import CallFailed, MessageNotSent, MessageRejected, MessageUnconfirmed, Reason
from .message import Message

__all__ = ["Accepted", "NotSent", "Receipt", "Rejected", "SendReport", "Unconfirmed"]


@frozen
class Accepted:
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
