"""Names of columns, and the conversion of cells to arguments of Message."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devino_async import ConfigurationError
from devino_async.campaigns.columns import converted, field_of, fields_of_header, fields_of_object

LEAST = {"sender": "A", "to": "79000000001", "text": "x"}


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("to", "to"),
        ("To", "to"),
        ("from", "sender"),
        ("sender", "sender"),
        ("scheduledTime", "scheduled_time"),
        ("scheduled_time", "scheduled_time"),
        ("CALLBACKURL", "callback_url"),
        ("options.Key", "options.Key"),
    ],
)
def test_names(column: str, field: str) -> None:
    """A field is named as in Message or as on the wire, in any case. The key of an option keeps its case."""
    assert field_of(column) == field


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (["to", "colour"], "unknown column 'colour'. The columns are sender, to, text,"),
        (["sender", "to", " From "], "two columns stand for the field 'sender'"),
    ],
)
def test_headers_that_cannot_be_used(columns: list[str], problem: str) -> None:
    """An unknown column and two columns for one field are refused by name."""
    with pytest.raises(ConfigurationError, match=problem):
        fields_of_header(columns)


def test_fields_of_an_object() -> None:
    """The members of an object are fields under their own names. A null counts as a missing field."""
    assert fields_of_object('{"from": "A", "to": null, "validity": 60}') == {"sender": "A", "validity": 60}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
        ('{"colour": "79000000001"}', "unknown column 'colour'"),
        ('{"from": "79000000001", "sender": "B"}', "two columns stand for the field 'sender'"),
    ],
)
def test_what_is_not_an_object_of_fields(text: str, problem: str) -> None:
    """A line that is not a JSON object of known fields is a ValueError, which shows no value."""
    with pytest.raises(ValueError, match=problem) as caught:
        fields_of_object(text)
    assert "79000000001" not in str(caught.value)


def test_conversions() -> None:
    """Whole seconds become a number and ISO 8601 a datetime. Recipient, sender and text are always there, if empty."""
    moscow = timezone(timedelta(hours=3))
    assert converted({"validity": " 60 ", "scheduled_time": "2030-01-01T10:00:00+03:00"}) == {
        "validity": 60,
        "scheduled_time": datetime(2030, 1, 1, 10, tzinfo=moscow),
        "sender": "",
        "to": "",
        "text": "",
    }


@pytest.mark.parametrize(
    "cell", ["2030-01-01T10:00:00", "2030-01-01T12:00:00+05:00", datetime.fromisoformat("2030-01-01T10:00")]
)
def test_a_time_zone(cell: Any) -> None:
    """A scheduled time without a zone is read in the given one. A zone of its own takes precedence."""
    found = converted({**LEAST, "scheduled_time": cell}, ZoneInfo("Europe/Moscow"))["scheduled_time"]
    assert found.astimezone(UTC) == datetime(2030, 1, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("cell", ["2030-03-10T02:30:00", "2030-11-03T01:30:00"])
def test_a_time_at_which_the_clocks_change(cell: str) -> None:
    """A time that does not exist in the zone, or comes twice, is refused, because its moment is not clear."""
    with pytest.raises(ValueError, match="the clocks change"):
        converted({**LEAST, "scheduled_time": cell}, ZoneInfo("America/New_York"))
    assert converted({**LEAST, "scheduled_time": f"{cell}-05:00"}, ZoneInfo("America/New_York"))


@pytest.mark.parametrize("cell", ["²", "-1", "1e3", "9" * 5_000, 5.5, None])
def test_a_validity_that_is_not_a_number(cell: Any) -> None:
    """A validity that cannot be converted stays as it is, for the check of Message to name it."""
    assert converted({**LEAST, "validity": cell})["validity"] == cell


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({"options": '{"a": "1", "b": "1"}', "options.b": "2"}, {"a": "1", "b": "2"}),
        ({"options": {"a": "1"}, "options.b": "2"}, {"a": "1", "b": "2"}),
        ({"options": {"a": "1"}}, {"a": "1"}),
        ({"options.b": "2"}, {"b": "2"}),
        ({"options": [1]}, [1]),
    ],
)
def test_options(values: dict[str, Any], options: Any) -> None:
    """Options are a JSON object, single columns, or both. A single column takes precedence."""
    assert converted({**LEAST, **values}) == {**LEAST, "options": options}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"options": "x"}, "options: must be a JSON object"),
        ({"options": "[1]"}, "options: must be a JSON object"),
        ({"options": "[" * 100_000}, "options: must be a JSON object"),
        ({"scheduled_time": "soon"}, "scheduledTime: must be ISO 8601 with a time zone"),
    ],
)
def test_cells_that_cannot_be_converted(values: dict[str, Any], problem: str) -> None:
    """Options that are not an object, and a time that is not ISO 8601, are a ValueError that names the field."""
    with pytest.raises(ValueError, match=problem):
        converted({**LEAST, **values})
