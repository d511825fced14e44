"""Bytes of a file to lines of text: gzip, byte order marks, encodings, and a limit on the length of a line.

The encoding is decided before the first line. What a file is at all is in file_kinds.py, what its lines mean in
tables.py.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from operator import length_hint
from typing import BinaryIO, cast

from attrs import define, field, frozen

from ..errors import ConfigurationError
from .cyrillic import CYRILLIC, russian_encodings
from .file_kinds import kind_of, refuse_binary

__all__ = [
    "DAMAGED",
    "GZIP_ERRORS",
    "MAX_LINE",
    "UNREADABLE",
    "Ahead",
    "Encoding",
    "LineTooLong",
    "Lines",
    "all_bytes",
    "encoding_of",
    "plain_bytes",
]

MAX_LINE = 1_048_576
"""The limit on the length of a line, in characters."""
UNREADABLE = "\udcff"
"""Stands for bytes that the encoding does not have. No text can hold it."""

_HEAD = 65_536
_CHUNK = 65_536
_PASS = 1_048_576
# Other encodings have a few bytes that are UTF-8 by chance. So many are not chance.
_MIXED = 20
_ERRORS = "devino_async.unreadable"

# UTF-32 comes first, because the mark of UTF-16 begins its mark.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DAMAGED = "the gzip archive is damaged or cut short"
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


def _mark_unreadable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE, error.end


codecs.register_error(_ERRORS, _mark_unreadable)


class LineTooLong(Exception):
    """A line has no end within MAX_LINE characters."""


@frozen
class Encoding:
    """The encoding of a text, and what is said about it before its first row."""

    name: str
    note: str | None = None


class Ahead(io.RawIOBase):
    """A file whose first bytes can be read ahead. Its start is where it stands now. The file itself is left open."""

    def __init__(self, file: BinaryIO, *, seekable: bool) -> None:
        super().__init__()
        self._file = file
        # read1() returns what is at hand, where read() waits for all that it was asked for.
        self._read = getattr(file, "read1", None) or file.read
        self._ahead, self._at = b"", 0
        self._start = file.tell() if seekable else None

    def head(self) -> bytes:
        """Return the first bytes, or those at hand: at least two lines, unless the file or 64 KiB end before."""
        while len(self._ahead) < _HEAD and (self._start is not None or self._ahead.lstrip().count(b"\n") < 2):
            data = self._read(_HEAD - len(self._ahead))
            if not data:
                break
            self._ahead += data
        return self._ahead

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._start is not None

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._ahead[: len(buffer)] or self._read(len(buffer)) or b""
        self._ahead = self._ahead[len(data) :]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go back to the start, or return the place, which is all that is needed."""
        if offset == 0 and whence == io.SEEK_CUR:
            return self._at
        if self._start is None or offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only the start of a file can be returned to")
        self._file.seek(self._start)
        self._ahead, self._at = b"", 0
        return 0


def plain_bytes(file: BinaryIO) -> Ahead:
    """Return a file, unpacked if it is gzip. Raises ConfigurationError for a damaged archive, or one in another."""
    plain = Ahead(file, seekable=file.seekable())
    if kind_of(plain.head()) != "gzip":
        return plain
    unzipped = gzip.GzipFile(fileobj=io.BufferedReader(plain))
    inside = Ahead(cast("BinaryIO", unzipped), seekable=plain.seekable())
    try:
        if kind_of(inside.head()) == "gzip":
            raise ConfigurationError("the file is a gzip archive within another: unpack it first")
    except GZIP_ERRORS:
        raise ConfigurationError(DAMAGED) from None
    return inside


def all_bytes(plain: Ahead, maximum: int) -> bytes:
    """Return all of a file that is no text. Raises ConfigurationError if it has more bytes than the maximum."""
    data = bytearray()
    try:
        while piece := plain.read(_PASS):
            data += piece
            if len(data) > maximum:
                raise ConfigurationError(f"the workbook has more than {maximum:,} bytes: save the sheet as CSV")
    except GZIP_ERRORS:
        raise ConfigurationError(DAMAGED) from None
    return bytes(data)


def encoding_of(plain: Ahead, given: str | None) -> Encoding:
    """Return the encoding of a text: the given one, or what its bytes say. Reads all of a file that is seekable.

    Raises ConfigurationError for an unknown name, and for bytes that are neither Unicode nor plausible Russian.
    """
    head = plain.head()
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if given is not None:
        return Encoding(_known(given))
    if marked is not None and marked != "utf-8":
        return Encoding(marked)
    wide = _utf_16_without_mark(head)
    if wide is not None:
        return Encoding(wide, f"read as {wide.upper()}, though it has no byte order mark; --encoding NAME decides")
    return _utf_8_or_russian(plain, head, marked=marked is not None)


def _known(name: str) -> str:
    try:
        b"a".decode(name, "ignore")
        found = codecs.lookup(name).name
    except (LookupError, ValueError, TypeError):
        raise ConfigurationError(
            "encoding must be a name that Python knows, such as utf-8, utf-16, windows-1251, koi8-r or cp866"
        ) from None
    return "utf-8" if found == "utf-8-sig" else found


def _utf_16_without_mark(head: bytes) -> str | None:
    """Return the byte order if a tenth of all second bytes is 0, as those of digits are, and the rest makes sense."""
    head = head[: len(head) // 2 * 2]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 20 < len(head) or min(even, odd) * 20 > max(even, odd) or not head:
        return None
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = head.decode(name, "ignore")
    usual = sum(character < "\u0530" or "\u2000" <= character < "\u2200" for character in text)
    return name if usual * 10 >= len(text) * 9 else None


@define
class _Utf8Pass:
    """What reading a file as UTF-8 once has found."""

    decoder: codecs.IncrementalDecoder
    characters: int
    "How many are not ASCII."
    lines: int = 1

    def broken_at(self, data: bytes, *, final: bool) -> int | None:
        """Read the next bytes. Returns the position of the first byte that is not UTF-8 within them."""
        pending = len(self.decoder.getstate()[0])
        try:
            text = self.decoder.decode(data, final)
        except UnicodeDecodeError as error:
            broken = error.start - pending
            self.lines += data.count(b"\n", 0, max(broken, 0))
            good = data[: max(broken, 0)].decode("utf-8", "ignore")
            self.characters += sum(character > "\x7f" for character in good[-_CHUNK:])
            return broken
        self.lines += data.count(b"\n")
        if len(data) == _PASS and b"\n" not in data and b"\r" not in data:
            raise ConfigurationError(f"line {self.lines:,} is longer than {MAX_LINE:,} characters: is this a table?")
        if len(text) != len(data):
            self.characters += len(data) - len(text)
        return None


def _utf_8_or_russian(plain: Ahead, head: bytes, *, marked: bool) -> Encoding:
    found = _Utf8Pass(codecs.getincrementaldecoder("utf-8")(), _MIXED if marked else 0)
    data = head
    if not plain.seekable():
        broken = found.broken_at(data, final=False)
        return Encoding("utf-8") if broken is None else _russian(found, data, broken)
    plain.seek(0)
    try:
        while True:
            data = plain.read(_PASS) or b""
            broken = found.broken_at(data, final=not data)
            if broken is not None:
                return _russian(found, head + data, broken + len(head))
            if not data:
                return Encoding("utf-8")
    except GZIP_ERRORS:
        raise ConfigurationError(DAMAGED) from None
    finally:
        plain.seek(0)


def _russian(found: _Utf8Pass, data: bytes, broken: int) -> Encoding:
    """Return the encoding of a text that is not UTF-8. Raises ConfigurationError if it is not plausible Russian."""
    if found.characters >= _MIXED:
        raise ConfigurationError(
            f"line {found.lines:,} is not UTF-8, though what stands before it is. Mend this line, or pass "
            "--encoding utf-8: then each such line is a problem of its own"
        )
    refuse_binary(data)
    sample = b"\n".join(line for line in _around(data, broken).splitlines() if not line.isascii())
    names = russian_encodings(sample)
    if not names:
        raise ConfigurationError(
            f"line {found.lines:,} is not UTF-8, and not plausible Russian in Windows-1251: pass --encoding NAME"
        )
    if names[0] != "cp1251":
        raise ConfigurationError(
            f"line {found.lines:,} is not UTF-8. It is Russian in {CYRILLIC[names[0]]}: pass --encoding {names[0]}"
        )
    return Encoding("cp1251", "read as Windows-1251, because it is not UTF-8; --encoding NAME decides")


def _around(data: bytes, broken: int) -> bytes:
    return data[max(0, broken - 4_096) : max(0, broken) + _HEAD]


@define
class Lines:
    """The lines of a text, in lists. `odd` says whether any so far hold a character that makes a row unreadable."""

    plain: Ahead
    encoding: Encoding
    odd: bool = False
    _at_hand: Iterator[str] = field(init=False, factory=lambda: iter(()))
    _is_file: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_file = self.plain.seekable()

    def would_wait(self) -> bool:
        """Return whether the next line of a pipe has not come yet. Rows before it should not wait for it."""
        return not self._is_file and not length_hint(self._at_hand)

    def __iter__(self) -> Iterator[Iterator[str]]:
        """Yield lists of lines with their ends. Raises LineTooLong. Lone `\\r` and `\\n`, and both, end a line."""
        decoder = codecs.getincrementaldecoder(self.encoding.name)(_ERRORS)
        rest, read = "", self.plain.read
        while True:
            data = read(_CHUNK)
            text = decoder.decode(data or b"", final=not data)
            if "\ufeff" in text:
                text = _without_marks(text, rest)
            if UNREADABLE in text or "\0" in text:
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
