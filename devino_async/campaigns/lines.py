"""The lines of a text, with a limit on their length, and what has no place in any of them.

Which encoding a text has is in decoding.py, what its lines mean in tables.py.
"""

import codecs
import io
from collections.abc import Callable, Iterator
from operator import length_hint

from attrs import define, field

from .cyrillic import CYRILLIC, UTF_8_LETTERS, holds_utf_8
from .decoding import MAX_LINE, ON_ERRORS, UNREADABLE, Ahead, Encoding

__all__ = ["FileChanged", "LineTooLong", "Lines"]

_CHUNK = 65_536


class LineTooLong(Exception):
    """A line has no end within MAX_LINE characters."""


class FileChanged(Exception):
    """A file changed while it was read, so what comes next may begin within a row."""


@define
class Lines:
    """The lines of a text, in lists. `odd` says whether any so far hold a character that makes a row unreadable."""

    plain: Ahead
    encoding: Encoding
    is_changed: Callable[[], bool] = bool
    odd: bool = False
    _at_hand: Iterator[str] = field(init=False, factory=lambda: iter(()))
    _is_file: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_file = self.plain.seekable()

    def would_wait(self) -> bool:
        """Return whether the next line of a pipe has not come yet. Rows before it should not wait for it."""
        return not self._is_file and not length_hint(self._at_hand)

    def __iter__(self) -> Iterator[Iterator[str]]:
        """Yield lists of lines with their ends. Lone `\\r` and `\\n`, and both, end a line.

        Raises LineTooLong and FileChanged.
        """
        decoder = codecs.getincrementaldecoder(self.encoding.name)(ON_ERRORS)
        rest, read = "", self.plain.read
        while True:
            data = read(_CHUNK)
            if self.is_changed():
                raise FileChanged
            text = decoder.decode(data or b"", final=not data)
            if "\ufeff" in text:
                text = _without_marks(text, rest)
            if UNREADABLE in text or "\0" in text or self._has_utf_8(data or b""):
                self.odd = True
            rest += text
            end = rest.rfind("\n") + 1 or rest.rfind("\r", 0, -1) + 1
            if end:
                self._at_hand = iter(_split(rest[:end]))
                yield self._at_hand
                rest = rest[end:]
            if len(rest) > MAX_LINE:
                raise LineTooLong
            if not data:
                break
        if rest:
            yield iter([rest])

    def _has_utf_8(self, data: bytes) -> bool:
        return not self.encoding.is_unicode and UTF_8_LETTERS.search(data) is not None

    def problem(self, text: str) -> str | None:
        """Return the problem with some of the text that holds what has no place in a row."""
        name = self.encoding.name
        if UNREADABLE in text:
            return f"has bytes that are not {name.upper()}: see --encoding NAME"
        if "\0" in text:
            return "has a NUL character"
        if not self.encoding.is_unicode and holds_utf_8(text, name):
            return f"is UTF-8, though the file was read as {CYRILLIC.get(name, name.upper())}: see --encoding NAME"
        return None


def _split(text: str) -> list[str]:
    """Return the lines of a text that ends with one. Only `\r` and `\n` end lines, though Unicode knows more ends."""
    lines = text.splitlines(keepends=True)
    # StringIO splits rightly, and takes twice the time.
    return lines if len(lines) == text.count("\n") else list(io.StringIO(text, newline=""))


def _without_marks(text: str, rest: str) -> str:
    """Return text without byte order marks at the start of lines: where files were joined, one stands in the middle."""
    if not rest or rest[-1] in "\r\n":
        text = text.lstrip("\ufeff")
    return text.replace("\n\ufeff", "\n").replace("\r\ufeff", "\r")
