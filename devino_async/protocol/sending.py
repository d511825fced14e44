"""Sending: POST /sms/messages. Messages in, one receipt each out.

Encoding and reading go in small steps, as 32,000 messages at once would hold up an event loop. When a send may be
repeated is the transport's decision; cutting streams into batches is flow's.
"""

import re
from collections.abc import Generator, Sequence
from json.encoder import encode_basestring
from typing import Any

from ..errors import BadAnswer, CallFailed, NotDelivered
from ..exchange import Answer, Call
from .envelope import bad_answer, is_refusal, reasons_in, refused
from .message import Message
from .receipts import Accepted, NotSent, Receipt, Rejected, Unconfirmed
from .strict_json import LIST, Unreadable, members

__all__ = ["MAX_MESSAGES", "OPERATION", "call", "encode", "never_begun", "read", "receipts_after"]

OPERATION = "send"
PATH = "/sms/messages"
# API page, "Request body": "You can send up to 32 thousand messages at the same time."
MAX_MESSAGES = 32_000

_ANSWER_BYTES_A_MESSAGE = 1_000
_ANSWER_BYTES_BESIDE = 1_000_000
_STEP = 256
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
        ids_in=lambda body: tuple(found.decode() for found in _MESSAGE_ID.findall(body)),
    )


def _framed(slices: Sequence[bytes]) -> tuple[bytes, ...]:
    framed: list[bytes] = [b'{"messages":[']
    for index, piece in enumerate(slices):
        framed.append(piece if index == 0 else b"," + piece)
    framed.append(b"]}")
    return tuple(framed)


def read(answer: Answer, messages: Sequence[Message]) -> Generator[None, None, list[Receipt]]:
    """The receipts, one a message and in their order; yields after every few hundred.

    Results are matched by position, and only when there are as many as messages. Raises BadAnswer where nothing can
    be matched, Refused where the service refused the whole call.
    """
    reading = _Reading(answer, messages)
    problem: str | None = None
    try:
        for _, name, value in members(answer.body, "result"):
            reading.take(name, value)
            if reading.count % _STEP == 0:
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
        self.count = 0

    def take(self, name: str, value: Any) -> None:
        if name != "result":
            self._top[name] = value
        elif value is LIST:
            self._streamed = True
        elif self._streamed:
            self._item(value)
        else:
            self._top[name] = value

    def outcome(self, problem: str | None) -> list[Receipt]:
        if problem is None and not self._streamed:
            problem = self._single()
        if problem is None and self.count == len(self._messages):
            return self._receipts
        raise self._failure(problem)

    def _single(self) -> str | None:
        result = self._top.get("result")
        item = self._top if result is None and "code" in self._top else result
        if isinstance(item, dict):
            self._item(item)
            return None
        return "the answer holds no result"

    def _item(self, item: Any) -> None:
        if self.count < len(self._messages):
            self._receipts.append(self._receipt(item, self._messages[self.count]))
        elif type(item) is dict and _is_id(item.get("messageId")):
            self._surplus.append(str(item["messageId"]))
        self.count += 1

    def _receipt(self, item: Any, message: Message) -> Receipt:
        if type(item) is dict:
            code = item.get("code")
            if code == "OK":
                message_id = item.get("messageId")
                segments = item.get("segmentsId")
                if type(message_id) is str and message_id and segments is None:
                    return Accepted(message, message_id)
                if _is_id(message_id) and _are_ids(segments):
                    return Accepted(message, str(message_id), tuple(map(str, segments or ())))
            elif code == "REJECTED":
                description = item.get("description")
                return Rejected(message, reasons_in(item), description if isinstance(description, str) else None)
        return Unconfirmed(message, self._malformed_item(item))

    def _malformed_item(self, item: Any) -> BadAnswer:
        problem = "one item of the result breaks the page"
        if type(item) is dict and _is_id(item.get("messageId")):
            return bad_answer(self._answer, OPERATION, problem, (str(item["messageId"]),))
        if self._malformed is None:
            self._malformed = bad_answer(self._answer, OPERATION, problem)
        return self._malformed

    def _failure(self, problem: str | None) -> CallFailed:
        found = tuple(receipt.message_id for receipt in self._receipts if isinstance(receipt, Accepted))
        found += tuple(self._surplus)
        refuses = not self._answer.ok or (not self._streamed and is_refusal(self._top))
        if refuses and not found:
            return refused(self._answer, OPERATION, reasons_in(self._top))
        if problem is None:
            problem = f"the answer holds {self.count} results for {len(self._messages)} messages"
        return bad_answer(self._answer, OPERATION, problem, found)


def _is_id(value: object) -> bool:
    return (isinstance(value, str) and bool(value)) or (isinstance(value, int) and not isinstance(value, bool))


def _are_ids(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_id, value)))
