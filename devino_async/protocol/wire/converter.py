"""The one cattrs converter: wire objects become attrs values.

It is strict where a wrong value could go unnoticed. Null never becomes 'None', "No" never becomes True, a float never
becomes an id, and money never becomes a float. It is lenient where the meaning is clear. A number is accepted as text,
7.0 as the whole number 7, and "" as None where a column may be None. Unknown keys go to `extra`, and unknown enum
values stay str. Each endpoint's module says which columns its classes have. JSON is decoded in strict_json.py.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import islice
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from .strict_json import DoubleKeys

__all__ = [
    "Mismatch",
    "as_id",
    "as_list",
    "as_moment",
    "as_object",
    "as_text",
    "as_yes_or_no",
    "camel",
    "in_zone",
    "keep_unknown",
    "structure",
    "structure_readable",
    "wire_class",
]

T = TypeVar("T")
M = TypeVar("M")

Reader = Callable[..., Any]
"""Converts a value from the wire: read(value, kind). Raises Mismatch, which never contains the value."""

_MAX_PROBLEMS = 5
_MAX_DIGITS = 64


class Mismatch(ValueError):
    """A value of the wrong kind. The error text names the place and the expected kind, never the value."""


def camel(name: str) -> str:
    """Return the wire name of an attribute: date_time_from -> dateTimeFrom."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def as_text(value: Any, _: Any = None) -> str:
    """Return a str as it is, or a number as a str."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        whole = _whole_in(value)
        return str(value if whole is None else whole)
    raise Mismatch("must be a str")


def _whole(value: Any, _: Any = None) -> int:
    whole = _whole_in(value)
    if whole is not None:
        return whole
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    raise Mismatch("must be a whole number")


def _whole_in(value: Any) -> int | None:
    """Return a JSON number as an int if it is whole, such as 7 or 7.0, else None.

    Without the bound, 1e999999 would become an int of a million digits.
    """
    if isinstance(value, Decimal):
        return int(value) if value.adjusted() < _MAX_DIGITS and value == value.to_integral_value() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _truth(value: Any, _: Any = None) -> bool:
    if isinstance(value, bool):
        return value
    raise Mismatch("must be true or false")


def _money(value: Any, _: Any = None) -> Decimal:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= _MAX_DIGITS:
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("nan")
        if amount.is_finite():
            return amount
    raise Mismatch("must be a decimal number")


def as_id(value: Any, _: Any = None) -> str:
    """Return an id as a str, from a printable str or a whole number. A float may have lost digits, so it is refused."""
    if isinstance(value, str) and value and value.isprintable():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Mismatch("must be an id, as a str or a whole number")


def as_list(value: Any) -> list[Any]:
    """Return a list, with its items not converted yet. Null gives an empty list, and a str is never a list."""
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise Mismatch("must be a list")


def as_object(value: Any, _: Any = None) -> dict[str, Any]:
    """Return an object that names no key twice."""
    if isinstance(value, DoubleKeys):
        raise Mismatch("names a key twice")
    if isinstance(value, dict):
        return value
    raise Mismatch("must be an object")


def as_moment(value: Any, _: Any = None) -> datetime:
    """Return a date and time in the format of the API docs. It is naive, because they name no time zone."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise Mismatch("must be a date and time, YYYY-MM-DD hh:mm:ss")


def as_yes_or_no(value: Any, _: Any = None) -> bool:
    """Return True or False for the service's "Yes" or "No", or for a real boolean."""
    if isinstance(value, bool):
        return value
    known = {"yes": True, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise Mismatch('must be "Yes" or "No"')


def _open_enum(members: type[StrEnum]) -> Reader:
    known = members._value2member_map_

    def read(value: Any, _: Any = None) -> str:
        text = as_text(value)
        return known.get(text, text)  # type: ignore[return-value]

    return read


_READERS: dict[Any, Reader] = {
    str: as_text,
    int: _whole,
    bool: _truth,
    Decimal: _money,
    datetime: as_moment,
}


def _reader(kind: Any) -> Reader | None:
    """Return the reader of a field of this kind, or None for a kind that is not a single value."""
    choice = get_origin(kind) in {Union, UnionType}
    options = [each for each in get_args(kind) if each is not type(None)] if choice else [kind]
    enums = [each for each in options if isinstance(each, type) and issubclass(each, StrEnum)]
    if enums and str in options:
        return _open_enum(enums[0])
    return _READERS.get(options[0]) if len(options) == 1 else None


@attrs.frozen
class _Columns:
    """How a class is read: the wire name and the reader of each attribute, and the attributes not on the wire."""

    names: Mapping[str, str]
    readers: Mapping[str, Reader]
    omitted: Collection[str]
    keeps_unknown: bool


_columns_of: dict[Any, _Columns] = {}
_converter = Converter(detailed_validation=False)


def wire_class(
    cls: type,
    *,
    names: Mapping[str, str] | None = None,
    hooks: Mapping[str, Reader] | None = None,
    omitted: Collection[str] = (),
) -> None:
    """Register a class with the converter.

    `names` holds exceptions to the camel-case rule, and `omitted` the attributes that keep their default. `hooks` maps
    fields to readers of their own. Such a reader never gets null or "" if its field may be None. A field named
    `extra` gets all unknown keys.
    """
    every = {each.name: each.type for each in attrs.fields(cls)}
    read = {name: kind for name, kind in every.items() if name != "extra" and name not in omitted}
    _columns_of[cls] = _Columns(
        {name: (names or {}).get(name, camel(name)) for name in read},
        {name: _column_reader(kind, (hooks or {}).get(name)) for name, kind in read.items()},
        every.keys() - read.keys(),
        "extra" in every,
    )
    # The hook is made now, because making it for the first answer would block the event loop.
    _converter.get_structure_hook(cls)


def _column_reader(kind: Any, own: Reader | None) -> Reader:
    # cattrs would find the same readers more slowly, through unions and optionals. A detail row has thirty columns.
    hook = own or _reader(kind) or _converter.get_structure_hook(kind)
    if type(None) not in get_args(kind):
        return hook
    return _IF_ANY.get(hook) or (lambda value, kind: None if value is None or value == "" else hook(value, kind))


def _text_if_any(value: Any, _: Any = None) -> str | None:
    if type(value) is str:
        return value or None
    return None if value is None else as_text(value)


def _whole_if_any(value: Any, _: Any = None) -> int | None:
    if type(value) is int:
        return value
    return None if value is None or value == "" else _whole(value)


# The most common readers, each combined with its check for null and "", which saves a call for each column.
_IF_ANY: dict[Any, Reader] = {as_text: _text_if_any, _whole: _whole_if_any}


def _hook_for(cls: Any, converter: Converter) -> Reader:
    """Return the structure hook of a wire class."""
    columns = _columns_of[cls]
    overrides = {name: override(rename=wire, struct_hook=columns.readers[name]) for name, wire in columns.names.items()}
    overrides |= {name: override(omit=True) for name in columns.omitted}
    made: Reader = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type]
    known = frozenset(columns.names.values())

    def structured(value: Any, kind: Any) -> Any:
        value = as_object(value)
        found = made(value, kind)
        if columns.keeps_unknown and not known.issuperset(value):
            # The object is frozen, but no other code has seen it yet.
            object.__setattr__(found, "extra", keep_unknown(value, known))
        return found

    return structured


for _kind, _read in _READERS.items():
    _converter.register_structure_hook(_kind, _read)
_converter.register_structure_hook_factory(_columns_of.__contains__, _hook_for)


def keep_unknown(value: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the members of an object whose keys are not known."""
    return {key: item for key, item in value.items() if key not in known}


def structure(value: Any, kind: type[T]) -> T:
    """Return the value as an instance of `kind`. Raises Mismatch, which names the place and never holds a value."""
    try:
        return _converter.structure(value, kind)
    except Exception:  # noqa: BLE001 - whatever went wrong, reading the columns one by one finds the place
        problem = "; ".join(islice(_problems(value, kind), _MAX_PROBLEMS))
    raise Mismatch(problem or "cannot be read")


def structure_readable(value: Any, kind: type[T]) -> tuple[T, int]:
    """Return an instance with the columns that can be read, and how many columns cannot be read.

    An unreadable column keeps its default. If there is a field named `extra`, the column's value is kept there, under
    the column's wire name. Raises Mismatch if the value is not an object, or if a column without a default cannot be
    read.
    """
    try:
        return _converter.structure(value, kind), 0
    except Exception:  # noqa: BLE001, S110 - the columns are read one by one below, outside of this error's context
        pass
    columns = _columns_of[kind]
    odd = {}
    for each in attrs.fields_dict(cast("Any", kind)).values():
        wire = columns.names.get(each.name)
        if wire in as_object(value) and _problem(columns.readers[each.name], value[wire], each.type):
            odd[wire] = value[wire]
    found = structure({key: item for key, item in value.items() if key not in odd}, kind)
    if columns.keeps_unknown:
        extra = cast("Any", found).extra
        # The object is frozen, but no other code has seen it yet.
        object.__setattr__(found, "extra", {**extra, **odd})
    return found, len(odd)


def _problems(value: Any, kind: type) -> Iterator[str]:
    columns = _columns_of.get(kind)
    if columns is None or type(value) is not dict:
        yield from _problem(_converter.get_structure_hook(kind), value, kind)
        return
    for each in attrs.fields(kind):
        if each.name in columns.omitted:
            continue
        wire = columns.names[each.name]
        if wire in value:
            found = _problem(columns.readers[each.name], value[wire], each.type)
        else:
            found = ["is missing"] if each.default is attrs.NOTHING else []
        yield from (f"{problem} @ $.{each.name}" for problem in found)


def _problem(read: Reader, value: Any, kind: Any) -> list[str]:
    try:
        read(value, kind)
    except Mismatch as error:
        return [str(error)]
    except Exception:  # noqa: BLE001 - its text may hold the value
        return ["cannot be read"]
    return []


def in_zone(value: M, zone: tzinfo | None) -> M:
    """Return the value. A naive datetime gets `zone`, the time zone that the user gave for the service."""
    if zone is not None and isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=zone)
    return value
