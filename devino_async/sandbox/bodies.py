"""JSON bodies of requests. A big array of messages is parsed in slices, which keeps the event loop free.

The meaning of the messages is in message.py and sending.py.
"""

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

from aiohttp import web

from .envelope import Refusal

__all__ = ["MAX_MESSAGES", "json_in", "slices_of"]

MAX_MESSAGES = 32_000
# Characters of JSON parsed in one slice: well below a millisecond of work.
_SLICE = 16_384
_HEAD = re.compile(r'\s*\{\s*"messages"\s*:\s*\[\s*(?=\{)')
_BETWEEN = re.compile(r"\s*,\s*")
_TAIL = re.compile(r"\s*\]\s*\}\s*")
# Half a surrogate pair comes by an escape only, because the body is UTF-8.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


async def json_in(request: web.Request) -> Any:
    """Return the parsed body. Raises Refusal if it is not JSON in UTF-8, or holds half a surrogate pair."""
    text = _decoded(await request.read())
    parsed = _parsed(text)
    if _SURROGATE.search(text):
        try:
            json.dumps(parsed, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Refusal("invalid", "", "the body must hold no half of a surrogate pair") from None
    return parsed


def slices_of(body: bytes) -> Iterator[list[Any]]:
    """Yield the messages of `{"messages": [...]}` in slices.

    Raises Refusal if the body has no such array, or more than 32,000 messages.
    """
    text = _decoded(body)
    head = _HEAD.match(text)
    if head is None:
        yield from _whole(text)
        return
    found, position, more = 0, head.end(), True
    while more:
        messages, position, more = _slice(text, position)
        found += len(messages)
        if found > MAX_MESSAGES:
            raise _too_many()
        yield messages
    if not _TAIL.fullmatch(text, position):
        # Something follows the array. Parsing the whole body accepts other members and refuses garbage.
        _parsed(text)


def _slice(text: str, position: int) -> tuple[list[Any], int, bool]:
    """Return the messages from a position on, the position of their end, and whether another message follows."""
    messages, limit = [], position + _SLICE
    while True:
        try:
            message, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            raise _no_json() from None
        messages.append(message)
        comma = _BETWEEN.match(text, position)
        if comma is None:
            return messages, position, False
        position = comma.end()
        if position > limit:
            return messages, position, True


def _whole(text: str) -> Iterator[list[Any]]:
    body = _parsed(text)
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        raise Refusal("must.be.not.null", "messages", "must be an array of messages")
    if len(messages) > MAX_MESSAGES:
        raise _too_many()
    yield messages


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise _no_json() from None


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise _no_json() from None


def _finite(number: str) -> float:
    """Return a number that an answer in JSON can hold: Infinity and NaN are no JSON."""
    value = float(number)
    if not isfinite(value):
        raise ValueError("the number is too big")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def _no_json() -> Refusal:
    return Refusal("invalid", "", "the body must be JSON")


def _too_many() -> Refusal:
    return Refusal("too.many.messages", "messages", f"must hold at most {MAX_MESSAGES} messages")
