"""Results: the receipts of one part as the journal keeps them, packed after an answer and rebuilt for a replay.

Marks (journal.py) say which kind of receipt each message has. What is packed here is the rest: ids, reasons, and the
texts of errors. Messages themselves are not kept, because a replay has them from its input.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from ..errors import CallFailed, OutcomeUnknown, Reason
from ..protocol.message import Message
from ..protocol.receipt_runs import AcceptedRun, FailedRun, Receipts
from ..protocol.receipts import Accepted, NotSent, Receipt, Rejected, Unconfirmed
from ..redaction import mask_phones
from .states import STATES, Mark, Outcome, Record

__all__ = ["DIED", "Results", "outcomes_within", "pack", "pack_one", "position_of"]

DIED = "the process that sent it ended before an answer came"
ASSUMED = "it was unconfirmed, and was then assumed to have been sent"
_MARKS: dict[type, int] = {
    Accepted: Mark.ACCEPTED,
    Rejected: Mark.REJECTED,
    NotSent: Mark.NOT_SENT,
    Unconfirmed: Mark.UNCONFIRMED,
}
_RUNS_A_STEP = 16
_RECEIPTS_A_STEP = 128
# Runs of messages that are accepted, rejected, and in doubt.
_RUNS = re.compile(b"a+|r+|[^ar]+")


def pack(receipts: Receipts) -> Generator[None, None, tuple[bytes, bytes]]:
    """Return a mark for each receipt, and the rest of the receipts, packed. Yields after every few runs."""
    kept = _Kept()
    for number, run in enumerate(receipts.runs(), 1):
        if isinstance(run, AcceptedRun):
            kept.accepted(run.ids, run.segments)
        elif isinstance(run, FailedRun):
            kept.failed(run.kind, run.error, len(run.messages))
        else:
            for receipt in run.receipts():
                kept.one(receipt)
        if number % _RUNS_A_STEP == 0:
            yield
    yield
    return b"".join(kept.marks), kept.packed()


def pack_one(receipt: Receipt) -> tuple[int, bytes]:
    """Return the mark of one receipt, and the rest of it, packed."""
    kept = _Kept()
    kept.one(receipt)
    [mark] = kept.marks[0]
    return mark, kept.packed()


class _Kept:
    """Receipts on their way into the journal."""

    def __init__(self) -> None:
        self.marks: list[bytes] = []
        self.ids: list[str] = []
        self.segments: list[str] = []
        self.reasons: list[Any] = []
        self.errors: list[tuple[int, str]] = []

    def accepted(self, ids: Sequence[str], segments: Sequence[str] | None) -> None:
        self.marks.append(bytes((Mark.ACCEPTED,)) * len(ids))
        self.ids += ids
        # The service may write a list over several lines, but here a line feed separates messages.
        plain = [""] * len(ids) if segments is None else [each.replace("\n", " ") for each in segments]
        self.segments += plain

    def failed(self, kind: type[Receipt], error: CallFailed, count: int) -> None:
        self.marks.append(bytes((_MARKS[kind],)) * count)
        if kind is Unconfirmed:
            self.errors.append((count, error.problem))

    def one(self, receipt: Receipt) -> None:
        match receipt:
            case Accepted():
                self.accepted([receipt.message_id], [" ".join(receipt.segment_ids)])
            case Rejected():
                self.marks.append(bytes((Mark.REJECTED,)))
                self.reasons.append(_kept(receipt))
            case _:
                self.failed(type(receipt), receipt.error, 1)

    def packed(self) -> bytes:
        kept: dict[str, Any] = {"ids": "\n".join(self.ids)}
        if any(self.segments):
            kept["segments"] = "\n".join(self.segments)
        if self.reasons:
            kept["reasons"] = self.reasons
        if self.errors:
            kept["errors"] = self.errors
        return json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")


class Results:
    """The results of one part, read for replays. `marks` and `packed` are those of its Record.

    Raises ValueError if they do not match.
    """

    def __init__(self, marks: bytes, packed: bytes) -> None:
        kept: dict[str, Any] = json.loads(packed) if packed else {}
        self._marks = marks
        self._ids: list[str] = kept["ids"].split("\n") if kept.get("ids") else []
        self._segments: list[str] | None = kept["segments"].split("\n") if "segments" in kept else None
        self._reasons: list[Any] = kept.get("reasons", [])
        self._words = [words for count, words in kept.get("errors", []) for _ in range(count)]
        counts = len(self._ids), len(self._reasons), len(self._segments or self._ids)
        accepted = marks.count(Mark.ACCEPTED)
        if counts != (accepted, marks.count(Mark.REJECTED), accepted):
            raise ValueError("the results do not fit the marks")
        # Where the last replay ended, and how many accepted, rejected and doubted messages come before. A replay that
        # begins there, or later, does not count from the start again.
        self._at, self._before = 0, [0, 0, 0]

    def replay(self, start: int, messages: Sequence[Message], into: Receipts) -> Generator[None, None, None]:
        """Add the recorded receipts of the messages from `start` on, which must be final or in doubt.

        Yields after every hundred receipts or so.
        """
        accepted, rejected, doubted = self._counted_up_to(start)
        fresh = 0
        for run in _RUNS.finditer(self._marks, start, start + len(messages)):
            for at in range(run.start(), run.end(), _RECEIPTS_A_STEP):
                length = min(_RECEIPTS_A_STEP, run.end() - at)
                some = messages[at - start : at - start + length]
                if self._marks[at] == Mark.ACCEPTED:
                    part = slice(accepted, accepted + length)
                    into.accepted(some, self._ids[part], None if self._segments is None else self._segments[part])
                    accepted += length
                elif self._marks[at] == Mark.REJECTED:
                    kept = self._reasons[rejected : rejected + length]
                    into.ready([_rejected(message, reasons) for message, reasons in zip(some, kept, strict=True)])
                    rejected += length
                else:
                    for words, group in groupby(range(length), partial(self._words_at, at, doubted)):
                        places = list(group)
                        into.failed(some[places[0] : places[-1] + 1], _in_doubt(words))
                    doubted += length
                fresh += length
                if fresh >= _RECEIPTS_A_STEP:
                    fresh = 0
                    yield

    def _counted_up_to(self, start: int) -> list[int]:
        """Return how many accepted, rejected and doubted messages come before a place."""
        if start < self._at:
            self._at, self._before = 0, [0, 0, 0]
        between = self._marks[self._at : start]
        kinds = (b"a", b"r", b"us")
        self._before = [
            before + sum(map(between.count, kind)) for before, kind in zip(self._before, kinds, strict=True)
        ]
        self._at = start
        return self._before

    def outcomes(self, positions: Sequence[int]) -> Iterator[Outcome]:
        """Yield the outcome of each message that has not moved to another part."""
        ids, reasons = iter(self._ids), iter(self._reasons)
        segments = iter(self._segments or [""] * len(self._ids))
        for position, mark in zip(positions, self._marks, strict=True):
            if mark == Mark.MOVED:
                continue
            message_id = next(ids) if mark == Mark.ACCEPTED else None
            yield Outcome(
                position=position,
                state=STATES[mark],
                message_id=message_id,
                segment_ids=tuple(_digits(next(segments))) if mark == Mark.ACCEPTED else (),
                reasons=_rejected_reasons(next(reasons)) if mark == Mark.REJECTED else (),
            )

    def receipt(self, message: Message) -> Receipt:
        """Return the recorded receipt of the only message of this part, which must be final or in doubt."""
        into = Receipts()
        for _ in self.replay(0, [message], into):
            pass
        [receipt] = into
        return receipt

    def _words_at(self, first: int, doubted: int, number: int) -> str:
        """Return the words of the message `number` places after `first`.

        `doubted` is how many messages in doubt come before `first`.
        """
        if self._marks[first + number] == Mark.ASSUMED_SENT:
            return ASSUMED
        # Messages that a dead process had claimed have no error text. Either no message of a part has a text, or those
        # with one come before those without, because `settle` writes the texts of all messages of a part at once.
        return self._words[doubted + number] if doubted + number < len(self._words) else DIED


def _kept(receipt: Rejected) -> list[Any]:
    reasons = [[each.key, each.ref, _masked(each.default_message)] for each in receipt.reasons]
    return [reasons, _masked(receipt.description)]


def _masked(text: str | None) -> str | None:
    return None if text is None else mask_phones(text)


def _rejected(message: Message, kept: list[Any]) -> Receipt:
    return Rejected(message, _rejected_reasons(kept), kept[1])


def _rejected_reasons(kept: list[Any]) -> tuple[Reason, ...]:
    return tuple(Reason(*each) for each in kept[0])


def _in_doubt(words: str) -> OutcomeUnknown:
    return OutcomeUnknown(words, operation="send")


def _digits(text: str) -> list[str]:
    return "".join(each if each.isdigit() else " " for each in text).split()


def outcomes_within(record: Record, start: int, stop: int) -> Iterable[Outcome]:
    """Return the outcomes of a part at `start` <= position < `stop`, by position."""
    outcomes = Results(record.marks, record.results).outcomes(record.positions)
    within = (each for each in outcomes if start <= position_of(each) < stop)
    return within if isinstance(record.positions, range) else sorted(within, key=position_of)


def position_of(outcome: Outcome) -> int:
    """Return the position, by which outcomes are sorted."""
    return outcome.position or 0
