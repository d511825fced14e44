"""Redaction: what may be shown of answers, numbers and texts. Nothing that is secret or personal leaves through here.

Masking needs no context. Clearing an answer needs the credentials, and the words of the request that the answer may
echo. Both stay inside a Redaction, whose repr shows neither. A constructor that gets credentials forgets its arguments
if it fails, because error trackers record the locals of every frame.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

from attrs import evolve, field, frozen

__all__ = ["Redaction", "forgets_arguments", "mask_phone", "mask_phones"]

T = TypeVar("T")

_EXCERPT_CHARACTERS = 300
_EXCERPT_SOURCE_BYTES = 16_384
# Echoes are looked up word by word in the request. Beyond this many bytes that would block the event loop.
_ECHO_CHECK_BYTES = 50_000
_ITEMS_SHOWN = 5
_TELLING_KEYS = frozenset(
    {"key", "ref", "code", "description", "defaultMessage", "error", "message", "status", "title"}
)
_FIELD_WORDS = frozenset("messages from to text validity scheduledTime priority callbackUrl options message".split())
_PHONE_LIKE = re.compile(r"\+?\d(?:[\s().-]{0,2}\d){6,}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def mask_phone(number: str | None) -> str | None:
    """Return a phone number with all but its last four characters hidden. If it has at most four, all are hidden."""
    if number is None:
        return None
    shown = number[-4:] if len(number) > 4 else ""
    return "*" * (len(number) - len(shown)) + shown


def mask_phones(text: str) -> str:
    """Return the text with everything that looks like a phone number cut to its last four digits."""
    return _PHONE_LIKE.sub(lambda found: "***" + re.sub(r"\D", "", found.group())[-4:], text)


def forgets_arguments(cls: type[T]) -> type[T]:
    """Keep constructor arguments out of the traceback when the constructor raises.

    The traceback begins in a frame that holds none of them. The error itself says what is wrong.
    """
    init: Any = vars(cls)["__init__"]

    @wraps(init)
    def made(self: Any, *args: Any, **named: Any) -> None:
        try:
            init(self, *args, **named)
            return
        except Exception as error:  # noqa: BLE001 - raised again below, out of another frame
            failure = error.with_traceback(None)
        del self, args, named
        raise failure

    setattr(cls, "__init__", made)  # noqa: B010 - type checkers do not allow a plain assignment
    return cls


@frozen(repr=False)
class Redaction:
    """What to clear out of an answer: the credentials, and the words of the request.

    Its repr shows neither, so it may be passed anywhere and be a local of any frame.
    """

    _secrets: tuple[str, ...] = ()
    _sent: tuple[bytes, ...] = field(default=())

    def __repr__(self) -> str:
        return f"Redaction(<{len(self._secrets)} secrets>)"

    def for_request(self, body: Sequence[bytes], query: str) -> "Redaction":
        """Return a Redaction that also clears the words of this request."""
        return evolve(self, sent=(*body, *_words_of(query)))

    def without_secrets(self, text: str) -> str:
        """Return the text without credentials."""
        return _without(self._secrets, text)

    def clear(self, text: str) -> str | None:
        """Return the text without credentials, phone numbers and words of the request.

        The result is None where the request is too long to check for echoes.
        """
        if sum(map(len, self._sent)) > _ECHO_CHECK_BYTES:
            return None
        return mask_phones(_without_echo(self.without_secrets(text), self._sent))

    def excerpt(self, body: bytes) -> str:
        """Return what may be shown of an answer's body: no echo, credential, row of data or phone number."""
        shown = _telling_part(body, self._secrets)
        cleared = None if shown is None else self.clear(shown)
        return f"<{len(body)} bytes withheld>" if cleared is None else cleared


def _words_of(query: str) -> Iterator[bytes]:
    """Yield the values of a query, except numbers and booleans, which say nothing about a person."""
    for _, value in parse_qsl(query):
        if not value.isdigit() and value not in {"true", "false"}:
            yield value.encode()


def _telling_part(body: bytes, secrets: tuple[str, ...]) -> str | None:
    """Return the part of a body that may explain a failure: words of an error envelope, or the start of a page."""
    if len(body) > _EXCERPT_SOURCE_BYTES:
        return None
    text = body.decode("utf-8", "replace").strip()
    if text[:1] in {"{", "[", '"'}:
        try:
            text = "; ".join(_telling_values(json.loads(text)))
        except (ValueError, RecursionError):
            return None
    else:
        # A web page may hold JSON, in a script for example.
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # Undoing the escapes of the text may change a credential in it, or leave the credential as it was. Both forms of
    # the credential are removed.
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
        for item in tree[:_ITEMS_SHOWN]:
            yield from _telling_values(item)


def _without_echo(text: str, sent: tuple[bytes, ...]) -> str:
    def checked(found: re.Match[str]) -> str:
        word = found.group()
        if len(word) < 2 or word in _FIELD_WORDS:
            return word
        needle = word.encode("utf-8", "replace")
        return "***" if any(needle in part for part in sent) else word

    return re.sub(r"\w+", checked, text)
