"""The results of a send: the answer to POST /sms/messages becomes one receipt for each message.

Reading goes in small steps, as 32,000 results at once would hold up an event loop. How messages travel is sending.py's.
"""

import re
from collections.abc import Generator, Sequence
from functools import partial
from itertools import chain, starmap
from typing import Any

from attrs import frozen

from ..errors import BadAnswer, CallFailed
from ..exchange import Answer
from .message import Message
from .receipts import Accepted, Receipt, Receipts, Rejected, Told, Unconfirmed
from .sending import OPERATION, ids_in, may_accept
from .wire.envelope import bad_answer, cleared, is_refusal, reason_texts_in, reasons_from_envelope, refused
from .wire.strict_json import Run, Unreadable, decode, members, text_in_steps

__all__ = ["read"]

# An accepted message as the service writes it, another one behind it. Whatever looks otherwise is read by the JSON
# scanner; this is only for speed, as a batch holds 32,000 of them.
_PLAIN = re.compile(
    r'(?P<before>\{\s*"code"\s*:\s*"OK"\s*,\s*"messageId"\s*:\s*")(?P<id>[0-9]{1,64})'
    r'(?P<after>"\s*(?:,\s*"segmentsId"\s*:\s*(?:null|\[\s*(?P<segments>"[0-9]{1,64}"(?:\s*,\s*"[0-9]{1,64}")*)\s*\])'
    r"\s*)?\}\s*,\s*)(?=\{)"
)
_PLAIN_A_SKIM = 512
_SEGMENTED_CHARACTERS_A_SKIM = _PLAIN_A_SKIM * 200
_LONGEST_ID = 64
# About a hundred results.
_SHORT_BYTES = 8_192
_ID_LENGTHS = frozenset(range(1, _LONGEST_ID + 1))
_ITEMS_A_STEP = 64


def read(answer: Answer, messages: Sequence[Message]) -> Generator[None, None, Receipts]:
    """The receipts, one a message and in their order; yields after every few dozen, or few hundred plain ones.

    Results are matched by position, and only when there are as many as messages. Raises BadAnswer where nothing can
    be matched, Refused where the service refused the whole call.
    """
    reading = _Reading(answer, messages)
    problem: str | None = None
    if len(answer.body) > _SHORT_BYTES or not _read_at_once(reading, answer.body):
        problem = yield from _read_in_steps(reading, answer.body)
    # This raises, so the text of the answer must not be a local here: error trackers record locals.
    return reading.outcome(problem)


def _read_in_steps(reading: "_Reading", body: bytes) -> Generator[None, None, str | None]:
    """Read a long answer, or a broken one; gives what is wrong with it."""
    paused_at = 0
    try:
        text = yield from text_in_steps(body)
        for _, name, value in members(text, "result", skim=_skim):
            reading.take(name, value)
            if reading.count >= paused_at + _ITEMS_A_STEP:
                paused_at = reading.count
                yield
    except Unreadable as error:
        return str(error)
    return None


def _read_at_once(reading: "_Reading", body: bytes) -> bool:
    """Read a short answer in one piece, as single sends have; False for one that is broken, which may hold ids."""
    try:
        envelope = decode(body)
    except Unreadable:
        return False
    if type(envelope) is not dict:
        return False
    for name, value in envelope.items():
        reading.take(name, Run(value) if name == "result" and type(value) is list else value)
    return True


@frozen
class _Plain:
    """Accepted messages that were skimmed: their ids and, where there are any, those of their segments as text."""

    ids: list[str]
    segments: list[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def _skim(text: str, at: int) -> tuple[_Plain, int]:
    first = _PLAIN.match(text, at)
    if first is None:
        return _Plain([]), at
    return _skim_segmented(text, at) if first["segments"] else _skim_alike(text, at, first)


def _skim_alike(text: str, at: int, first: re.Match[str]) -> tuple[_Plain, int]:
    """Accepted messages that are written as the first one is, but for the id."""
    begun, between = first.start("id"), first["after"] + first["before"]
    window = text[begun : begun + (first.end() - at + 1) * _PLAIN_A_SKIM]
    # Behind the last separator stands what may be cut off, or followed by something else.
    ids = window.split(between, _PLAIN_A_SKIM)[:-1]
    whole = "".join(ids)
    if not (whole.isdigit() and whole.isascii() and _ID_LENGTHS.issuperset(map(len, ids))):
        good = [each.isdigit() and each.isascii() and len(each) <= _LONGEST_ID for each in ids]
        ids = ids[: good.index(False)] if False in good else ids
        whole = "".join(ids)
    if not ids:
        return _Plain([first["id"]]), first.end()
    return _Plain(ids), at + len(whole) + len(ids) * len(between)


def _skim_segmented(text: str, at: int) -> tuple[_Plain, int]:
    ids: list[str] = []
    segments: list[str] = []
    for plain in _PLAIN.finditer(text, at, at + _SEGMENTED_CHARACTERS_A_SKIM):
        if plain.start() != at or len(ids) == _PLAIN_A_SKIM:
            break
        ids.append(plain["id"])
        segments.append(plain["segments"] or "")
        at = plain.end()
    return _Plain(ids, segments), at


class _Reading:
    """What has been read of one answer so far."""

    def __init__(self, answer: Answer, messages: Sequence[Message]) -> None:
        self.count = 0
        self._answer = answer
        self._messages = messages
        self._receipts = Receipts()
        self._streamed = False
        self._top: dict[str, Any] = {}
        self._malformed: BadAnswer | None = None
        # All ids that were found: the evidence where the answer as a whole cannot be trusted.
        self._ids: list[str] = []
        self._doubtful = False

    def take(self, name: str, value: Any) -> None:
        if type(value) is _Plain:
            self._streamed = True
            self._take_plain(value)
        elif type(value) is Run:
            self._streamed = True
            self._take_run(value)
        else:
            self._top[name] = value

    def _take_plain(self, plain: _Plain) -> None:
        answered = self._answered(len(plain))
        self._receipts.accepted(answered, plain.ids[: len(answered)], plain.segments)
        self._ids += plain.ids
        self._doubtful = self._doubtful or len(plain) > len(answered)

    def _take_run(self, run: Run) -> None:
        answered = self._answered(len(run))
        kinds: list[type[Receipt]] = []
        told: list[Told] = []
        for item in run[: len(answered)]:
            kind, inside = self._outcome(item)
            kinds.append(kind)
            told.append(inside)
        self._receipts.add(answered, kinds, told)
        self._ids += [found for found in map(_id_of, run) if found is not None]
        surplus = run[len(answered) :]
        self._doubtful = self._doubtful or not all(
            type(item) is dict and item.get("code") == "REJECTED" for item in surplus
        )

    def _answered(self, count: int) -> Sequence[Message]:
        """The messages that the next results are for; fewer where there are more results than messages."""
        self.count += count
        return self._messages[self.count - count : self.count]

    def outcome(self, problem: str | None) -> Receipts:
        if problem is None and not self._streamed:
            self._take_single()
        if problem is None and self.count == len(self._messages) and (self._streamed or self.count):
            return self._receipts
        raise self._failure(problem)

    def _take_single(self) -> None:
        """The result may be one object in place of a list, and that may stand at the top level."""
        result = self._top.get("result")
        item = self._top if result is None and "code" in self._top else result
        if isinstance(item, dict):
            self._take_run(Run([item]))

    def _outcome(self, item: Any) -> tuple[type[Receipt], Told]:
        """The kind of receipt that an item of the result is, and what it tells."""
        if type(item) is dict:
            code, message_id, segments = item.get("code"), item.get("messageId"), item.get("segmentsId")
            if code == "OK" and _is_id(message_id) and _are_ids(segments):
                return Accepted, (str(message_id), tuple(map(str, segments or ())))
            if code == "REJECTED":
                said = item.get("description")
                said = self._answer.redaction.without_secrets(said) if isinstance(said, str) else None
                texts = chain.from_iterable(starmap(partial(cleared, self._answer.redaction), reason_texts_in(item)))
                return Rejected, (said, *texts)
        return Unconfirmed, (self._malformed_item(_id_of(item)),)

    def _malformed_item(self, found: str | None) -> BadAnswer:
        problem = "one item of the result breaks the page"
        if self._malformed is None:
            self._malformed = bad_answer(self._answer, OPERATION, problem)
        if found is None:
            return self._malformed
        return bad_answer(self._answer, OPERATION, problem, (found,), excerpt=self._malformed.body)

    def _failure(self, problem: str | None) -> CallFailed:
        if self._answer.ok:
            refuses = problem is None and not self.count and not self._streamed and is_refusal(self._top)
        else:
            # The status alone proves nothing where the body may say otherwise, in whatever form.
            all_rejected = not self._doubtful and set(self._receipts.counts) <= {Rejected}
            read = problem is None or not self._streamed
            refuses = all_rejected and read and not may_accept(self._answer.body)
        if refuses:
            return refused(self._answer, OPERATION, reasons_from_envelope(self._top))
        if problem is None and not self.count and not self._streamed:
            problem = "the answer holds no result"
        if problem is None:
            problem = f"the answer holds {self.count} results for {len(self._messages)} messages"
        return bad_answer(self._answer, OPERATION, problem, tuple(self._ids) or ids_in(self._answer.body))


def _id_of(item: Any) -> str | None:
    """The id in an item of the result, if there is one at all."""
    found = item.get("messageId") if isinstance(item, dict) else None
    return str(found) if _is_id(found) else None


def _is_id(value: object) -> bool:
    return (isinstance(value, str) and bool(value)) or (isinstance(value, int) and not isinstance(value, bool))


def _are_ids(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_id, value)))
