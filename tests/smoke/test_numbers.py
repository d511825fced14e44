"""Smoke: national numbers are converted with the library of the extra `phone`."""

import pytest

from devino_async.campaigns import InvalidNumber, normalize_number

pytestmark = pytest.mark.needs("phonenumbers")


@pytest.mark.parametrize("written", ["8 (900) 000-00-01", "9000000001", "+7 900 000-00-01", "79000000001.0"])
def test_a_national_number(written: str) -> None:
    """However a mobile number is written, its digits are the same with the oldest library that is allowed."""
    assert normalize_number(written, country="RU") == "79000000001"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("8 495 000-00-01", "it is a landline number"),
        ("8 900 000-00-1", "too short by 1 digit"),
        ("abc", "Latin letter"),
    ],
)
def test_what_is_no_mobile_number(written: str, problem: str) -> None:
    """What is wrong with a number is told in the same words with the oldest library that is allowed."""
    with pytest.raises(InvalidNumber, match=problem):
        normalize_number(written, country="RU")
