"""The one cattrs converter: wire objects become attrs values, strictly.

Null never becomes 'None', "No" never True, a float never an id, money never a float; unknown keys go to `extra` and
unknown enum values stay text. Which class has which columns is the chapters'; JSON itself is strict_json.py's.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache, partial
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, override

from .strict_json import DoubleKeys

__all__ = [
    "Mismatch",
    "as_id",
    "as_moment",
    "as_yes_or_no",
    "camel",
    "in_zone",
    "keep_unknown",
    "structure",
    "wire_class",
]

T = TypeVar("T")
M = TypeVar("M")

_EXTRA_KEY = "\0extra"


class Mismatch(ValueError):
    """A value of the wrong kind; the text names the place and the kind, never the value."""


def camel(name: str) -> str:
    """The wire name of an attribute: date_time_from -> dateTimeFrom."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def _text(value: Any, _: Any = None) -> str:
    if isinstance(value, str):
        return value
    raise Mismatch("must be text")


def _whole(value: Any, _: Any = None) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 64:
        return int(value)
    raise Mismatch("must be a whole number")


def _truth(value: Any, _: Any = None) -> bool:
    if isinstance(value, bool):
        return value
    raise Mismatch("must be true or false")


def _money(value: Any, _: Any = None) -> Decimal:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= 64:
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("nan")
        if amount.is_finite():
            return amount
    raise Mismatch("must be a decimal number")


def as_id(value: Any, _: Any = None) -> str:
    """An id as text, from printable text or a whole number; a float has lost digits already."""
    if isinstance(value, str) and value and value.isprintable():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Mismatch("must be an id, as text or a whole number")


def as_id_if_any(value: Any, _: Any = None) -> str | None:
    """An id that may be missing, which some services write as an empty text."""
    return None if value == "" else as_id(value)


def as_list(value: Any, kind: type[T]) -> tuple[T, ...]:
    """A list of values of one kind; null is an empty one, and a text is none."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Mismatch("must be a list")
    return tuple(structure(each, kind) for each in value)


def as_object(value: Any, _: Any = None) -> dict[str, Any]:
    """An object, with no key twice."""
    if isinstance(value, DoubleKeys):
        raise Mismatch("names a key twice")
    if isinstance(value, dict):
        return value
    raise Mismatch("must be an object")


def as_moment(value: Any, _: Any = None) -> datetime:
    """A date and time as the page writes it; naive, as the page names no time zone."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise Mismatch("must be a date and time, YYYY-MM-DD hh:mm:ss")


def as_yes_or_no(value: Any, _: Any = None) -> bool:
    """The service's "Yes" and "No", or a real boolean."""
    if isinstance(value, bool):
        return value
    known = {"yes": True, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise Mismatch('must be "Yes" or "No"')


def _open_enum(members: type[StrEnum]) -> Callable[..., str]:
    known = members._value2member_map_

    def read(value: Any, _: Any = None) -> str:
        text = _text(value)
        return known.get(text, text)  # type: ignore[return-value]

    return read


_READERS: dict[Any, Callable[..., Any]] = {
    str: _text,
    int: _whole,
    bool: _truth,
    Decimal: _money,
    datetime: as_moment,
}


def _reader(kind: Any) -> Callable[..., Any] | None:
    """How a field of this kind is read, beside null; None for a kind that is not one value."""
    choice = get_origin(kind) in {Union, UnionType}
    options = [each for each in get_args(kind) if each is not type(None)] if choice else [kind]
    enums = [each for each in options if isinstance(each, type) and issubclass(each, StrEnum)]
    if enums and str in options:
        return _open_enum(enums[0])
    return _READERS.get(options[0]) if len(options) == 1 else None


def _converter(detailed: bool) -> Converter:
    made = Converter(detailed_validation=detailed)
    for kind, reader in _READERS.items():
        made.register_structure_hook(kind, reader)
    return made


_fast = _converter(detailed=False)
_telling = _converter(detailed=True)


def wire_class(
    cls: type,
    *,
    names: Mapping[str, str] | None = None,
    hooks: Mapping[str, Callable[..., Any]] | None = None,
) -> None:
    """Teach the converter a class: `names` holds exceptions from the camel-case rule, `hooks` fields with a reader
    of their own (which is given null only if the field may not be None). A field `extra` gets all unknown keys."""
    columns = {each.name: (names or {}).get(each.name, camel(each.name)) for each in attrs.fields(cls)}
    columns.pop("extra", None)
    # cattrs would come by the same readers, by way of its unions and optionals; a detail row has thirty of them.
    readers = {
        each.name: _unless_null((hooks or {}).get(each.name) or _reader(each.type), type(None) in get_args(each.type))
        for each in attrs.fields(cls)
    }

    def made_with(converter: Converter) -> Callable[..., Any]:
        overrides = {name: override(rename=wire, struct_hook=readers[name]) for name, wire in columns.items()}
        if hasattr(attrs.fields(cls), "extra"):
            overrides["extra"] = override(rename=_EXTRA_KEY, struct_hook=lambda value, _: value)
        made: Callable[..., Any] = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type]
        return _with_extra(made, frozenset(columns.values()))

    _fast.register_structure_hook(cls, made_with(_fast))
    # Made only when something is wrong: programs start faster without it.
    telling = cache(partial(made_with, _telling))

    def told(value: Any, kind: Any) -> Any:
        return telling()(value, kind)

    _telling.register_structure_hook(cls, told)


def _unless_null(hook: Callable[..., Any] | None, optional: bool) -> Callable[..., Any] | None:
    if hook is None or not optional:
        return hook
    return _IF_ANY.get(hook) or (lambda value, kind: None if value is None else hook(value, kind))


def _text_if_any(value: Any, _: Any = None) -> str | None:
    return value if value is None or type(value) is str else _text(value)


def _whole_if_any(value: Any, _: Any = None) -> int | None:
    return value if value is None or type(value) is int else _whole(value)


# The commonest ones in one step.
_IF_ANY: dict[Any, Callable[..., Any]] = {_text: _text_if_any, _whole: _whole_if_any}


def _with_extra(made: Callable[..., Any], known: frozenset[str]) -> Callable[..., Any]:
    def structured(value: Any, kind: Any) -> Any:
        value = as_object(value)
        if not known.issuperset(value):
            value = {**value, _EXTRA_KEY: keep_unknown(value, known)}
        return made(value, kind)

    return structured


def keep_unknown(value: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """What of an object is not among the known keys."""
    return {key: item for key, item in value.items() if key not in known}


def structure(value: Any, kind: type[T]) -> T:
    """The value as an instance of `kind`. Raises Mismatch, which names the place and never holds a value."""
    try:
        return _fast.structure(value, kind)
    except Exception:  # noqa: BLE001 - whatever went wrong, the slower converter names the place
        problem = _problem(value, kind)
    raise Mismatch(problem)


def _problem(value: Any, kind: type) -> str:
    try:
        _telling.structure(value, kind)
    except Exception as error:  # noqa: BLE001
        return "; ".join(transform_error(error, format_exception=_said)[:5])
    return "cannot be read"


def _said(error: BaseException, _: type | None) -> str:
    if isinstance(error, Mismatch):
        return str(error)
    return "is missing" if isinstance(error, KeyError) else "cannot be read"


def in_zone(value: M, zone: tzinfo | None) -> M:
    """The value itself; a naive datetime is given the zone that the user named for the service's local times."""
    if zone is not None and isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=zone)
    return value
