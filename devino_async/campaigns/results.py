"""Results: the receipts of one part as the journal keeps them, packed after an answer and made again at a replay.

Marks (journal.py) say which kind of receipt each message has. Here is what else the receipts hold: ids, reasons, and the
words of errors. Messages themselves are not kept: a replay has them from its input.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from itertools import groupby
from typing import Any

from ..errors import OutcomeUnknown, Reason
from ..protocol.message import Message
from ..protocol.receipts import Accepted, AcceptedRun, FailedRun, NotSent, Receipt, Receipts, Rejected, Unconfirmed
from ..redaction import mask_phones
from .journal import STATES, Mark, Outcome

__all__ = ["DIED", "Results", "pack"]

DIED = "the process that sent it ended before an answer came"
ASSUMED = "it was unconfirmed, and was then assumed to have been sent"
_MARKS: dict[type, int] = {
    Accepted: Mark.ACCEPTED,
    Rejected: Mark.REJECTED,
    NotSent: Mark.NOT_SENT,
    Unconfirmed: Mark.UNCONFIRMED,
}
_RUNS_A_STEP = 16


def pack(receipts: Receipts) -> Generator[None, None, tuple[bytes, bytes]]:
    """Return a mark for each receipt, and the packed rest of them. Yields after every thousand or two."""
    marks: list[bytes] = []
    ids: list[str] = []
    segments: list[str] = []
    reasons: list[Any] = []
    errors: list[list[Any]] = []
    for number, run in enumerate(receipts.runs(), 1):
        if isinstance(run, AcceptedRun):
            marks.append(bytes((Mark.ACCEPTED,)) * len(run.ids))
            ids += run.ids
            segments += run.segments if run.segments is not None else [""] * len(run.ids)
        elif isinstance(run, FailedRun):
            marks.append(bytes((_MARKS[run.kind],)) * len(run.messages))
            if run.kind is Unconfirmed:
                errors.append([len(run.messages), run.error.problem])
        else:
            for receipt in run.receipts():
                marks.append(bytes((_MARKS[type(receipt)],)))
                if isinstance(receipt, Accepted):
                    ids.append(receipt.message_id)
                    segments.append(" ".join(receipt.segment_ids))
                elif isinstance(receipt, Rejected):
                    reasons.append(_kept(receipt))
                elif isinstance(receipt, Unconfirmed):
                    errors.append([1, receipt.error.problem])
        if number % _RUNS_A_STEP == 0:
            yield
    kept: dict[str, Any] = {"ids": "\n".join(ids)}
    if any(segments):
        kept["segments"] = "\n".join(segments)
    if reasons:
        kept["reasons"] = reasons
    if errors:
        kept["errors"] = errors
    yield
    return b"".join(marks), json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")


class Results:
    """The results of one part, read for replays. `marks` and `packed` are those of its Record."""

    def __init__(self, marks: bytes, packed: bytes) -> None:
        kept: dict[str, Any] = json.loads(packed) if packed else {}
        self._marks = marks
        self._ids: list[str] = kept["ids"].split("\n") if kept.get("ids") else []
        self._segments: list[str] | None = kept["segments"].split("\n") if "segments" in kept else None
        self._reasons: list[Any] = kept.get("reasons", [])
        self._words = [words for count, words in kept.get("errors", []) for _ in range(count)]

    def replay(self, start: int, messages: Sequence[Message], into: Receipts) -> None:
        """Add the recorded receipts of the messages from `start` on, which must be final or in doubt."""
        end = start + len(messages)
        at = start
        for mark, length in _runs(self._marks[start:end]):
            some = messages[at - start : at - start + length]
            if mark == Mark.ACCEPTED:
                first = self._marks.count(Mark.ACCEPTED, 0, at)
                part = slice(first, first + length)
                into.accepted(some, self._ids[part], None if self._segments is None else self._segments[part])
            elif mark == Mark.REJECTED:
                first = self._marks.count(Mark.REJECTED, 0, at)
                into.ready([_rejected(each, kept) for each, kept in zip(some, self._reasons[first:], strict=False)])
            else:
                into.ready([Unconfirmed(each, _in_doubt(self._words_at(at + n))) for n, each in enumerate(some)])
            at += length

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
        self.replay(0, [message], into)
        [receipt] = into
        return receipt

    def _words_at(self, at: int) -> str:
        if self._marks[at] == Mark.ASSUMED_SENT:
            return ASSUMED
        # What a dead process had claimed has no words. All messages with words come before the first without, or none
        # has any: words are written by `settle`, for all messages of a part at once.
        number = self._marks.count(Mark.UNCONFIRMED, 0, at) + self._marks.count(Mark.ASSUMED_SENT, 0, at)
        return self._words[number] if number < len(self._words) else DIED


def _runs(marks: bytes) -> Iterator[tuple[int, int]]:
    for mark, run in groupby(marks):
        yield mark, sum(1 for _ in run)


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
