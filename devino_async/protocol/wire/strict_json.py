"""Strict JSON: exact integers and decimals, and no NaN, duplicate keys, huge integers or endless nesting.

The standard library's scanner does the reading, because faster ones turn ids above 2^64 and money into floats.
An answer that is read item by item may be decoded leniently. Then a number that breaks the rules becomes a float.
Readers refuse floats, so such a number makes only its own item unreadable. What the values mean is up to each
endpoint's module.
"""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Generator, Iterator, Sized
from decimal import Decimal, InvalidOperation
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

__all__ = ["DoubleKeys", "Member", "Run", "Skim", "Unreadable", "decode", "members", "scan_value", "text_in_steps"]

Member = tuple[int, str, Any]
"""Depth, name and value of one member of an object."""

Skim = Callable[[str, int], tuple[Sized, int]]
"""Reads items that look as expected: skim(text, at) returns some items and the index after them. These are up to a
few hundred items, or none. Each must be followed by a comma and another object. The returned index is where the
object after the last item begins."""

Scan = Callable[[str, int], tuple[Any, int]]
"""Reads the JSON value at an index: scan(text, at) returns the value and the index after it."""

_ITEMS_A_RUN = 64
# How many items are scanned before skimming is tried again. The number doubles each time that skimming fails again.
_ITEMS_AFTER_AN_ODD_ONE = 8
_MAX_INTEGER_DIGITS = 64
_MAX_DECIMAL_CHARACTERS = 64
_BYTES_A_STEP = 524_288
_utf_8 = getincrementaldecoder("utf-8")
_BLANK = re.compile(r"[ \t\n\r]*")


class Unreadable(ValueError):
    """The bytes are not JSON that can be trusted. The error text contains nothing from them."""


class DoubleKeys(dict[str, Any]):
    """An object that names a key twice, so that its values cannot be trusted."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else DoubleKeys(found)


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise Unreadable(f"an integer of {len(digits)} digits")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    if len(digits) > _MAX_DECIMAL_CHARACTERS:
        raise Unreadable(f"a number of {len(digits)} characters")
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise Unreadable("a number that is out of range") from None


def _constant(name: str) -> Any:
    raise Unreadable(f"the constant {name}, which JSON does not have")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)


def _or_float(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(digits: str) -> Any:
        try:
            return parse(digits)
        except Unreadable:
            return float(digits)

    return parsed


_lenient_decoder = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_or_float(_integer),
    parse_float=_or_float(_decimal),
    parse_constant=float,
)


def _text(body: bytes | str) -> str:
    try:
        return body.lstrip("\ufeff") if isinstance(body, str) else body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None


def text_in_steps(body: bytes) -> Generator[None, None, str]:
    """Return the text of a body. Yields after every few hundred kilobytes. Raises Unreadable where it is not UTF-8."""
    decoder = _utf_8()
    pieces: list[str] = []
    try:
        for at in range(0, len(body), _BYTES_A_STEP):
            if at:
                yield
            pieces.append(decoder.decode(body[at : at + _BYTES_A_STEP]))
        pieces.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None
    return "".join(pieces)


def decode(body: bytes | str, *, lenient: bool = False) -> Any:
    """Return the value in the body. Objects with duplicate keys become DoubleKeys. Raises Unreadable."""
    text = _text(body)
    value, end = (_scan_leniently if lenient else scan_value)(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise Unreadable("more text after the JSON value")
    return value


class _How(NamedTuple):
    """How the values of an answer are read."""

    skim: Skim | None
    scan: Scan


def members(body: bytes | str, *path: str, skim: Skim | None = None, lenient: bool = False) -> Iterator[Member]:
    """Yield the members of the top-level object one by one, so that a long array never has to be read in one piece.

    `path` names an array to stream: ("result",) or ("result", "data"). Members of the objects along the path are
    yielded with their depth (0 is the top level). The array is yielded in Runs of a few dozen items, and an empty array
    as one empty Run. If the path leads to something else, that value is yielded whole. `skim` may read items before
    they are scanned, and its results are yielded unchanged. If the text is broken, everything before that point is
    yielded first, and then Unreadable is raised.
    """
    text = _text(body)
    how = _How(skim, _scan_leniently if lenient else scan_value)
    at = yield from _members(text, _skip(text, 0), path, 0, how)
    if _skip(text, at) != len(text):
        raise Unreadable("more text after the JSON value")


class Run(list[Any]):
    """Some items of a streamed array."""


def _members(text: str, at: int, path: tuple[str, ...], depth: int, how: _How) -> Generator[Member, None, int]:
    at = _expect(text, at, "{")
    if text[at : at + 1] == "}":
        return at + 1
    seen: set[str] = set()
    while True:
        key, at = _key(text, at)
        if key in seen:
            raise Unreadable("a duplicate key in an object")
        seen.add(key)
        at = yield from _member(text, at, (depth, key), path, how)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return at + 1
        at = _expect(text, at, ",")


def _member(
    text: str, at: int, place: tuple[int, str], path: tuple[str, ...], how: _How
) -> Generator[Member, None, int]:
    depth, key = place
    opening = text[at : at + 1] if path and key == path[0] else ""
    if opening == "[" and len(path) == 1:
        return (yield from _items(text, at, place, how))
    if opening == "{" and len(path) > 1:
        return (yield from _members(text, at, path[1:], depth + 1, how))
    value, at = how.scan(text, at)
    yield depth, key, value
    return at


def _items(text: str, at: int, place: tuple[int, str], how: _How) -> Generator[Member, None, int]:
    at = _skip(text, at + 1)
    if text.startswith("]", at):
        yield *place, Run()
        return at + 1
    count = _ITEMS_AFTER_AN_ODD_ONE if how.skim is not None else _ITEMS_A_RUN
    while True:
        if how.skim is not None:
            skimmed, at = how.skim(text, at)
            if skimmed:
                count = _ITEMS_AFTER_AN_ODD_ONE
                yield *place, skimmed
                continue
        run, problem = Run(), None
        try:
            at = _read_run(text, at, run, count, how.scan)
        except Unreadable as error:
            problem = error
        yield *place, run
        if problem is not None:
            raise problem
        if text[at - 1] == "]":
            return at
        count = min(2 * count, _ITEMS_A_RUN)


def _read_run(text: str, at: int, run: Run, max_items: int, scan: Scan) -> int:
    """Read items into the run until it is full or the array ends. Return the index after the comma or bracket."""
    while len(run) < max_items:
        item, at = scan(text, at)
        run.append(item)
        if text.startswith(",{", at):
            at += 1
            continue
        at = _skip(text, at)
        if text.startswith("]", at):
            return at + 1
        at = _expect(text, at, ",")
    return at


def _key(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != '"':
        raise Unreadable("no key where one is expected")
    try:
        key, at = scanstring(text, at + 1, True)
    except ValueError:
        raise Unreadable("a broken key") from None
    return key, _expect(text, _skip(text, at), ":")


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise Unreadable(f"no {character!r} where one is expected")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]


def scan_value(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value that begins at index `at`, and the index after it. Raises Unreadable."""
    return _scanned(_decoder, text, at)


def _scan_leniently(text: str, at: int) -> tuple[Any, int]:
    return _scanned(_lenient_decoder, text, at)


def _scanned(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
    problem = "not JSON"
    try:
        return decoder.scan_once(text, at)  # type: ignore[attr-defined, no-any-return]
    except Unreadable:
        raise
    except (ValueError, StopIteration):
        pass
    except RecursionError:
        problem = "nested too deeply"
    raise Unreadable(problem)
