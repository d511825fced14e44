"""Columns of a file of messages: which field of a message each one stands for, and the conversion of cells.

Reading a file is in files.py. The rules for the fields themselves are in protocol/message.py.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from difflib import SequenceMatcher
from typing import Any

from attrs import frozen

from ..errors import ConfigurationError
from ..protocol.placeholders import matching_name
from ..redaction import mask_phones
from .digits import digits_of

__all__ = ["Columns", "checked_mapping", "columns_of", "converted", "refuse_missing", "shown_names"]

_FIELDS = ("sender", "to", "text", "validity", "scheduled_time", "priority", "callback_url", "options")
_OPTION = "options."
# Usual headers in the form that _key gives them, by field. The names on the wire are among them.
_SYNONYMS = {
    "to": (
        "phone phones phonenumber tel telephone telephonenumber mobile mobilephone mobilenumber cell cellphone number "
        "msisdn recipient телефон телефоны номер номертелефона телефонныйномер тел мобильный мобильныйтелефон "
        "номермобильного моб мобтелефон мобтел получатель"
    ),
    "text": "message messagetext sms smstext текст сообщение текстсообщения смс текстсмс",
    "sender": "from sendername отправитель имяотправителя",
    "validity": "срокжизни времяжизни",
    "scheduled_time": "времяотправки датаотправки",
    "priority": "приоритет",
}
_FIELD_OF = {name.replace("_", ""): name for name in _FIELDS}
_FIELD_OF |= {word: name for name, words in _SYNONYMS.items() for word in words.split()}
_OWN_NAMES = {name: {name.replace("_", "")} for name in _FIELDS}
# Fields whose values are strings, with the names that problems use for them.
_WIRE_NAMES = {"sender": "from", "callback_url": "callbackUrl", "priority": "priority"}
_WHOLE = re.compile(r"([0-9]{1,12})(?:[.,]0*)?", re.ASCII)
_SEPARATORS = re.compile(r"[\s_.\-№:]+")
_MAX_SHOWN = 40
_MAX_SHOWN_NAMES = 20


@frozen
class Columns:
    """Where each field, and each value of a placeholder, is in a row of cells.

    `fields` has the index of each field that has a column. `values` has the indexes of the other names, as
    `matching_name` gives them. `unused` holds the names of the columns that nothing uses.
    """

    fields: Mapping[str, int]
    values: Mapping[str, int]
    unused: Sequence[str]


def shown_names(names: Iterable[str]) -> str:
    """Return names of columns as a message may show them: short, printable, and with phone numbers masked."""
    each = [mask_phones("".join(letter if letter.isprintable() else " " for letter in name)) for name in names]
    shown = [repr(name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}...") for name in each]
    more = len(shown) - _MAX_SHOWN_NAMES
    return ", ".join([*shown[:_MAX_SHOWN_NAMES], *([f"and {more:,} more"] if more > 0 else [])])


def checked_mapping(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Return `columns` of read_messages with the fields as Message names them. Raises ConfigurationError."""
    if mapping is None:
        return {}
    if not all(isinstance(each, str) for pair in mapping.items() for each in pair):
        raise ConfigurationError("columns must map fields to names of columns, such as {'to': 'Contact'}")
    checked: dict[str, str] = {}
    for given, column in mapping.items():
        name = _named_field(given)
        if name is None:
            known = ", ".join((*_FIELDS, f"{_OPTION}KEY"))
            raise ConfigurationError(f"there is no field {shown_names([given])} to map. The fields are {known}")
        if name in checked:
            raise ConfigurationError(f"the field {name!r} is mapped twice")
        checked[name] = column
    taken = [matching_name(each) for each in checked.values() if each.strip()]
    if len(set(taken)) < len(taken):
        raise ConfigurationError("two fields are mapped to one column. Map each to its own")
    return checked


def columns_of(
    names: Sequence[str],
    mapping: Mapping[str, str],
    *,
    has_text: bool,
    placeholders: Mapping[str, str],
    is_header: bool,
) -> Columns:
    """Return what each column is for. Raises ConfigurationError, without any cell in it, if that is not certain.

    `mapping` names the column of a field. With an empty name the field has no column. `has_text` says that all rows
    have a text without a column. `placeholders` has the names in it, as `matching_name` gives them, and how each is
    shown. `is_header` is False for the names of a single JSON object, which need not have them all.
    """
    if is_header:
        _refuse_data(names)
    alike: dict[str, list[int]] = {}
    for at, each in enumerate(names):
        alike.setdefault(matching_name(each), []).append(at)
    fields = _mapped(mapping, alike, is_header=is_header)
    mapped = set(fields.values())
    for at, each in enumerate(names):
        if at not in mapped:
            _place(at, each, names, fields, mapping, has_text=has_text, placeholders=placeholders)
    _refuse_misspelt(names, fields, mapping, placeholders)
    if is_header:
        refuse_missing(names, fields, placeholders)
    values = {name: found[0] for name, found in alike.items() if name}
    for name in placeholders:
        _refuse_alike(name, alike)
        if name not in values and name in fields:
            values[name] = fields[name]
    used = {*fields.values(), *(values[each] for each in placeholders if each in values)}
    return Columns(fields, values, [each for at, each in enumerate(names) if at not in used and each.strip()])


def _mapped(mapping: Mapping[str, str], alike: Mapping[str, Sequence[int]], *, is_header: bool) -> dict[str, int]:
    """Return the index of the column of each mapped field."""
    fields: dict[str, int] = {}
    for name, column in mapping.items():
        if not column.strip():
            continue
        found = alike.get(matching_name(column))
        if found:
            _refuse_alike(matching_name(column), alike)
            fields[name] = found[0]
        elif is_header:
            raise ConfigurationError(f"--map {name}=COLUMN (columns= in Python): there is no such column in the file")
    return fields


def _refuse_alike(name: str, alike: Mapping[str, Sequence[int]]) -> None:
    count = len(alike.get(name, ()))
    if count > 1:
        raise ConfigurationError(f"{count} columns are named {shown_names([name])}. Rename one of them")


def _place(
    at: int,
    column: str,
    names: Sequence[str],
    fields: dict[str, int],
    mapping: Mapping[str, str],
    *,
    has_text: bool,
    placeholders: Mapping[str, str],
) -> None:
    """Add a column that stands for a field by its own name."""
    name = _named_field(column)
    if name is None or name in mapping:
        return
    if name in fields:
        raise ConfigurationError(
            f"two columns stand for the field {name!r}: {shown_names([names[fields[name]], column])}. "
            f"Choose one with --map {name}=COLUMN (columns= in Python)"
        )
    if name == "text" and has_text and _key(column) not in _OWN_NAMES["text"]:
        if matching_name(column) in placeholders:
            return
        raise ConfigurationError(
            f"the column {shown_names([column])} may be the text of each row, but --text gives one too. If it is "
            "not the text, use --map text= (columns= in Python). If it is, use --map text=COLUMN, and --text fills "
            "the rows where it is empty"
        )
    fields[name] = at


def _refuse_data(names: Sequence[str]) -> None:
    for each in names:
        _, digits, problem = digits_of(each)
        if problem is None and len(digits) >= 10:
            raise ConfigurationError(
                "the first row has a phone number, so it is not a header. Add a first row that names the columns, "
                "such as to;text"
            )


def _refuse_misspelt(
    names: Sequence[str], fields: Mapping[str, int], mapping: Mapping[str, str], placeholders: Mapping[str, str]
) -> None:
    used = set(fields.values())
    for at, each in enumerate(names):
        if at in used or matching_name(each) in placeholders or _named_field(each) is not None:
            continue
        name = _almost(_key(each))
        if name is not None and name not in mapping and name not in fields:
            raise ConfigurationError(
                f"the column {shown_names([each])} is not a field. If it should be {name!r}, rename it, or use "
                f"--map {name}=COLUMN (columns= in Python). If no column is {name!r}, use --map {name}="
            )


def refuse_missing(
    names: Collection[str], fields: Collection[str], placeholders: Mapping[str, str], *, hint: str = ""
) -> None:
    """Raise ConfigurationError if no column is for the recipients, or none fills a placeholder."""
    if "to" not in fields:
        raise ConfigurationError(
            "no column has the recipients. Name a column to, phone or телефон in the first row, or use --map "
            "to=COLUMN (columns= in Python)"
        )
    filled = {*map(matching_name, names), *fields}
    missing = [shown for name, shown in placeholders.items() if name not in filled]
    if missing:
        known = shown_names(each for each in names if each.strip())
        raise ConfigurationError(f"no column fills {', '.join(missing)} in the text. The columns are {known}{hint}")


def _key(name: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", matching_name(name)).casefold()).replace("ё", "е")


def _named_field(column: str) -> str | None:
    """Return the field that a column stands for, or `options.KEY` for one of its options, or None."""
    name = column.strip()
    if name[: len(_OPTION)].lower() == _OPTION and len(name) > len(_OPTION):
        return _OPTION + name[len(_OPTION) :]
    return _FIELD_OF.get(_key(name))


def _almost(key: str) -> str | None:
    """Return the field that a name is a misspelling of, or None."""
    for name in _FIELDS:
        own = name.replace("_", "")
        if len(own) > 3 and key[:1] == own[:1]:
            likeness = SequenceMatcher(None, key, own, autojunk=False).ratio()
            if likeness >= (0.8 if len(own) > 6 else 0.85):
                return name
    return None


def converted(values: dict[str, Any], time_zone: tzinfo | None = None) -> dict[str, Any]:
    """Return cells as arguments of Message. Raises ValueError for a date or options that cannot be converted.

    A date without a zone is read in `time_zone`. All other bad cells are left as they are, because Message reports all
    their problems at once.
    """
    arguments = dict(values)
    _join_options(arguments)
    for name, wire_name in _WIRE_NAMES.items():
        value = arguments.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{wire_name}: must be a str, not {type(value).__name__}")
    for name, read in _READ.items():
        value = arguments.get(name)
        if isinstance(value, str):
            arguments[name] = read(value.strip())
    validity, moment = arguments.get("validity"), arguments.get("scheduled_time")
    if isinstance(validity, float) and validity.is_integer():
        arguments["validity"] = int(validity)
    if isinstance(moment, datetime):
        arguments["scheduled_time"] = _in_zone(moment, time_zone)
    for name in ("sender", "to", "text"):
        arguments.setdefault(name, "")
    return arguments


def _validity(cell: str) -> str | int:
    found = _WHOLE.fullmatch(cell)
    return int(found[1]) if found else cell


def _moment(cell: str) -> datetime:
    try:
        return datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("scheduledTime: must be ISO 8601 with a time zone") from None


# How a text in a column is read, without the spaces around it.
_READ: Mapping[str, Callable[[str], Any]] = {
    "sender": str,
    "callback_url": str,
    "priority": str.upper,
    "validity": _validity,
    "scheduled_time": _moment,
}


def _in_zone(moment: datetime, time_zone: tzinfo | None) -> datetime:
    """Return a date with its own zone, or else with this one. Raises ValueError if it has no single meaning there."""
    if moment.tzinfo is not None or time_zone is None:
        return moment
    aware = moment.replace(tzinfo=time_zone)
    if aware.replace(fold=0).utcoffset() != aware.replace(fold=1).utcoffset():
        raise ValueError("scheduledTime: the clocks change at this time, so it must have its own UTC offset")
    return aware


def _join_options(arguments: dict[str, Any]) -> None:
    """Merge all `options.KEY` columns into `options`. They override the same keys of an `options` column."""
    given = arguments.get("options")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ValueError("options: must be a JSON object")
        arguments["options"] = given
    columns = [name for name in arguments if name.startswith(_OPTION)]
    if columns:
        single = {name.removeprefix(_OPTION): arguments.pop(name) for name in columns}
        arguments["options"] = {**given, **single} if isinstance(given, dict) else single
