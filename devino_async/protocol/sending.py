"""Sending: POST /sms/messages, how messages travel. Its answer is send_results.py's.

When a send may be repeated is the transport's decision; cutting streams into batches is flow's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring

from ..errors import CallFailed, InvalidMessage, OutcomeUnknown, Reason, RequestNotSent
from ..exchange import Call
from .message import Message
from .receipts import Receipts
from .wire.envelope import refused_as_told

__all__ = [
    "MAX_MESSAGES",
    "OPERATION",
    "call",
    "encode",
    "encode_one",
    "ids_in",
    "may_accept",
    "never_begun",
    "receipts_after",
    "unforeseen",
]

OPERATION = "send"
PATH = "/sms/messages"
# API page, "Request body": "You can send up to 32 thousand messages at the same time."
MAX_MESSAGES = 32_000

_ANSWER_BYTES_A_MESSAGE = 1_000
_ANSWER_BYTES_BESIDE = 1_000_000
_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"?([0-9]+)', re.IGNORECASE)
_ACCEPTED = rb'"code"\s*:\s*"OK"|"messageId"\s*:\s*"?[0-9]'
_RESULT = re.compile(rb'"result"\s*:\s*[\[{]|"code"\s*:\s*"REJECTED"|' + _ACCEPTED, re.IGNORECASE)
_ACCEPTS = re.compile(_ACCEPTED, re.IGNORECASE)


def encode(messages: Iterable[Message]) -> Iterator[str]:
    """Yield each message as it stands in the `messages` array: not escaped, without fields that are None.

    Raises InvalidMessage for anything that is not a Message.
    """
    sender, head = "", '{"from":"","to":"'
    text, escaped = "", '""'
    for message in messages:
        if type(message) is not Message:
            problem = _not_a_message(message)
            # Error trackers record the locals of frames. This one must not show what is personal.
            del messages, message, text, escaped, sender, head
            raise problem
        # A campaign has one sender, and often one text.
        if message.text != text:
            text = message.text
            escaped = encode_basestring(text)
        if message.sender is not sender:
            sender = message.sender
            head = f'{{"from":{encode_basestring(sender)},"to":"'
        if (
            message.validity is None
            and message.scheduled_time is None
            and message.priority is None
            and message.callback_url is None
            and message.options is None
        ):
            yield f'{head}{message.to}","text":{escaped}}}'
        else:
            yield f'{head}{message.to}","text":{escaped}{_encoded_rest(message)}}}'


def encode_one(message: Message) -> str:
    """Return the same for one message alone."""
    if type(message) is not Message:
        problem = _not_a_message(message)
        del message
        raise problem
    sender, text = encode_basestring(message.sender), encode_basestring(message.text)
    return f'{{"from":{sender},"to":"{message.to}","text":{text}{_encoded_rest(message)}}}'


def _not_a_message(value: object) -> InvalidMessage:
    return InvalidMessage([Reason("invalid", "messages", f"must be Message, not {type(value).__name__}")])


def _encoded_rest(message: Message) -> str:
    text = ""
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
    return text


def call(
    slices: Sequence[bytes],
    count: int,
    *,
    include_segment_id: bool = False,
    shorten_url: bool = False,
    urgent: bool = False,
) -> Call:
    """The call for `count` encoded messages, given as slices of messages that are joined by commas already."""
    asked = (("includeSegmentId", include_segment_id), ("shortenUrl", shorten_url))
    return Call(
        operation=OPERATION,
        method="POST",
        path=PATH,
        query="&".join(f"{name}=true" for name, wanted in asked if wanted),
        body=_framed(slices),
        repeatable=False,
        urgent=urgent,
        messages=count,
        answer_limit=_ANSWER_BYTES_A_MESSAGE * count + _ANSWER_BYTES_BESIDE,
        carries_result=lambda body: _RESULT.search(body) is not None,
        refusal=refused_as_told,
        ids_in=ids_in,
    )


def ids_in(body: bytes) -> tuple[str, ...]:
    """Every message id in a body that cannot be trusted."""
    return tuple(found.decode() for found in _MESSAGE_ID.findall(body))


def may_accept(body: bytes) -> bool:
    """Whether anything in a body looks like a message that was accepted, wherever it stands."""
    return _ACCEPTS.search(body) is not None


def _framed(slices: Sequence[bytes]) -> tuple[bytes, ...]:
    framed: list[bytes] = []
    for piece in slices:
        framed += (b",", piece)
    framed[:1] = [b'{"messages":[']
    return (*framed, b"]}")


def receipts_after(error: CallFailed, messages: Sequence[Message]) -> Receipts:
    """The receipts of messages whose call failed: NotSent where that is proved, else Unconfirmed."""
    receipts = Receipts()
    receipts.failed(messages, error)
    return receipts


def never_begun(why: str) -> RequestNotSent:
    """The error for messages that were read and for which no request was made, or none that could arrive."""
    return RequestNotSent(why, operation=OPERATION, attempts=0)


def unforeseen(error: BaseException) -> OutcomeUnknown:
    """The error for messages whose batch met something that nobody foresaw; on the safe side."""
    return OutcomeUnknown(f"something unforeseen happened ({type(error).__name__})", operation=OPERATION)
