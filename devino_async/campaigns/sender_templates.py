"""Templates that are registered with operators for a sender, and whether a text matches one of them.

Russian operators bill a text that matches none as advertising. Matching takes time in proportion to the length of
the text: a set of places in it is an int with a bit for each, and each part of a template moves all of them at once.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path

from attrs import field, frozen

from ..errors import ConfigurationError
from ..protocol.text import MAX_LATIN_CHARACTERS

__all__ = ["SenderTemplates", "read_sender_templates"]

# A template is a text, so it is no longer than one. A group of words or digits is rarely more than 20.
_MAX_REPEATS = 100
_MAX_TEMPLATES = 10_000
_MAX_FILE_BYTES = 10_000_000
_SHORT = 64

# `%w` and `%d`, followed by `{1,5}`, `{5}`, `+` or nothing. Any other use of `%w` and `%d` with a brace is a mistake.
_VARIABLE = re.compile(r"%(?P<kind>[wd])(?:(?P<plus>\+)|\{(?P<bounds>[^{}]*)\}|(?P<broken>\{))?")
_BOUNDS = re.compile(r"\s*([0-9]{1,3})\s*(?:,\s*([0-9]{1,3})\s*)?", re.ASCII)
_NOT_WORD = re.compile(r"\s")
_NOT_DIGIT = re.compile(r"[^0-9]")

Places = int
"""A set of places in a text. Bit n stands for the place before the character n."""


@frozen
class _Subject:
    """A text to be matched. A set bit of `words` stands for a character of a word, and one of `digits` for a digit."""

    text: str = field(repr=False)
    words: Places
    digits: Places

    @property
    def blanks(self) -> Places:
        """The characters between words."""
        return ~self.words & ((1 << len(self.text)) - 1)


@frozen
class _Literal:
    """Text that must be there, character by character."""

    text: str

    def after(self, subject: _Subject, places: Places) -> Places:
        size = len(self.text)
        if places.bit_count() == 1:
            # Most often there is only one place, as at the start.
            at = places.bit_length() - 1
            return places << size if subject.text.startswith(self.text, at) else 0
        found = bytearray(len(subject.text) // 8 + 1)
        for at in self._occurrences(subject.text, places):
            found[at // 8] |= 1 << at % 8
        return (places & int.from_bytes(found, "little")) << size

    def _occurrences(self, text: str, places: Places) -> Iterator[int]:
        if len(self.text) <= _SHORT:
            at = text.find(self.text)
            while at >= 0:
                yield at
                at = text.find(self.text, at + 1)
        else:
            # str.find prepares again for each search, which takes time for each character of a long literal.
            bits = bin(places)[:1:-1]
            at = bits.find("1")
            while at >= 0:
                if text.startswith(self.text, at):
                    yield at
                at = bits.find("1", at + 1)


@frozen
class _Digits:
    """From `fewest` to `most` digits. `most` is None for any number of them."""

    fewest: int
    most: int | None

    def after(self, subject: _Subject, places: Places) -> Places:
        for _ in range(self.fewest):
            places = (places & subject.digits) << 1
        if self.most is None:
            return _spread(places, subject.digits)
        reached = places
        for _ in range(self.most - self.fewest):
            places = (places & subject.digits) << 1
            reached |= places
        return reached


@frozen
class _Words:
    """From `fewest` to `most` words with blanks between them. `most` is None for any number of them."""

    fewest: int
    most: int | None

    def after(self, subject: _Subject, places: Places) -> Places:
        words, blanks = subject.words, subject.blanks
        reached = 0
        for number in range(1, (self.most or self.fewest) + 1):
            if number > 1:
                places = _one_or_more(places, blanks)
            places = _one_or_more(places, words)
            if not places:
                break
            if number >= self.fewest:
                reached |= places
        if self.most is None and reached:
            # Any number of further words is anything that begins with a blank after a word and ends with a word.
            first = _one_or_more(reached, blanks)
            lowest = first & -first
            reached |= (words & -lowest) << 1 if lowest else 0
        return reached


_Part = _Literal | _Digits | _Words


class SenderTemplates:
    """The templates of a sender: one a line, as they were registered.

    `%w` is a word and `%d` a digit. `%w{1,5}` is one to five words, and `%d{4}` four digits. `%w+` and `%d+` are one or
    more. A word is anything without blanks. `\\n` is the end of a line. All else must be in the text as it is in the
    template, with the same case and blanks. Blank lines do not count.

    Raises ConfigurationError with the line and the place of a template that cannot be read.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._templates: list[tuple[str, str, tuple[_Part, ...]]] = []
        for number, line in enumerate(lines, 1):
            template = line.strip("\r\n\ufeff")
            if not template.strip():
                continue
            if len(template) > MAX_LATIN_CHARACTERS:
                raise ConfigurationError(
                    f"template on line {number} is longer than {MAX_LATIN_CHARACTERS:,} characters"
                )
            parts = tuple(_parse(template, number))
            first, last = parts[0], parts[-1]
            begin = first.text if isinstance(first, _Literal) else ""
            end = last.text if isinstance(last, _Literal) else ""
            self._templates.append((begin, end, parts))
            if len(self._templates) > _MAX_TEMPLATES:
                raise ConfigurationError(f"there are more than {_MAX_TEMPLATES:,} templates")
        if not self._templates:
            raise ConfigurationError("there are no templates. Write each on a line of its own")

    def __len__(self) -> int:
        return len(self._templates)

    def __repr__(self) -> str:
        return f"SenderTemplates(<{len(self)} templates>)"

    def matches(self, text: str) -> bool:
        """Return whether the text matches one of the templates from its beginning to its end."""
        subject: _Subject | None = None
        for number, (begin, end, parts) in enumerate(self._templates):
            if not (text.startswith(begin) and text.endswith(end)):
                continue
            subject = subject or _Subject(text, _places(text, _NOT_WORD), _places(text, _NOT_DIGIT))
            places = 1
            for part in parts:
                places = part.after(subject, places)
                if not places:
                    break
            if places >> len(text) & 1:
                # The next text is likely to match the same template.
                self._templates.insert(0, self._templates.pop(number))
                return True
        return False


def read_sender_templates(path: str | PathLike[str]) -> SenderTemplates:
    """Return the templates of a file in UTF-8, one a line. Raises ConfigurationError if it cannot be used."""
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        lines = content.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not UTF-8: save it as UTF-8 text, one template a line") from None
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigurationError(f"{name} is larger than {_MAX_FILE_BYTES:,} bytes: is it a file of templates?")
    try:
        return SenderTemplates(lines)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _parse(template: str, number: int) -> Iterator[_Part]:
    at = 0
    for found in _VARIABLE.finditer(template):
        if found.start() > at:
            yield _Literal(template[at : found.start()].replace("\\n", "\n"))
        at = found.end()
        make: Callable[[int, int | None], _Part] = _Words if found["kind"] == "w" else _Digits
        yield make(*_bounds(found, number))
    if at < len(template):
        yield _Literal(template[at:].replace("\\n", "\n"))


def _bounds(found: re.Match[str], number: int) -> tuple[int, int | None]:
    if found["plus"] is not None:
        return 1, None
    if found["bounds"] is None and found["broken"] is None:
        return 1, 1
    variable = f"%{found['kind']}"
    where = f"template on line {number}, character {found.start() + 1}"
    bounds = None if found["bounds"] is None else _BOUNDS.fullmatch(found["bounds"])
    if bounds is None:
        raise ConfigurationError(
            f"{where}: write {variable}, {variable}+, {variable}{{5}} or {variable}{{1,5}} with a closing brace"
        )
    fewest, most = int(bounds[1]), int(bounds[2] or bounds[1])
    if not 1 <= fewest <= most <= _MAX_REPEATS:
        raise ConfigurationError(
            f"{where}: the numbers in {variable}{{..}} must be from 1 to {_MAX_REPEATS}, the smaller one first"
        )
    return fewest, most


def _places(text: str, others: re.Pattern[str]) -> Places:
    """Return the characters of a text that `others` does not match."""
    shown = bytearray(b"1" * len(text))
    for found in others.finditer(text):
        shown[found.start()] = 48
    # With a power of two as the base, int() takes time in proportion to the length, and has no limit on it.
    return int(bytes(reversed(shown)) or b"0", 2)


def _one_or_more(places: Places, characters: Places) -> Places:
    """Return the places after one or more of the characters."""
    return _spread((places & characters) << 1, characters)


def _spread(places: Places, characters: Places) -> Places:
    """Return the places, and all that can be reached from them over these characters.

    Each step doubles how far it reaches, so there are at most 17 of them.
    """
    width = 1
    while True:
        further = places | (places & characters) << width
        if further == places:
            return places
        places, characters, width = further, characters & characters >> width, width * 2
