"""Placeholders: `{name}`, `{name:>10}`, `{day:%d.%m.%Y}` and `{name|default}` in the text of a template.

A placeholder says which value it stands for, how the value is shown, and what replaces a missing value. Values are
only inserted. They are never parsed, so braces in a value stay as they are. template.py finds the values.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from math import isinf
from numbers import Real

from attrs import frozen

from ..errors import Reason
from ..redaction import mask_phones

__all__ = ["Placeholder", "all_filled", "has_no_value", "matching_name", "parse"]

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# The name, then a format after a colon, then a default after a bar. A default may hold both.
_PARTS = re.compile(r"([^:|]*)(?::([^|]*))?(?:\|(.*))?", re.DOTALL)
# In Python's own format strings, these would reach into a value: {a[0]}, {a.b}, {a!r}.
_REACHING = re.compile(r"\w\[[^\]]*\]\Z|\A[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+\Z|![rsa]\Z")
_WIDTH = re.compile(r"(?:.?[<>^])?[1-9][0-9]{0,2}", re.DOTALL)
_DATE = re.compile(r"(?:[^%]|%[dmYyHMS%])*", re.DOTALL)
_DIRECTIVE = re.compile("%(.)")
_DAY_FIRST = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})(?:[ T](.+))?")
_MAX_PROBLEMS = 5
_MAX_SHOWN = 40
# What a person does not see: spaces, controls, and what Unicode has for fonts and directions of writing.
_BLANK = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]*"
)
# Above this, a float does not hold its last digits.
_EXACT = 2**53


def matching_name(name: str) -> str:
    """Return the form in which names are compared.

    Case, spaces around, composed letters, and what cannot be seen (zero-width characters and marks of direction) do not
    count.
    """
    if not name.isprintable():
        name = "".join(each for each in name if unicodedata.category(each) != "Cf")
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def all_filled(texts: Iterable[str]) -> bool:
    """Return whether each of these has a character that a person sees."""
    return not any(map(_BLANK.fullmatch, texts))


def has_no_value(value: object) -> bool:
    """Return whether a cell is empty: None, a text without a character that a person sees, or a missing number or date.

    The last two are what pandas writes.
    """
    if isinstance(value, str):
        return _BLANK.fullmatch(value) is not None
    return value is None or (isinstance(value, float | datetime) and value != value)  # noqa: PLR0124


@frozen(repr=False)
class Placeholder:
    """One placeholder of a text. `format` is "", a width or a date format. `default` is None if there is none."""

    name: str
    format: str = ""
    default: str | None = None

    @property
    def shown_name(self) -> str:
        """The name as an error may show it."""
        name = mask_phones(self.name)
        return f"{{{name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + '…'}}}"

    def shown(self, value: object) -> str | Reason:
        """Return how a value is shown, or the default without one, or what is wrong. The reason shows no value."""
        if has_no_value(value):
            return self._without_value()
        if type(value) is str and not self.format:
            return value
        if "%" in self.format:
            return self._dated(value)
        text = _plain(value)
        if text is None:
            why = f"{self.shown_name} must be a str, a number or a date, not {type(value).__name__}"
            return Reason("text.placeholder.invalid", "text", why)
        return format(text, self.format) if self.format else text

    def _without_value(self) -> str | Reason:
        if self.default is not None:
            return self.default if "%" in self.format else format(self.default, self.format)
        why = f"{self.shown_name} has no value. Give the row one, or the placeholder a default as in {{name|default}}"
        return Reason("text.placeholder.empty", "text", why)

    def _dated(self, value: object) -> str | Reason:
        moment = _moment(value)
        if moment is None:
            why = f"{self.shown_name} must be a date, a datetime, or a str such as 2026-11-28 or 28.11.2026"
            return Reason("text.placeholder.invalid", "text", why)
        # strftime would depend on the locale and the platform.
        parts = {
            "d": f"{moment.day:02}",
            "m": f"{moment.month:02}",
            "Y": f"{moment.year:04}",
            "y": f"{moment.year % 100:02}",
            "H": f"{moment.hour:02}",
            "M": f"{moment.minute:02}",
            "S": f"{moment.second:02}",
            "%": "%",
        }
        return _DIRECTIVE.sub(lambda found: parts[found[1]], self.format)


def _plain(value: object) -> str | None:
    """Return a value as a person writes it, or None if it is not a text, a number or a date."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool) or (isinstance(value, float) and isinf(value)):
        return None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return str(int(value))
    try:
        return str(value) if isinstance(value, Real | date | time) else None
    except ValueError:
        # An int with thousands of digits.
        return None


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no zone
    if not isinstance(value, str):
        return None
    text = value.strip()
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year, clock = found.groups()
        text = f"{year}-{month:0>2}-{day:0>2}" + (f" {clock}" if clock else "")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def parse(text: str) -> tuple[list[str | Placeholder], list[Reason]]:
    """Return the pieces of a text, literal and placeholders in turn, and what is wrong with it."""
    pieces: list[str | Placeholder] = []
    problems: list[Reason] = []
    literal, at = "", 0
    for token in _TOKEN.finditer(text):
        literal += text[at : token.start()]
        at = token.end()
        if token[1] is None:
            if len(token[0]) == 1:
                problems.append(_invalid(token.start(), _unbalanced(token[0])))
            literal += token[0][:1]
            continue
        found = _placeholder(token[1])
        if isinstance(found, str):
            problems.append(_invalid(token.start(), found))
        else:
            pieces += [literal, found]
            literal = ""
    return [*pieces, literal + text[at:]], problems[:_MAX_PROBLEMS]


def _placeholder(inside: str) -> Placeholder | str:
    """Return the placeholder with this between its braces, or what is wrong with it."""
    found = _PARTS.fullmatch(inside)
    assert found is not None  # noqa: S101 - it matches every text
    name, form, default = found[1].strip(), found[2], found[3]
    if not name:
        return "the braces hold no name. Write {{ and }} for braces"
    if _REACHING.search(name):
        return "a placeholder is only a name, without [index], .attribute or !conversion. Rename the field"
    if matching_name(name) == "text":
        return "{text} cannot be a placeholder, because a row's own text replaces the template's. Rename the field"
    if form is not None and not ((_DATE if "%" in form else _WIDTH).fullmatch(form)):
        return (
            "after a colon, give a width, as in {name:>10}, or a date format of %d %m %Y %y %H %M %S, as in "
            "{day:%d.%m.%Y}. A field whose name holds a colon must be renamed"
        )
    return Placeholder(name, form or "", default)


def _unbalanced(brace: str) -> str:
    if brace == "{":
        return "the brace is never closed, or opened again before it is closed. Write {{ for a brace"
    return "no brace was opened before this one. Write }} for a brace"


def _invalid(index: int, why: str) -> Reason:
    return Reason("text.placeholder.invalid", "text", f"at character {index + 1}: {why}")
