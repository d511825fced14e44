"""THE SEAM between what is said and how it travels: Call, Answer, Transport.

A chapter of `protocol/` makes a Call and reads an Answer; everything in `transport/` has the shape of Transport.
No aiohttp, no JSON and no service knowledge here.
"""

import html
import json
import math
import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol
from urllib.parse import unquote

from attrs import field, frozen

from .errors import CallFailed, Reason, mask_phones, refusal

__all__ = ["Answer", "Call", "Lane", "Transport"]

_MEGABYTE = 1_000_000
_EXCERPT_CHARACTERS = 300
_MOST_REASONS = 5
_EXCERPT_SOURCE_BYTES = 16_384
# Echoes are looked for word by word in what was sent; beyond this much that would hold up the event loop.
_ECHO_CHECK_BYTES = 50_000
_TELLING_KEYS = frozenset(
    {"key", "ref", "code", "description", "defaultMessage", "error", "message", "status", "title"}
)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_FIELD_WORDS = frozenset("messages from to text validity scheduledTime priority callbackUrl options message".split())


def _nothing(_body: bytes) -> bool:
    return False


def _no_ids(_body: bytes) -> tuple[str, ...]:
    return ()


def _no_reasons(_body: bytes) -> tuple[Reason, ...]:
    return ()


class Lane(Enum):
    """What shares places and connections; no lane waits for another's."""

    LOOK_UPS = "look-ups"
    BULK = "bulk"
    URGENT = "urgent"


@frozen(kw_only=True)
class Call:
    """One request: what to say, and what the transport has to know about saying it.

    `query` is encoded already. `body` comes in slices, so that nobody holds up the event loop with one big write.
    `repeatable` is False where a repeat costs money; `urgent` sends never queue behind others. `messages` is how many
    SMS the call carries. `answer_limit` bounds the decoded answer in bytes. `carries_result` tells whether the body of
    a refusal answers for single messages, so that it must be read rather than taken as "nothing was processed";
    `ids_in` finds ids in a body that cannot be trusted, `reasons_in` the words of a refusal. The transport itself sets
    `give_up_at`, after which no attempt may begin, and `attempt`, counted from 1.
    """

    operation: str
    method: str
    path: str
    query: str = field(default="", repr=False)
    body: tuple[bytes, ...] | None = field(default=None, repr=False)
    repeatable: bool = True
    urgent: bool = False
    messages: int = 0
    answer_limit: int = 64 * _MEGABYTE
    carries_result: Callable[[bytes], bool] = field(default=_nothing, repr=False)
    ids_in: Callable[[bytes], tuple[str, ...]] = field(default=_no_ids, repr=False)
    reasons_in: Callable[[bytes], tuple[Reason, ...]] = field(default=_no_reasons, repr=False)
    give_up_at: float = math.inf
    attempt: int = 1

    @property
    def size(self) -> int:
        """Bytes of body."""
        return 0 if self.body is None else sum(map(len, self.body))

    @property
    def lane(self) -> Lane:
        """Whose places and connections it takes."""
        if self.repeatable:
            return Lane.LOOK_UPS
        return Lane.URGENT if self.urgent else Lane.BULK


@frozen(kw_only=True)
class Answer:
    """One response, read whole. `attempts` counts the requests that it took."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""
    attempts: int = 1
    sent: tuple[bytes, ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """True for a 2xx status."""
        return 200 <= self.status < 300

    def excerpt(self) -> str:
        """What may be shown of the body: no echo of the request, no credential, no row of data, no phone number."""
        shown = _telling_part(self.body, self.secrets)
        cleared = None if shown is None else self.cleared(shown)
        return f"<{len(self.body)} bytes withheld>" if cleared is None else cleared

    def refused(self, operation: str, reasons: tuple[Reason, ...]) -> CallFailed:
        """The error for a call that the service refused as a whole, in its own words as far as they may be shown."""
        named = self.cleared("; ".join(map(str, reasons[:_MOST_REASONS])))
        return refusal(self.status)(
            f"the service refused the call: {named}" if named else "the service refused the call",
            operation=operation,
            attempts=self.attempts,
            status=self.status,
            body=self.excerpt(),
            reasons=tuple(Reason(*self.cleared_reason(each.key, each.ref, each.default_message)) for each in reasons),
        )

    def cleared_reason(self, key: str, ref: str | None, said: str | None) -> tuple[str, str | None, str | None]:
        """The key, ref and default message of a reason without credentials."""
        key, ref, said = (None if text is None else self.without_secrets(text) for text in (key, ref, said))  # type: ignore[assignment]
        return key or "unknown", ref, said

    def without_secrets(self, text: str) -> str:
        """The text without credentials."""
        return _without(self.secrets, text)

    def cleared(self, text: str) -> str | None:
        """The text without credentials, phone numbers and words of the request; None if that cannot be checked."""
        if sum(map(len, self.sent)) > _ECHO_CHECK_BYTES:
            return None
        return mask_phones(_without_echo(self.without_secrets(text), self.sent))


class Transport(Protocol):
    """Anything that can carry a call: it returns the answer or raises a CallFailed."""

    async def exchange(self, call: Call, /) -> Answer:
        """Carry out the call, once or several times as far as that is safe."""
        ...


def _telling_part(body: bytes, secrets: tuple[str, ...]) -> str | None:
    """The part of a body that may explain a failure: words of an error envelope, or the start of a plain page."""
    if len(body) > _EXCERPT_SOURCE_BYTES:
        return None
    text = body.decode("utf-8", "replace").strip()
    if text[:1] in {"{", "[", '"'}:
        try:
            text = "; ".join(_telling_values(json.loads(text)))
        except (ValueError, RecursionError):
            return None
    else:
        # A page may hold JSON, in a script for example.
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # A credential may stand there as it is, or change its look when the page's escapes are undone.
    plain = tuple(form for each in secrets for form in (each, unquote(html.unescape(each))))
    try:
        text = unquote(html.unescape(_without(secrets, text)))
    except ValueError:
        # An escape with thousands of digits.
        return None
    return _without(plain, text)[:_EXCERPT_CHARACTERS]


def _without(secrets: tuple[str, ...], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _telling_values(tree: object) -> Iterable[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in _TELLING_KEYS and isinstance(value, str | int):
                yield str(value)
            elif key not in {"result", "data"}:
                yield from _telling_values(value)
    elif isinstance(tree, list):
        for item in tree[:5]:
            yield from _telling_values(item)


def _without_echo(text: str, sent: tuple[bytes, ...]) -> str:
    def checked(found: re.Match[str]) -> str:
        word = found.group()
        if len(word) < 2 or word in _FIELD_WORDS:
            return word
        needle = word.encode("utf-8", "replace")
        return "***" if any(needle in part for part in sent) else word

    return re.sub(r"\w+", checked, text)
