"""What a file is, by its first bytes. A kind without rows is refused by name, with what to do instead.

Encodings of text are in decoding.py. Zip and OLE files, which may be spreadsheets, are identified in spreadsheets.py.
"""

import re
from typing import Literal

from ..errors import ConfigurationError

__all__ = ["BLANK", "EmptyFile", "Kind", "kind_of", "refuse_binary", "refuse_text"]

BLANK = b"\xef\xbb\xbf\xfe\xff \t\r\n\x00\x1a"
"""What may stand before the first line that is not blank, byte order marks included."""
_MAX_BLANK = 65_536
"""If a file begins with this many blank bytes, rows may still follow."""

Kind = Literal["text", "gzip", "zip", "ole"]
"""What opens the file: decoding as text, gunzipping, or calamine for the last two."""

_READABLE: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
)
_UNPACK = "unpack it first"
_EXPORT = "save the table as .xlsx or CSV"
_REFUSED = (
    (b"%PDF", "a PDF document", _EXPORT),
    (b"{\\rtf", "an RTF document", _EXPORT),
    (b"SQLite format 3\x00", "an SQLite database", _EXPORT),
    (b"\x89PNG", "a PNG image", _EXPORT),
    (b"\xff\xd8\xff", "a JPEG image", _EXPORT),
    (b"GIF8", "a GIF image", _EXPORT),
    (b"II*\x00", "a TIFF image", _EXPORT),
    (b"MM\x00*", "a TIFF image", _EXPORT),
    (b"RIFF", "an audio, video or WebP file", _EXPORT),
    (b"BM", "a BMP image", _EXPORT),
    (b"PAR1", "a Parquet file", _EXPORT),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"PK\x07\x08", "a zip archive in several parts", _UNPACK),
    (b"\x7fELF", "a program", "name the file with the rows"),
    (b"MZ", "a Windows program", "name the file with the rows"),
    (b"\x09\x08\x10\x00\x00\x06", "a bare stream of an old Excel workbook", _EXPORT),
    (b"\x09\x04\x06\x00", "a workbook of Excel 4 or older", _EXPORT),
    (b"\x09\x02\x06\x00", "a workbook of Excel 4 or older", _EXPORT),
)
_SHORT = {b"BM", b"MZ", b"BZh", b"RIFF", b"GIF8"}
"""Text may begin with these letters. They count only if bytes follow that no text has."""
_TEXTS = (
    (
        r"<\?xml[\s\S]*?(?:urn:schemas-microsoft-com:office:spreadsheet|Excel\.Sheet)",
        "an Excel 2003 XML table",
        _EXPORT,
    ),
    (
        r"<(?:!doctype|html|head|body|meta|style|table|div|script)\b",
        "an HTML page, though it may be named .xls",
        f"open it in a spreadsheet program and {_EXPORT}",
    ),
    (r"<\?xml", "an XML document", _EXPORT),
    (r"\[\s*(?:[{\[\]]|$)", "a JSON array", "write one JSON object a line (.jsonl)"),
    (r"begin:vcard\b", "an address book (vCard)", _EXPORT),
    (r"begin:vcalendar\b", "a calendar", _EXPORT),
    (r"received: |return-path: |mime-version: ", "an e-mail message", "save its attachment"),
)
_TEXT_KINDS = tuple((re.compile(pattern, re.IGNORECASE), what, way) for pattern, what, way in _TEXTS)
_CONTROLS = bytes({*range(32)} - {*b"\x00\t\n\x0b\f\r\x1a\x1b"})


class EmptyFile(ConfigurationError):
    """A file that has no rows and no header."""

    def __init__(self) -> None:
        super().__init__("the file is empty")


def kind_of(head: bytes) -> Kind:
    """Return what opens a file with these first bytes. Raises ConfigurationError for what holds no rows."""
    if not head.strip(BLANK):
        if len(head) < _MAX_BLANK:
            raise EmptyFile
        return "text"
    for magic, kind in _READABLE:
        if head.startswith(magic):
            return kind
    for magic, what, way in _REFUSED:
        if head.startswith(magic) and (magic not in _SHORT or _is_binary(head)):
            raise ConfigurationError(f"the file is {what}: {way}")
    if head[257:262] == b"ustar":
        raise ConfigurationError(f"the file is a tar archive: {_UNPACK}")
    if head[4:8] == b"ftyp":
        raise ConfigurationError(f"the file is a video or HEIC image: {_EXPORT}")
    return "text"


def refuse_binary(head: bytes) -> None:
    """Raise ConfigurationError for bytes that are not text in any encoding that includes ASCII."""
    if _is_binary(head):
        raise ConfigurationError(
            "the file is neither text nor a spreadsheet: CSV, JSON lines, .xlsx, .xls and .ods can be read"
        )


def _is_binary(head: bytes) -> bool:
    """Return whether more than 1 byte in 100 is a control character that texts do not have."""
    return len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 100


def refuse_text(text: str) -> None:
    """Raise ConfigurationError if the beginning of a text is HTML or of another kind that is not a table."""
    start = text[:4096].lstrip("\ufeff \t\r\n")
    for pattern, what, way in _TEXT_KINDS:
        if pattern.match(start):
            raise ConfigurationError(f"the file is {what}: {way}")
