"""The converter's readers one by one, where a decoded answer alone cannot reach them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs
import pytest

from devino_async.protocol.wire.converter import (
    Mismatch,
    as_id,
    as_moment,
    as_yes_or_no,
    structure,
    structure_readable,
    wire_class,
)
from devino_async.protocol.wire.strict_json import decode


@pytest.mark.parametrize("bad", [1.0, 3.7e18, Decimal(5), True, False, None, b"5", ["5"], {}])
def test_never_an_id(bad: Any) -> None:
    """A float or a decimal has lost digits already, a boolean is not a number: neither is ever an id."""
    with pytest.raises(Mismatch):
        as_id(bad)


@pytest.mark.parametrize("bad", [None, 1.5, [], {}, True, b"x"])
def test_never_a_text(bad: Any) -> None:
    """Nothing but a text or a number becomes a text: null is never 'None', true never 'True'."""
    with pytest.raises(Mismatch):
        structure(bad, str)


@pytest.mark.parametrize("bad", ["No", "false", "", 0, 1, None, [], "true"])
def test_never_a_truth(bad: Any) -> None:
    """Nothing but true and false becomes a bool: "No" is never True."""
    with pytest.raises(Mismatch):
        structure(bad, bool)


@pytest.mark.parametrize(
    "bad", [1.0, True, None, "", "1.0", "--1", "-", "x", "９", "9" * 65, Decimal("1.5"), Decimal("1e64")]
)
def test_never_a_whole_number(bad: Any) -> None:
    """Fractions, booleans, null and other scripts' digits are not whole numbers."""
    with pytest.raises(Mismatch):
        structure(bad, int)


@pytest.mark.parametrize(
    ("number", "text"),
    [(5, "5"), (Decimal("7.0"), "7"), (Decimal("7.9E+10"), "79000000000"), (Decimal("1.50"), "1.50"),
     (10**25, "1" + "0" * 25), (Decimal("1E+999999"), "1E+999999")],
)  # fmt: skip
def test_numbers_where_text_is_expected(number: Any, text: str) -> None:
    """A number is its text, a whole float that of the whole number, and no exponent becomes a million digits."""
    assert structure(number, str) == text


@pytest.mark.parametrize(
    ("written", "number"), [("7.0", 7), ("-7.00", -7), ("1.5e3", 1_500), ("0.0", 0), ("1e63", 10**63)]
)
def test_whole_floats(written: str, number: int) -> None:
    """A float without a fraction is a whole number."""
    assert structure(decode(written), int) == number


@pytest.mark.parametrize("bad", ["nan", "Infinity", "-inf", "", "1,5", "1 000", True, None, 1.5, "9" * 65])
def test_never_money(bad: Any) -> None:
    """Money is a finite decimal or a whole number, never a float that has lost kopecks already."""
    with pytest.raises(Mismatch):
        structure(bad, Decimal)


@pytest.mark.parametrize(
    ("written", "truth"), [("Yes", True), ("no", False), ("NO", False), (True, True), (False, False)]
)
def test_yes_and_no(written: Any, truth: bool) -> None:
    """The service's words for true and false, in any case, or a real boolean."""
    assert as_yes_or_no(written) is truth


@pytest.mark.parametrize("bad", ["2022-13-01 00:00:00", "12.10.2022", "", 5, None, "2022-09-09 25:00:00"])
def test_never_a_moment(bad: Any) -> None:
    """A date that no calendar knows is refused."""
    with pytest.raises(Mismatch):
        as_moment(bad)


@attrs.frozen
class Parcel:
    """A class of the wire with a column of each sort."""

    weight: int
    parcel_id: str
    note: str | None = None
    kept: int = 7
    extra: Mapping[str, Any] = attrs.field(factory=dict)


wire_class(Parcel, names={"parcel_id": "id"}, hooks={"parcel_id": as_id}, omitted={"kept"})


def test_mismatch_names_places_and_shows_no_value() -> None:
    """A mismatch names every place and what must stand there, and never holds a value."""
    with pytest.raises(Mismatch) as raised:
        structure({"id": 1.5, "note": ["79001234567"], "sesame": 1}, Parcel)
    assert str(raised.value).split("; ") == [
        "is missing @ $.weight",
        "must be an id, as a str or a whole number @ $.parcel_id",
        "must be a str @ $.note",
    ]
    assert raised.value.__context__ is None


@pytest.mark.parametrize("bad", [None, 5, "x", [], decode('{"id": 5, "id": 6}')])
def test_what_is_not_an_object(bad: Any) -> None:
    """Anything but an object, and an object that names a key twice, is a mismatch."""
    with pytest.raises(Mismatch, match=r"^(must be an object|names a key twice)$"):
        structure(bad, Parcel)


def test_unknown_keys() -> None:
    """Unknown keys go to `extra`, those that are called like it or like an omitted attribute as well."""
    read = structure({"id": 5, "weight": 1, "kept": 8, "extra": 2, "parcel_id": 3, "\0extra": 4}, Parcel)
    assert read == Parcel(1, "5", None, 7, {"kept": 8, "extra": 2, "parcel_id": 3, "\0extra": 4})
    assert structure({"id": "5", "weight": 1, "note": None}, Parcel) == Parcel(1, "5")


def test_a_reader_that_fails_otherwise() -> None:
    """Whatever else goes wrong in a reader is a mismatch of its place, without the words of the foreign error."""

    @attrs.frozen
    class Odd:
        half: int

    wire_class(Odd, hooks={"half": lambda value, _: value / 2})
    with pytest.raises(Mismatch, match=r"^cannot be read @ \$\.half$"):
        structure({"half": "sesame"}, Odd)


def test_readable_columns() -> None:
    """A column that cannot be read costs itself: the others are read, it stands in `extra` under its wire name."""
    read, odd = structure_readable({"id": 5, "weight": 1, "note": ["x"], "new": True}, Parcel)
    assert (read, odd) == (Parcel(1, "5", None, 7, {"note": ["x"], "new": True}), 1)
    assert structure_readable({"id": 5, "weight": 1}, Parcel) == (Parcel(1, "5"), 0)


@pytest.mark.parametrize("bad", [{"id": 1.5, "weight": 1}, {"id": 5}, {}, None, [], "x", decode('{"id": 5, "id": 6}')])
def test_what_is_not_readable(bad: Any) -> None:
    """Without its required columns, or as another kind of value, an item cannot be read at all."""
    with pytest.raises(Mismatch) as raised:
        structure_readable(bad, Parcel)
    assert raised.value.__context__ is None


def test_empty_text_is_none() -> None:
    """An empty text is None where a column may be None, whatever its kind, and nowhere else."""

    @attrs.frozen
    class Form:
        name: str | None
        size: int | None
        part_id: str | None
        required: str

    wire_class(Form, hooks={"part_id": as_id})
    empty = {"name": "", "size": "", "partId": "", "required": ""}
    assert structure(empty, Form) == Form(None, None, None, "")
