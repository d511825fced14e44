"""Columns of a file of messages: the field that a name stands for, and the conversion of cells.

Reading a file is in files.py. The rules for the fields themselves are in protocol/message.py.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any

from ..errors import ConfigurationError

__all__ = ["converted", "field_of", "fields_of_header", "fields_of_object"]

_FIELDS = ("sender", "to", "text", "validity", "scheduled_time", "priority", "callback_url", "options")
# Lower-case column names -> fields. The names on the wire are accepted too.
_FIELD_OF = {name: name for name in _FIELDS}
_FIELD_OF |= {"from": "sender", "scheduledtime": "scheduled_time", "callbackurl": "callback_url"}
_OPTION = "options."
_WHOLE = re.compile(r"\s*[0-9]{1,12}\s*", re.ASCII)


def field_of(column: str) -> str:
    """Return the field of Message that a column stands for, or `options.KEY` for one of its options.

    Raises ConfigurationError for an unknown column.
    """
    name = _FIELD_OF.get(column.lower(), column)
    if name not in _FIELDS and not name.startswith(_OPTION):
        known = ", ".join((*_FIELDS, f"{_OPTION}KEY"))
        raise ConfigurationError(f"unknown column {column!r}. The columns are {known}")
    return name


def fields_of_header(columns: Iterable[str]) -> list[str]:
    """Return the field of each column. Raises ConfigurationError for an unknown column or a repeated field."""
    names = [field_of(column.strip()) for column in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"two columns stand for the field {twice!r}")
    return names


def fields_of_object(text: str) -> dict[str, Any]:
    """Return the fields of a JSON object that are not null. Raises ValueError, which never contains a value."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("is not a JSON object")
    try:
        names = fields_of_header(found)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return {name: value for name, value in zip(names, found.values(), strict=True) if value is not None}


def converted(values: dict[str, Any], time_zone: tzinfo | None = None) -> dict[str, Any]:
    """Return cells as arguments of Message. Raises ValueError for a date or options that cannot be converted.

    A date without a zone is read in `time_zone`. All other bad cells are left as they are, because Message reports all
    their problems at once.
    """
    arguments = dict(values)
    _join_options(arguments)
    validity = arguments.get("validity")
    if isinstance(validity, str) and _WHOLE.fullmatch(validity):
        arguments["validity"] = int(validity)
    moment = arguments.get("scheduled_time")
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError("scheduledTime: must be ISO 8601 with a time zone") from None
    if isinstance(moment, datetime):
        arguments["scheduled_time"] = _in_zone(moment, time_zone)
    for name in ("sender", "to", "text"):
        arguments.setdefault(name, "")
    return arguments


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
