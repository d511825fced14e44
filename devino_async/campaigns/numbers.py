"""Phone numbers as people write them, and the E.164 digits that they mean.

Numbers of a named country are in national_numbers.py, which uses a library. Plain digits do not need it.
"""

import re
from typing import Any

from ..errors import InvalidMessage, Reason
from .digits import MIN_DIGITS_WITH_PLUS, Normalizer, digits_of

__all__ = ["InvalidNumber", "normalize_number", "normalizer"]

# Without a plus, these are numbers as people dial them at home: 0..., 8 and ten digits (Russia and its
# neighbours), 810... (their prefix for calls abroad), and ten digits that begin with 9 or 7.
_NATIONAL = re.compile(r"0.*|8[0-9]{10}|810[0-9]{9,}|[79][0-9]{9}", re.ASCII)
# Even with a plus these are wrong. No country has these codes, or so few digits after them.
_NATIONAL_WITH_PLUS = re.compile(r"0.*|8[39][0-9]{9}|9(?!5|60|61)[0-9]{9}|7[0-9]{9}", re.ASCII)
_MIN_DIGITS = 10
_DIGITS_OF_7 = 11


class InvalidNumber(InvalidMessage):
    """A value is not a phone number, or not certainly one that can get an SMS. The error does not hold the value."""

    def __init__(self, problems: tuple[Reason, ...] | list[Reason]) -> None:
        super().__init__(problems)
        self.args = ("; ".join(f"{each} ({each.default_message})" for each in problems),)

    def __reduce__(self) -> tuple[Any, ...]:
        return InvalidNumber, (self.problems,)


def normalize_number(text: str | int, *, country: str | None = None) -> str:
    """Return the digits of a phone number as E.164 has them, without the plus.

    Spaces, zero-width characters, brackets, hyphens, dots, slashes, a leading apostrophe, a trailing `.0` and
    `="..."` are ignored. `country` is a code of two letters, such as "RU". With it, national numbers are converted,
    and the length and the mobile range of the country are checked. That needs `pip install 'devino-async[phone]'`.
    Without it, a number that is most likely national is refused. Raises InvalidNumber, a ValueError that says what is
    wrong, and does not contain the number. Raises ConfigurationError for an unknown country.
    """
    digits, problem = normalizer(country)(text)
    if problem is None:
        return digits
    # Error trackers record the locals of frames, so this frame must not hold the number.
    del text, digits
    raise InvalidNumber([Reason("to.format.invalid", "to", problem)])


def normalizer(country: str | None) -> Normalizer:
    """Return the function that normalizes numbers of a country. Raises ConfigurationError for an unknown country."""
    if country is None:
        return _international
    # Imported here, because it loads the library.
    from .national_numbers import numbers_of  # noqa: PLC0415

    return numbers_of(country)


def _international(value: object) -> tuple[str, str | None]:
    # The usual case does without a regular expression, because campaigns have millions of numbers.
    if type(value) is str and len(value) == _DIGITS_OF_7 and value[0] in "71" and value.isascii() and value.isdigit():
        return value, None
    plus, digits, problem = digits_of(value)
    return digits, problem or _not_international(plus, digits)


def _not_international(plus: str, digits: str) -> str | None:
    """Return why digits are not a number with a country code, or None."""
    count = len(digits)
    if (_NATIONAL_WITH_PLUS if plus else _NATIONAL).fullmatch(digits):
        return (
            "looks like a national number. Name its country, as in --country RU (country= in Python), or write it with "
            "a + and its country code"
        )
    if digits[0] == "7" and count != _DIGITS_OF_7:
        return f"has {count} digits, but a number that begins with 7 has {_DIGITS_OF_7}"
    if count < (MIN_DIGITS_WITH_PLUS if plus else _MIN_DIGITS):
        return f"has only {count} digits, too few for a number with its country code"
    return None
