"""Merging: the results of a part after a late answer, which no longer counts for some of its messages.

Before the answer came, a message may have moved, or a person may have decided about it. Its mark then stays, and what
the answer says about it is dropped, because results belong to marks by their order.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .results import DIED
from .states import STATES, Mark, settled

__all__ = ["OPEN", "Packing", "each_result", "merged", "remarked", "with_found"]

OPEN = bytes(mark for mark in STATES if settled(bytes((mark,)), b"?") == b"?")
_WITH_WORDS = (Mark.UNCONFIRMED, Mark.ASSUMED_SENT)


def merged(before: bytes, old: bytes, now: bytes, new: bytes) -> bytes:
    """Return the results that belong to the marks `settled(before, now)`, packed as results.py packs them."""
    if not before.translate(None, OPEN):
        return new
    pairs = zip(before, each_result(before, old), each_result(now, new), strict=True)
    return _packed(news if was in OPEN else olds for was, olds, news in pairs)


def with_found(marks: bytes, results: bytes, ids: Mapping[int, str]) -> bytes:
    """Return the results of a part in which the messages at some places turn out to be accepted, with these ids."""
    olds = enumerate(each_result(marks, results))
    return _packed(("ids", ids[place], "") if place in ids else old for place, old in olds)


def remarked(before: bytes, packed: bytes, after: bytes) -> bytes:
    """Return what is left of the results if marks change: the results of messages that keep their kind of receipt."""
    pairs = zip(before, each_result(before, packed), after, strict=True)
    return _packed(each if _list_of(old) == _list_of(new) else ("",) for old, each, new in pairs)


def _list_of(mark: int) -> str:
    return {Mark.ACCEPTED: "ids", Mark.REJECTED: "reasons"}.get(mark, "errors" if mark in _WITH_WORDS else "")


class Packing:
    """Collects the results of single messages, in the form in which results.py packs those of a part."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._segments: list[str] = []
        self._reasons: list[Any] = []
        self._errors: list[list[Any]] = []

    def add(self, name: str, *values: Any) -> None:
        """Add what `each_result` gave for the next message."""
        if name == "ids":
            self._ids.append(values[0])
            self._segments.append(values[1])
        elif name == "reasons":
            self._reasons.append(values[0])
        elif name:
            if not self._errors or self._errors[-1][1] != values[0]:
                self._errors.append([0, values[0]])
            self._errors[-1][0] += 1

    def packed(self) -> bytes:
        """Return the results of the messages that were added."""
        packed: dict[str, Any] = {"ids": "\n".join(self._ids)}
        if any(self._segments):
            packed["segments"] = "\n".join(self._segments)
        if self._reasons:
            packed["reasons"] = self._reasons
        if self._errors:
            packed["errors"] = self._errors
        return json.dumps(packed, ensure_ascii=False).encode()


def _packed(results: Iterable[tuple[Any, ...]]) -> bytes:
    packing = Packing()
    for each in results:
        packing.add(*each)
    return packing.packed()


def each_result(marks: bytes, packed: bytes) -> Iterator[tuple[Any, ...]]:
    """Yield what the results hold for each message: the name of the list, and the message's values there."""
    kept: dict[str, Any] = json.loads(packed) if packed else {}
    ids = iter(kept.get("ids", "").split("\n"))
    segments = iter(kept["segments"].split("\n")) if "segments" in kept else None
    reasons = iter(kept.get("reasons", []))
    words = (words for count, words in kept.get("errors", []) for _ in range(count))
    for mark in marks:
        if mark == Mark.ACCEPTED:
            yield "ids", next(ids), "" if segments is None else next(segments)
        elif mark == Mark.REJECTED:
            yield "reasons", next(reasons)
        elif mark in _WITH_WORDS:
            yield "errors", next(words, DIED)
        else:
            yield ("",)
