"""The results of a send: the answer to POST /sms/messages becomes one receipt for each message.

First the answer is read in small steps, because reading 32,000 results at once would block the event loop. Then
`decide` says what the answer means as a whole. Sending messages is in sending.py, and reading accepted results fast is
in skimming.py.
"""

import re
from collections.abc import Generator, Sequence
from enum import Enum
from functools import partial
from itertools import chain, starmap
from typing import Any

from attrs import frozen

from ..errors import BadAnswer, CallFailed, Reason
from ..exchange import Answer
from .message import Message
from .receipt_runs import MixedRun, Receipts
from .receipts import Rejected
from .sending import ENDPOINT, ids_in, may_accept
from .skimming import Skimmed, skim
from .wire.envelope import bad_answer, cleared, is_refusal, reason_texts_in, reasons_from_envelope, refused
from .wire.strict_json import Run, Unreadable, decode, members, text_in_steps

__all__ = ["Facts", "Meaning", "account_reasons", "decide", "read"]

# Answers up to this length, about a hundred results, are read in one piece.
_SHORT_BYTES = 8_192
_ITEMS_A_STEP = 64
# The `ref` of a reason that lies with no message: empty, or a message without a field of it, or a sender.
_OF_THE_ACCOUNT = re.compile(r"(?:messages?)?(?:\[\w*\]|\.\d+)?|(?:.*\.)?from")


class Meaning(Enum):
    """What an answer to a send means as a whole."""

    RECEIPTS = "each result is for one message"
    REFUSED = "the service refused the call and sent nothing"
    UNTRUSTED = "any message may have been sent"


@frozen(kw_only=True)
class Facts:
    """What is known about one answer after it was read.

    - `ok`: the status is 2xx.
    - `whole`: the body was read to its end.
    - `has_results`: there is a list of results, even an empty one, or a single result.
    - `matched`: there are as many results as messages.
    - `only_rejections`: each result is a rejection.
    - `may_accept`: something anywhere in the body looks like an accepted message.
    - `says_why`: the envelope gives reasons instead of a result.
    """

    ok: bool
    whole: bool
    has_results: bool
    matched: bool
    only_rejections: bool
    may_accept: bool
    says_why: bool


def decide(facts: Facts) -> Meaning:
    """Return what an answer means. REFUSED needs proof, because the messages may then be sent again."""
    if facts.whole and facts.has_results and facts.matched:
        return Meaning.RECEIPTS
    if facts.ok:
        proved = facts.whole and not facts.has_results and facts.says_why
    else:
        # An error status proves nothing if the body may report accepted messages anywhere.
        readable = facts.whole or not facts.has_results
        proved = readable and facts.only_rejections and not facts.may_accept
    return Meaning.REFUSED if proved else Meaning.UNTRUSTED


def read(answer: Answer, messages: Sequence[Message]) -> Generator[None, None, Receipts]:
    """Return one receipt for each message, in order. Yields after every few dozen or few hundred results.

    Results are matched to messages by position, and only if there are as many results as messages. Raises BadAnswer if
    they cannot be matched, and Refused if the service refused the whole call.
    """
    reading = _Reading(answer, messages)
    problem: str | None = None
    if len(answer.body) > _SHORT_BYTES or not _read_at_once(reading, answer.body):
        problem = yield from _read_in_steps(reading, answer.body)
    # This raises, so the text of the answer must not be a local here: error trackers record locals.
    return reading.outcome(problem)


def account_reasons(receipts: Receipts) -> Generator[None, None, tuple[Reason, ...]]:
    """Return the reason why every message was rejected, if the cause is the account or the sender.

    This is the case if all reasons have the same key, and a `ref` that is empty, or names only the message, or names
    the sender. Otherwise the result is empty. Yields after every few dozen receipts.
    """
    shared: Reason | None = None
    for number, receipt in enumerate(receipts, 1):
        reasons = receipt.reasons if isinstance(receipt, Rejected) else ()
        for reason in reasons:
            shared = shared or reason
            if reason.key != shared.key or not _OF_THE_ACCOUNT.fullmatch(reason.ref or ""):
                return ()
        if not reasons:
            return ()
        if number % _ITEMS_A_STEP == 0:
            yield
    return () if shared is None else (shared,)


def _read_in_steps(reading: "_Reading", body: bytes) -> Generator[None, None, str | None]:
    """Read a long answer, or a broken one. Return what is wrong with it, or None."""
    paused_at = 0
    try:
        text = yield from text_in_steps(body)
        for _, name, value in members(text, "result", skim=skim):
            reading.record(name, value)
            if reading.count >= paused_at + _ITEMS_A_STEP:
                paused_at = reading.count
                yield
    except Unreadable as error:
        return str(error)
    return None


def _read_at_once(reading: "_Reading", body: bytes) -> bool:
    """Read a short answer in one piece, such as that of a single send. Return False if it is broken.

    Reading a broken answer in steps may still find ids in it.
    """
    try:
        envelope = decode(body)
    except Unreadable:
        return False
    if type(envelope) is not dict:
        return False
    for name, value in envelope.items():
        reading.record(name, Run(value) if name == "result" and type(value) is list else value)
    return True


class _Reading:
    """What has been read of one answer so far."""

    def __init__(self, answer: Answer, messages: Sequence[Message]) -> None:
        self.count = 0
        self._answer = answer
        self._messages = messages
        self._receipts = Receipts()
        self._listed = False
        self._only_rejections = True
        self._top: dict[str, Any] = {}
        self._malformed: BadAnswer | None = None
        # All ids that were found. They are the evidence if the answer as a whole cannot be trusted.
        self._ids: list[str] = []

    def record(self, name: str, value: Any) -> None:
        """Record one member of the envelope, or some items of its result."""
        if type(value) is Skimmed:
            self._listed = True
            self._record_skimmed(value)
        elif type(value) is Run:
            self._listed = True
            self._record_run(value)
        else:
            self._top[name] = value

    def _record_skimmed(self, skimmed: Skimmed) -> None:
        answered = self._answered(len(skimmed))
        self._receipts.accepted(answered, skimmed.ids[: len(answered)], skimmed.segments)
        self._ids += skimmed.ids
        self._only_rejections = False

    def _record_run(self, run: Run) -> None:
        answered = self._answered(len(run))
        mixed = MixedRun(answered)
        for item in run[: len(answered)]:
            self._append(item, mixed)
        self._receipts.mixed(mixed)
        self._ids += [found for found in map(_id_of, run) if found is not None]
        self._only_rejections = self._only_rejections and all(map(_rejects, run))

    def _answered(self, count: int) -> Sequence[Message]:
        """Return the messages for the next `count` results, or fewer if the answer has more results than messages."""
        self.count += count
        return self._messages[self.count - count : self.count]

    def _append(self, item: Any, mixed: MixedRun) -> None:
        """Append the outcome of the next message, taken from its item in the result."""
        if type(item) is dict:
            code, message_id, segments = item.get("code"), item.get("messageId"), item.get("segmentsId")
            if code == "OK" and _is_id(message_id) and _are_ids(segments):
                return mixed.append_accepted(str(message_id), tuple(map(str, segments or ())))
            if code == "REJECTED":
                redaction, said = self._answer.redaction, item.get("description")
                texts = starmap(partial(cleared, redaction), reason_texts_in(item))
                said = redaction.without_secrets(said) if isinstance(said, str) else None
                return mixed.append_rejected(said, tuple(chain.from_iterable(texts)))
        return mixed.append_unconfirmed(self._malformed_item(_id_of(item)))

    def _malformed_item(self, found: str | None) -> BadAnswer:
        problem = "one item of the result does not match the API docs"
        if self._malformed is None:
            self._malformed = bad_answer(self._answer, ENDPOINT.operation, problem)
        if found is None:
            return self._malformed
        return bad_answer(self._answer, ENDPOINT.operation, problem, (found,), excerpt=self._malformed.body)

    def outcome(self, problem: str | None) -> Receipts:
        """Return the receipts, or raise the error that the answer means.

        `problem` says why the answer could not be read to its end, or is None.
        """
        if problem is None and not self._listed:
            self._record_single()
        facts = self._facts(whole=problem is None)
        meaning = decide(facts)
        if meaning is Meaning.RECEIPTS:
            return self._receipts
        raise self._refused() if meaning is Meaning.REFUSED else self._untrusted(problem, facts)

    def _record_single(self) -> None:
        """Record a result that is a single object instead of a list. The envelope itself may be that object."""
        result = self._top.get("result")
        item = self._top if result is None and "code" in self._top else result
        if isinstance(item, dict):
            self._record_run(Run([item]))

    def _facts(self, *, whole: bool) -> Facts:
        has_results = self._listed or self.count > 0
        matched = self.count == len(self._messages)
        return Facts(
            ok=self._answer.ok,
            whole=whole,
            has_results=has_results,
            matched=matched,
            only_rejections=self._only_rejections,
            # This searches the whole body, so it is skipped where it could change nothing.
            may_accept=not self._answer.ok and not matched and may_accept(self._answer.body),
            says_why=not has_results and is_refusal(self._top),
        )

    def _refused(self) -> CallFailed:
        return refused(self._answer, ENDPOINT.operation, reasons_from_envelope(self._top))

    def _untrusted(self, problem: str | None, facts: Facts) -> CallFailed:
        if problem is None and facts.has_results:
            problem = f"the answer holds {self.count} results for {len(self._messages)} messages"
        ids = tuple(self._ids) or ids_in(self._answer.body)
        return bad_answer(self._answer, ENDPOINT.operation, problem or "the answer holds no result", ids)


def _rejects(item: Any) -> bool:
    return type(item) is dict and item.get("code") == "REJECTED"


def _id_of(item: Any) -> str | None:
    """Return the id in an item of the result, if there is one at all."""
    found = item.get("messageId") if isinstance(item, dict) else None
    return str(found) if _is_id(found) else None


def _is_id(value: object) -> bool:
    return (isinstance(value, str) and bool(value)) or (isinstance(value, int) and not isinstance(value, bool))


def _are_ids(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_id, value)))
