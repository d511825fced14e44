"""Names of columns, and the conversion of cells to arguments of Message."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devino_async import ConfigurationError
from devino_async.campaigns.columns import Columns, checked_mapping, columns_of, converted

LEAST = {"sender": "A", "to": "79000000001", "text": "x"}


def placed(names: list[str], mapping: dict[str, str] | None = None, **options: Any) -> Columns:
    given = {"has_text": False, "is_header": True, **options}
    given["placeholders"] = {each: f"{{{each}}}" for each in given.get("placeholders", ())}
    return columns_of(names, checked_mapping(mapping), **given)


def problem_of(names: list[str], mapping: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        placed(names, mapping, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("to", "to"),
        (" To ", "to"),
        ("from", "sender"),
        ("sender", "sender"),
        ("scheduledTime", "scheduled_time"),
        ("scheduled_time", "scheduled_time"),
        ("Scheduled Time", "scheduled_time"),
        ("CALLBACKURL", "callback_url"),
        ("options.Key", "options.Key"),
        *((name, "to") for name in ("phone", "Phone Number", "phone_number", "tel", "MSISDN", "number", "mobile")),
        *((name, "to") for name in ("Телефон", "телефон", "Номер телефона", "НОМЕР", "тел.", "Мобильный телефон")),
        *((name, "text") for name in ("message", "Сообщение", "Текст", "Текст сообщения", "SMS")),
        ("Отправитель", "sender"),
        ("\u200bТеле\u00adфон\ufeff", "to"),
        ("\u200fto\u200e", "to"),
    ],
)
def test_names(column: str, field: str) -> None:
    """A field is named as in Message, as on the wire, or by a usual header, in any case and with any separators."""
    names = [column] if field == "to" else ["to", column]
    assert placed(names).fields[field] == len(names) - 1


def test_merge_columns() -> None:
    """Every other column may fill a placeholder. Those that nothing uses are named."""
    columns = placed(["Имя", "Телефон", "city", "", "gender"], placeholders=("имя", "телефон"), has_text=True)
    assert columns.fields == {"to": 1}
    assert [columns.values[each] for each in ("имя", "телефон")] == [0, 1]
    assert columns.unused == ["city", "gender"]


def test_what_cannot_be_seen_in_a_name() -> None:
    """Zero-width characters and marks of direction do not count in the names of merge columns and placeholders."""
    columns = placed(["to", "\u200fשם\u200e", "И\u0306мя\u200b"], placeholders=("שם", "ймя"), has_text=True)
    assert (columns.values["שם"], columns.values["ймя"]) == (1, 2)


def test_the_recipient_in_a_text() -> None:
    """A field can fill a placeholder by its own name, whatever its column is called."""
    assert placed(["Телефон"], placeholders=("to",), has_text=True).values["to"] == 0


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (["phone", "Телефон"], "to"),
        (["to", "number"], "to"),
        (["to", "sender", " From "], "sender"),
        (["to", "text", "message"], "text"),
        (["to", "options.a", "options.a"], "options.a"),
    ],
)
def test_two_columns_for_one_field(names: list[str], field: str) -> None:
    """Two columns for one field are refused, in words that name both and the option that chooses one."""
    problem = problem_of(names)
    assert f"two columns stand for the field {field!r}" in problem
    assert f"--map {field}=COLUMN" in problem
    assert names[-1] in problem
    if names[-1] != names[-2]:
        assert placed(names, {field: names[-2]}).fields[field] == len(names) - 2


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("schedule_time", "scheduled_time"),
        ("scheduled", "scheduled_time"),
        ("priorty", "priority"),
        ("Validty", "validity"),
        ("callback", "callback_url"),
        ("sendr", "sender"),
        ("txt", "text"),
        ("option", "options"),
    ],
)
def test_misspelt_fields(column: str, field: str) -> None:
    """A name that is almost a field is refused before it is lost, unless the mapping or a placeholder says more."""
    problem = problem_of(["to", column])
    assert column in problem
    assert f"--map {field}=COLUMN" in problem
    assert placed(["to", column], {field: column}).fields[field] == 1
    assert placed(["to", column], {field: ""}).unused == [column]
    assert placed(["to", column], placeholders=(column.casefold(),), has_text=True).unused == []


@pytest.mark.parametrize(
    "column", ["gender", "city", "name", "Имя", "test", "total", "price", "date", "valid", "service", "next", "tender"]
)
def test_names_that_are_no_misspelling(column: str) -> None:
    """Usual names of merge columns are not taken for misspelt fields."""
    assert placed(["to", column]).unused == [column]


def test_a_usual_header_beside_a_text_for_all_rows() -> None:
    """A column that may be the text is refused beside a text for all rows, until the mapping decides."""
    for column in ("message", "Сообщение"):
        assert "--map text=" in problem_of(["to", column], has_text=True)
        assert "text" not in placed(["to", column], {"text": ""}, has_text=True).fields
        assert placed(["to", column], {"text": column}, has_text=True).fields["text"] == 1
        assert "text" not in placed(["to", column], has_text=True, placeholders=(column.casefold(),)).fields
    assert placed(["to", "text"], has_text=True).fields["text"] == 1


@pytest.mark.parametrize(
    ("names", "mapping", "problem"),
    [
        (["name", "city"], None, "no column has the recipients. Name a column to, phone or телефон"),
        ([], None, "no column has the recipients"),
        (["to"], {"text": "Body"}, "--map text=COLUMN (columns= in Python): there is no such column in the file"),
        (["to", "a", "A"], {"text": "a"}, "2 columns are named 'a'. Rename one of them"),
        (["to"], {"colour": "x"}, "there is no field 'colour' to map. The fields are sender, to, text,"),
        (["to"], {"to": "x", "phone": "y"}, "the field 'to' is mapped twice"),
        (["to"], {"to": "x", "text": "X"}, "two fields are mapped to one column. Map each to its own"),
    ],
)
def test_headers_that_cannot_be_used(names: list[str], mapping: dict[str, str] | None, problem: str) -> None:
    """A header that does not say where each field is, is refused in one line with the way out."""
    assert problem in problem_of(names, mapping)


def test_placeholders_without_a_column() -> None:
    """A placeholder that no column fills, or two columns, is refused by name."""
    assert "no column fills {name} in the text. The columns are 'to'" in problem_of(
        ["to"], placeholders=("name",), has_text=True
    )
    assert "2 columns are named 'имя'" in problem_of(["to", "Имя", " имя"], placeholders=("имя",), has_text=True)


@pytest.mark.parametrize("first", ["79000000001", "+7 (900) 000-00-01", "8 900 000 00 01", '="79000000001"'])
def test_no_header(first: str) -> None:
    """A first row with a phone number is not a header. It is refused, and none of its cells is shown."""
    for names in ([first, "Hello"], ["Hello", first], ["to", first]):
        problem = problem_of(names)
        assert problem.startswith("the first row has a phone number, so it is not a header")
        assert "Hello" not in problem
        assert "900" not in problem


def test_names_as_they_are_shown() -> None:
    """Names in messages are short and printable, and phone numbers in them are masked."""
    names = ["to", *(f"column {number}" for number in range(50)), "x" * 100, "bell \x07", "79000000001 old"]
    assert placed(["to", "x" * 100]).unused == ["x" * 100]
    problem = problem_of(["to", "text " + "x" * 100, "text 79000000001 \x07"], {"text": "nothing"})
    assert len(problem) < 200
    assert len(names) == 54


@pytest.mark.parametrize("cell", ["high", "HIGH ", " High", "\u00a0hIGH\n"])
def test_a_priority(cell: str) -> None:
    """A priority is read as the option of that name reads it, in any case, and spaces around it do not count."""
    assert converted({**LEAST, "priority": cell})["priority"] == "HIGH"


@pytest.mark.parametrize("cell", ["3600", "3600.0", " 3600.00 ", "3600,0", 3600.0, 3600])
def test_a_validity(cell: Any) -> None:
    """A whole number of seconds is one, whatever a spreadsheet made of it."""
    validity = converted({**LEAST, "validity": cell})["validity"]
    assert (validity, type(validity)) == (3600, int)


def test_spaces_around_cells() -> None:
    """Spaces around a sender or an address do not count. Those of a text do."""
    values = {"sender": " A ", "callback_url": " https://example.com/ ", "text": " x "}
    assert converted(values) == {"sender": "A", "callback_url": "https://example.com/", "text": " x ", "to": ""}


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
