"""The converter's readers one by one, where a decoded answer alone cannot reach them."""

from decimal import Decimal
from typing import Any

import pytest

from devino_async.protocol.wire.converter import Mismatch, as_id, as_moment, as_yes_or_no, structure


@pytest.mark.parametrize("bad", [1.0, 3.7e18, Decimal(5), True, False, None, b"5", ["5"], {}])
def test_never_an_id(bad: Any) -> None:
    """A float or a decimal has lost digits already, a boolean is no number: neither is ever an id."""
    with pytest.raises(Mismatch):
        as_id(bad)


@pytest.mark.parametrize("bad", [None, 5, 1.5, [], {}, True, b"x"])
def test_never_a_text(bad: Any) -> None:
    """Nothing but a text becomes a text: null never 'None', a number never its digits."""
    with pytest.raises(Mismatch):
        structure(bad, str)


@pytest.mark.parametrize("bad", ["No", "false", "", 0, 1, None, [], "true"])
def test_never_a_truth(bad: Any) -> None:
    """Nothing but true and false becomes a bool: "No" is never True."""
    with pytest.raises(Mismatch):
        structure(bad, bool)


@pytest.mark.parametrize("bad", [1.0, True, None, "", "1.0", "--1", "-", "x", "９", "9" * 65, Decimal(1)])
def test_never_a_whole_number(bad: Any) -> None:
    """Floats, booleans, null and other scripts' digits are no whole numbers."""
    with pytest.raises(Mismatch):
        structure(bad, int)


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
    """What is no date of a calendar is refused."""
    with pytest.raises(Mismatch):
        as_moment(bad)


def test_mismatch_shows_no_value() -> None:
    """The text of a mismatch names place and kind and never holds the value."""
    with pytest.raises(Mismatch, match=r"\[1\]") as raised:
        structure(["5", {"sesame": "79001234567"}], list[str])
    assert "sesame" not in str(raised.value)
    assert "79001234567" not in str(raised.value)
    assert raised.value.__context__ is None
