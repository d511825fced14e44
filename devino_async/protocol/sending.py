"""Sending: POST /sms/messages. Messages in, one receipt each out.

Encoding and reading go in small steps, as 32,000 messages at once would hold up an event loop. When a send may be
repeated is the transport's decision; cutting streams into batches is flow's.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from json.encoder import encode_basestring
from typing import Any

from ..errors import BadAnswer, CallFailed, NotDelivered, OutcomeUnknown
from ..exchange import Answer, Call
from .envelope import bad_answer, is_refusal, reasons_in, reasons_of
from .message import Message
from .receipts import Accepted, NotSent, Receipt, Rejected, Unconfirmed
from .strict_json import Run, Unreadable, members

__all__ = ["MAX_MESSAGES", "OPERATION", "call", "encode", "never_begun", "read", "receipts_after", "unforeseen"]

OPERATION = "send"
PATH = "/sms/messages"
# API page, "Request body": "You can send up to 32 thousand messages at the same time."
MAX_MESSAGES = 32_000

_ANSWER_BYTES_A_MESSAGE = 1_000
_ANSWER_BYTES_BESIDE = 1_000_000
# An accepted message as the service writes it. Whatever looks otherwise is read by the JSON scanner; this is only for
# speed, as a batch holds 32,000 of them.
_PLAIN = re.compile(
    r'\{\s*"code"\s*:\s*"OK"\s*,\s*"messageId"\s*:\s*"([0-9]{1,64})"\s*'
    r'(?:,\s*"segmentsId"\s*:\s*(?:null|\[\s*("[0-9]{1,64}"(?:\s*,\s*"[0-9]{1,64}")*)\s*\])\s*)?\}\s*,\s*(?=\{)'
)
_PLAIN_CHARACTERS = 200
_DIGITS = re.compile("[0-9]+")
_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"?([0-9]+)')
_RESULT = re.compile(rb'"result"\s*:\s*[\[{]|"code"\s*:\s*"(?:OK|REJECTED)"')


def encode(message: Message) -> bytes:
    """One message as it stands in the `messages` array: UTF-8, not escaped, fields that are None left out."""
    text = f'{{"from":{encode_basestring(message.sender)},"to":"{message.to}","text":{encode_basestring(message.text)}'
    if message.validity is not None:
        text += f',"validity":{message.validity}'
    if message.scheduled_time is not None:
        text += f',"scheduledTime":"{message.scheduled_time.isoformat(timespec="milliseconds")[:-6]}Z"'
    if message.priority is not None:
        text += f',"priority":"{message.priority}"'
    if message.callback_url is not None:
        text += f',"callbackUrl":{encode_basestring(message.callback_url)}'
    if message.options is not None:
        pairs = (f"{encode_basestring(key)}:{encode_basestring(value)}" for key, value in message.options.items())
        text += f',"options":{{{",".join(pairs)}}}'
    return (text + "}").encode()


def call(slices: Sequence[bytes], count: int, *, include_segment_id: bool = False, shorten_url: bool = False) -> Call:
    """The call for `count` encoded messages, given as slices of messages that are joined by commas already."""
    asked = (("includeSegmentId", include_segment_id), ("shortenUrl", shorten_url))
    return Call(
        operation=OPERATION,
        method="POST",
        path=PATH,
        query="&".join(f"{name}=true" for name, wanted in asked if wanted),
        body=_framed(slices),
        repeatable=False,
        messages=count,
        answer_limit=_ANSWER_BYTES_A_MESSAGE * count + _ANSWER_BYTES_BESIDE,
        carries_result=lambda body: _RESULT.search(body) is not None,
        reasons_in=reasons_of,
        ids_in=lambda body: tuple(found.decode() for found in _MESSAGE_ID.findall(body)),
    )


def _framed(slices: Sequence[bytes]) -> tuple[bytes, ...]:
    framed: list[bytes] = []
    for piece in slices:
        framed += (b",", piece)
    framed[:1] = [b'{"messages":[']
    return (*framed, b"]}")


def read(answer: Answer, messages: Sequence[Message]) -> Generator[None, None, list[Receipt]]:
    """The receipts, one a message and in their order; yields after every few hundred.

    Results are matched by position, and only when there are as many as messages. Raises BadAnswer where nothing can
    be matched, Refused where the service refused the whole call.
    """
    reading = _Reading(answer, messages)
    problem: str | None = None
    try:
        for _, name, value in members(answer.body, "result", skim=_skim):
            reading.take(name, value)
            yield
    except Unreadable as error:
        problem = str(error)
    return reading.outcome(problem)


def receipts_after(error: CallFailed, messages: Sequence[Message]) -> list[Receipt]:
    """The receipts of messages whose call failed: NotSent where that is proved, else Unconfirmed."""
    made = NotSent if error.proves_unsent else Unconfirmed
    return [made(message, error) for message in messages]


def never_begun(why: str) -> NotDelivered:
    """The error for messages that were read and for which no request was made, or none that could arrive."""
    return NotDelivered(why, operation=OPERATION, attempts=0)


def unforeseen(error: Exception) -> OutcomeUnknown:
    """The error for messages whose batch met something that nobody foresaw; on the safe side."""
    return OutcomeUnknown(f"something unforeseen happened ({type(error).__name__})", operation=OPERATION)


def _skim(text: str, at: int, most: int) -> tuple[list[Any], int]:
    taken: list[Any] = []
    for plain in _PLAIN.finditer(text, at, at + most * _PLAIN_CHARACTERS):
        if plain.start() != at or len(taken) == most:
            break
        taken.append(plain)
        at = plain.end()
    return taken, at


class _Reading:
    """What has been read of one answer so far."""

    def __init__(self, answer: Answer, messages: Sequence[Message]) -> None:
        self._answer = answer
        self._messages = messages
        self._receipts: list[Receipt] = []
        self._streamed = False
        self._top: dict[str, Any] = {}
        self._malformed: BadAnswer | None = None
        self._surplus: list[str] = []
        self._doubtful = False
        self._count = 0

    def take(self, name: str, value: Any) -> None:
        if type(value) is Run:
            self._streamed = True
            self._take_run(value)
        else:
            self._top[name] = value

    def _take_run(self, run: Run) -> None:
        answered = self._messages[self._count : self._count + len(run)]
        self._receipts += [
            Accepted(message, item[1]) if type(item) is re.Match and item[2] is None else self._receipt(item, message)
            for item, message in zip(run, answered, strict=False)
        ]
        for item in run[len(answered) :]:
            self._surplus += [] if (found := _id_of(item)) is None else [found]
            self._doubtful = self._doubtful or not (type(item) is dict and item.get("code") == "REJECTED")
        self._count += len(run)

    def outcome(self, problem: str | None) -> list[Receipt]:
        if problem is None and not self._streamed:
            self._take_single()
        if problem is None and self._count == len(self._messages) and (self._streamed or self._count):
            return self._receipts
        raise self._failure(problem)

    def _take_single(self) -> None:
        """The result may be one object in place of a list, and that may stand at the top level."""
        result = self._top.get("result")
        item = self._top if result is None and "code" in self._top else result
        if isinstance(item, dict):
            self._take_run(Run([item]))

    def _receipt(self, item: Any, message: Message) -> Receipt:
        if type(item) is re.Match:
            return Accepted(message, item[1], tuple(_DIGITS.findall(item[2] or "")))
        if type(item) is dict:
            code, message_id, segments = item.get("code"), item.get("messageId"), item.get("segmentsId")
            if code == "OK" and _is_id(message_id) and _are_ids(segments):
                return Accepted(message, str(message_id), tuple(map(str, segments or ())))
            if code == "REJECTED":
                said = item.get("description")
                reasons = tuple(map(self._answer.cleared_reason, reasons_in(item)))
                return Rejected(message, reasons, said if isinstance(said, str) else None)
        return Unconfirmed(message, self._malformed_item(_id_of(item)))

    def _malformed_item(self, found: str | None) -> BadAnswer:
        problem = "one item of the result breaks the page"
        if found is not None:
            return bad_answer(self._answer, OPERATION, problem, (found,))
        if self._malformed is None:
            self._malformed = bad_answer(self._answer, OPERATION, problem)
        return self._malformed

    def _failure(self, problem: str | None) -> CallFailed:
        if self._answer.ok:
            refuses = problem is None and not self._count and not self._streamed and is_refusal(self._top)
        else:
            all_rejected = not self._doubtful and all(type(each) is Rejected for each in self._receipts)
            refuses = all_rejected and not (self._streamed and problem is not None)
        if refuses:
            return self._answer.refused(OPERATION, reasons_in(self._top))
        if problem is None and not self._count and not self._streamed:
            problem = "the answer holds no result"
        if problem is None:
            problem = f"the answer holds {self._count} results for {len(self._messages)} messages"
        return bad_answer(self._answer, OPERATION, problem, (*self._ids_seen(), *self._surplus))

    def _ids_seen(self) -> Iterator[str]:
        for receipt in self._receipts:
            if isinstance(receipt, Accepted):
                yield receipt.message_id
            elif isinstance(receipt, Unconfirmed):
                yield from receipt.error.message_ids


def _id_of(item: Any) -> str | None:
    """The id in an item of the result, if there is one at all."""
    if type(item) is re.Match:
        return str(item[1])
    found = item.get("messageId") if isinstance(item, dict) else None
    return str(found) if _is_id(found) else None


def _is_id(value: object) -> bool:
    return (isinstance(value, str) and bool(value)) or (isinstance(value, int) and not isinstance(value, bool))


def _are_ids(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_id, value)))
