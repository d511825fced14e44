"""The digits of a phone number as people write it: which characters are ignored, and which are refused."""

import re
import unicodedata
from collections.abc import Callable, Mapping

__all__ = ["MIN_DIGITS_WITH_PLUS", "Normalizer", "digits_of"]

Normalizer = Callable[[object], tuple[str, str | None]]
"""Returns the digits of a number, and the problem with it or None. An exception would hold the number in its frames."""

_DIGITS = re.compile(r"(\+?)([0-9]{1,15})", re.ASCII)
# What a spreadsheet adds around digits to keep them: ="79001234567", '79001234567 or 79001234567.0.
_EXCEL_TEXT = re.compile(r'="(.*)"', re.DOTALL)
_APOSTROPHES = "'`\u00b4\u2018\u2019\u201b\u02bc\u2032"
_DECIMAL = re.compile(r"(\+?[0-9]{7,})[.,]0*", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eEеЕ][+-]?[0-9]+")
_EXTENSION = re.compile(r"(?:ext|доб|вн|x|х|#|;)\D*\d", re.IGNORECASE)
# The zero of "+44 (0)20" is dialled only without the country code.
_TRUNK_ZERO = re.compile(r"(?<=[0-9])(\s*)\(\s*0\s*\)", re.ASCII)
# What may stand between two numbers in one cell. A slash or a line break may also be decoration.
_NEXT_NUMBER = re.compile(r"[,;/|&\n\r]|\s(?=\+)|\b(?:or|and|или|и)\b", re.IGNORECASE)
_DIGITS_OF_A_NUMBER = 5
_MARKS = frozenset("()[]{}<>./\\_~\u2212\u00b7\u2022")
_IGNORED_KINDS = frozenset({"Zs", "Zl", "Zp", "Cf", "Pd"})
_PLUS = frozenset("+\uff0b")
# The usual decoration is removed at once. A dot, a slash or a line break may mean more, so each is looked at.
_USUAL_MARKS = dict.fromkeys(map(ord, " ()-\u00a0\u200b\u2011\u202f\ufeff"))
_MAX_CHARACTERS = 200
_MAX_DIGITS = 15
MIN_DIGITS_WITH_PLUS = 7


def digits_of(value: object) -> tuple[str, str, str | None]:
    """Return the plus of a number or "", its digits, and the problem with it or None. `00` at the start is a plus."""
    text = value if type(value) is str else _text_of(value)
    if text is None:
        return "", "", f"must be a str or a whole number, not {type(value).__name__}"
    found = _DIGITS.fullmatch(text)
    if found is None and "(0)" not in text:
        found = _DIGITS.fullmatch(text.translate(_USUAL_MARKS))
    plus, digits, problem = (found[1], found[2], None) if found else _read(text)
    if not plus and digits.startswith("00"):
        plus, digits = "+", digits[2:]
    if problem is None and not digits:
        problem = "must be an E.164 number, but is empty" if not text.strip() else "must be an E.164 number"
    if problem is None and len(digits) > _MAX_DIGITS:
        problem = f"has {len(digits)} digits, but an E.164 number has at most {_MAX_DIGITS}. Are these two numbers?"
    return plus, digits, problem


def _text_of(value: object) -> str | None:
    """Return the text of a number from JSON. A whole float is a whole number."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**100 else "9" * 100
    return None


def _read(text: str) -> tuple[str, str, str | None]:
    """Return the plus, the digits and the problem of a number with decoration."""
    inner = _TRUNK_ZERO.sub(r"\1", _without_excel(text))
    problem = _not_one_number(inner)
    if problem is not None:
        return "", "", problem
    start = text.find(inner[:1])
    plus, digits = "", []
    for position, each in enumerate(inner, start + 1):
        kind = unicodedata.category(each)
        if kind == "Nd":
            digits.append(str(unicodedata.decimal(each)))
        elif each in _PLUS and not plus and not digits:
            plus = "+"
        elif not (kind in _IGNORED_KINDS or each in _MARKS or each.isspace()):
            if len(digits) >= MIN_DIGITS_WITH_PLUS and _EXTENSION.match(inner, position - start - 1):
                return "", "", "has an extension, but an SMS cannot be sent to an extension"
            return "", "", f"must be an E.164 number, but character {position} is {_kind_of(each)}"
    return plus, "".join(digits), None


def _without_excel(text: str) -> str:
    """Return a cell without what spreadsheets add to preserve the digits of a number."""
    text = text.strip()
    found = _EXCEL_TEXT.fullmatch(text)
    text = (found[1] if found else text).strip().lstrip(_APOSTROPHES).strip()
    found = _DECIMAL.fullmatch(text)
    return found[1] if found else text


def _not_one_number(text: str) -> str | None:
    if len(text) > _MAX_CHARACTERS:
        return f"must be an E.164 number, but is {len(text):,} characters long"
    if _SCIENTIFIC.fullmatch(text):
        return "is in scientific notation, which loses digits. Format the column as text, and enter the numbers again"
    parts = _NEXT_NUMBER.split(text)
    if sum(sum(map(str.isdecimal, part)) >= _DIGITS_OF_A_NUMBER for part in parts) > 1:
        return "holds more than one number. Give each number a row of its own"
    return None


def _kind_of(character: str) -> str:
    """Return the kind of a character, such as "a Cyrillic letter"."""
    kind = unicodedata.category(character)
    name = unicodedata.name(character, "")
    if character in _PLUS:
        return "a + that is not at the start"
    if kind.startswith("L") and name:
        return f"a {name.partition(' ')[0].capitalize()} letter"
    special: Mapping[str, str] = {"Cc": "a control character", "Cs": "half of a surrogate pair"}
    return special.get(kind) or (f"the {name.lower()}" if name else "not a digit")
