"""Sending: POST /sms/messages, how messages are encoded and sent. The answer is read in send_results.py.

The transport decides when a send may be repeated. Streams are cut into batches in flow/.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from json.encoder import encode_basestring

from ..errors import CallFailed, InvalidMessage, OutcomeUnknown, Reason, RequestNotSent
from ..exchange import Admission, Call, Claim
from .message import Message, missed_schedule
from .receipts import Receipts
from .wire.endpoint import Endpoint

__all__ = [
    "ENDPOINT",
    "MAX_MESSAGES",
    "call",
    "encode",
    "encode_in_steps",
    "encode_one",
    "ids_in",
    "may_accept",
    "may_be_scheduled",
    "missed_schedule",
    "never_begun",
    "receipts_after",
    "require_message",
    "unforeseen",
]

_MESSAGES_A_STEP = 512
_SLICES_A_STEP = 32
_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"?([0-9]+)', re.IGNORECASE)
_ACCEPTED = rb'"code"\s*:\s*"OK"|"messageId"\s*:\s*"?[0-9]'
_RESULT = re.compile(rb'"result"\s*:\s*[\[{]|"code"\s*:\s*"REJECTED"|' + _ACCEPTED, re.IGNORECASE)
_ACCEPTS = re.compile(_ACCEPTED, re.IGNORECASE)


def ids_in(body: bytes) -> tuple[str, ...]:
    """Return every message id in a body that cannot be trusted."""
    return tuple(found.decode() for found in _MESSAGE_ID.findall(body))


def may_accept(body: bytes) -> bool:
    """Return whether something anywhere in a body looks like an accepted message."""
    return _ACCEPTS.search(body) is not None


def _carries_result(body: bytes) -> bool:
    return _RESULT.search(body) is not None


ENDPOINT = Endpoint(
    operation="send",
    method="POST",
    path="/sms/messages",
    repeatable=False,
    max_answer_bytes=1_000_000,
    max_answer_bytes_per_message=1_000,
    carries_result=_carries_result,
    ids_in=ids_in,
)
# API docs, "Request body": "You can send up to 32 thousand messages at the same time."
MAX_MESSAGES = 32_000


def encode(messages: Iterable[Message]) -> Iterator[str]:
    """Yield the JSON of each message: non-ASCII stays unescaped, and fields that are None are left out.

    Raises InvalidMessage for anything that is not a Message.
    """
    sender, head = "", '{"from":"","to":"'
    text, escaped = "", '""'
    for message in messages:
        if type(message) is not Message:
            problem = _not_a_message(message)
            # Error trackers record the locals of frames, so this frame must not hold personal data.
            del messages, message, text, escaped, sender, head
            raise problem
        # A campaign has one sender and often one text, so each is escaped again only when it changes.
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
            yield f'{head}{message.to}","text":{escaped}{encoded_rest(message)}}}'


def encode_one(message: Message) -> str:
    """Return the JSON of one message. `encode` yields the same for it."""
    if type(message) is not Message:
        problem = _not_a_message(message)
        del message
        raise problem
    sender, text = encode_basestring(message.sender), encode_basestring(message.text)
    return f'{{"from":{sender},"to":"{message.to}","text":{text}{encoded_rest(message)}}}'


def require_message(value: object) -> None:
    """Raise InvalidMessage for anything that is not a Message."""
    if type(value) is not Message:
        raise _not_a_message(value)


def _not_a_message(value: object) -> InvalidMessage:
    return InvalidMessage([Reason("invalid", "messages", f"must be Message, not {type(value).__name__}")])


def encoded_rest(message: Message) -> str:
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
    admission: Admission | None = None,
    claim: Claim | None = None,
) -> Call:
    """Return the call for `count` encoded messages. The messages in each slice are already joined by commas."""
    asked = (("includeSegmentId", include_segment_id), ("shortenUrl", shorten_url))
    query = "&".join(f"{name}=true" for name, wanted in asked if wanted)
    return ENDPOINT.call(
        query=query, body=_framed(slices), messages=count, urgent=urgent, admission=admission, claim=claim
    )


def _framed(slices: Sequence[bytes]) -> tuple[bytes, ...]:
    framed: list[bytes] = []
    for piece in slices:
        framed += (b",", piece)
    framed[:1] = [b'{"messages":[']
    return (*framed, b"]}")


def may_be_scheduled(slices: Sequence[bytes]) -> Generator[None, None, bool]:
    """Return whether any of the encoded messages may have a scheduled time. Yields after every half a megabyte or so.

    A message's text cannot contain the bytes that are searched for, because quotes in a text are escaped.
    """
    for number, piece in enumerate(slices, 1):
        if b',"scheduledTime":"' in piece:
            return True
        if number % _SLICES_A_STEP == 0:
            yield
    return False


def encode_in_steps(messages: Sequence[Message]) -> Generator[None, None, list[bytes]]:
    """Return messages as slices for `call`. Yields after every few hundred of them."""
    slices: list[bytes] = []
    for at in range(0, len(messages), _MESSAGES_A_STEP):
        if at:
            yield
        slices.append(",".join(encode(messages[at : at + _MESSAGES_A_STEP])).encode())
    return slices


def receipts_after(error: CallFailed, messages: Sequence[Message]) -> Receipts:
    """Return the receipts of messages whose call failed: NotSent if the error proves it, else Unconfirmed."""
    receipts = Receipts()
    receipts.failed(messages, error)
    return receipts


def never_begun(why: str) -> RequestNotSent:
    """Return the error for messages from the input whose request was never made or cannot have arrived."""
    return RequestNotSent(why, operation=ENDPOINT.operation, attempts=0)


def unforeseen(error: BaseException) -> OutcomeUnknown:
    """Return the error for messages whose batch failed with an unexpected exception. They may have been sent."""
    return OutcomeUnknown(f"something unforeseen happened ({type(error).__name__})", operation=ENDPOINT.operation)
