"""The zip parts of .xlsx and .ods files, before a library opens them: their sizes, and what it does not report.

Cells with errors (#N/A) and formulas without a saved value look empty to calamine. It allocates a sheet from its first
cell to its last, so one cell in the last corner would cost 500 GB. Reading the cells is in spreadsheets.py.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Literal

from attrs import Factory, define

from ..errors import ConfigurationError
from .number_formats import PERCENTAGE, Shape, shapes_of

__all__ = ["ERROR", "Findings", "Parts", "parts_of"]

Range = tuple[tuple[int, int], tuple[int, int]]
"""The row and column of the first cell and of the last, from 0."""

_MAX_UNPACKED = 1024 * 1024 * 1024
_MAX_CELLS = 20_000_000
_MAX_ROWS = 1_048_576
_CHUNK = 1_048_576
_MAX_SHAPES = 255

_DAMAGED = "the zip archive is damaged: save the workbook again"
_LOCKED = "the workbook is protected by a password: save it without one"
_TOO_LARGE = f"the workbook unpacks to more than {_MAX_UNPACKED:,} bytes: save the sheet as CSV"
_EXPORT = "save the table as .xlsx or CSV"
# What a zip archive is, by the names of its parts.
_KINDS = (
    (r"xl/workbook\.bin", f"an Excel binary workbook (.xlsb): {_EXPORT}"),
    (r"word/", f"a Word document (.docx): {_EXPORT}"),
    (r"ppt/", f"a PowerPoint presentation (.pptx): {_EXPORT}"),
    (r"Index/.*\.iwa|Index\.zip", "an Apple Numbers document: export it as Excel or CSV"),
)
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"

ERROR, _NO_VALUE, _MERGED = 1, 2, 4
_PROBLEMS = {
    ERROR: "has a cell with an error, such as #N/A",
    _NO_VALUE: "has a formula without a saved value: open the file in a spreadsheet program and save it",
    _MERGED: "has a merged cell: unmerge it, and fill every row",
}

_ROW = re.compile(rb"<(?:\w+:)?row\b([^>]*)>")
_NUMBER = re.compile(rb'\br="(\d+)"')
_FAR_COLUMN = re.compile(rb'\br="([A-Z]{2,3})\d')
_SUSPECTS = (b't="e"', b"<v></v></c>", b"/></c>", b"/f></c>")
_SUSPECT = re.compile(
    rb"<(?:\w+:)?row\b([^>]*)>"
    rb'|<(?:\w+:)?c\b[^>]*\bt="(e)"'
    rb'|<c\b(?![^>]*\bt="str")[^>]*><f\b(?:[^>]*/>|[^>]*>[^<]*</f>)(?:<v></v>|<v ?/>)?</c>'
)
_ODS_TAG = re.compile(rb"<table:(table|table-row|table-cell|covered-table-cell)((?:\s[^>]*)?)>")
_ODS_COUNT = re.compile(rb'table:number-(rows|columns)-(repeated|spanned)="(\d+)"')


@define
class Findings:
    """What is wrong with the rows of a sheet, as a bit for each kind by the number of the row from 0."""

    bits: bytearray = Factory(bytearray)
    shapes: list[Shape] = Factory(list)
    shaped: dict[int, bytearray] = Factory(dict)
    "By column, the place of each row's shape in `shapes`, counted from 1."
    ranges: list[Range] = Factory(list)

    def mark(self, row: int, bit: int, count: int = 1) -> None:
        """Mark rows from this one on."""
        if row + count > len(self.bits):
            self.bits.extend(bytes(row + count + _CHUNK // 64 - len(self.bits)))
        for each in range(row, row + count):
            self.bits[each] |= bit

    def set_shape(self, row: int, column: int, shape: int, count: int = 1) -> None:
        """Set the shape of a number in rows from this one on, by its place in `shapes`."""
        rows = self.shaped.setdefault(column, bytearray())
        rows.extend(bytes(max(row + count - len(rows), 0)))
        rows[row : row + count] = bytes([shape + 1]) * count

    def shape(self, row: int, column: int) -> Shape | None:
        """Return the shape of the number in a cell, by its row and column from 0."""
        rows = self.shaped.get(column, b"")
        return self.shapes[rows[row] - 1] if row < len(rows) and rows[row] else None

    def mark_merged(self, ranges: Iterable[Range], named: list[int]) -> None:
        """Mark rows where a cell of a named column is empty only because it is merged with another."""
        for (top, left), (bottom, right) in [*self.ranges, *ranges]:
            inside = [column for column in named if left <= column <= right]
            if inside and (len(inside) > 1 or inside[0] != left):
                self.mark(top, _MERGED)
            if inside and top < bottom < _MAX_ROWS:
                self.mark(top + 1, _MERGED, bottom - top)

    def rows_from(self, row: int) -> Iterator[int]:
        """Yield the rows from this one on with a cell that looks empty but is not."""
        return (each for each in range(row, len(self.bits)) if self.bits[each] & (ERROR | _NO_VALUE))

    def problem(self, row: int) -> str | None:
        """Return what is wrong with a row, by its number from 0."""
        found = self.bits[row] if row < len(self.bits) else 0
        return next((words for bit, words in _PROBLEMS.items() if found & bit), None)


def parts_of(data: bytes) -> "Parts":
    """Return the parts of a workbook. Raises ConfigurationError for any other archive, or if it unpacks to too much."""
    try:
        archive = zipfile.ZipFile(BytesIO(data))
        entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ConfigurationError(_DAMAGED) from None
    if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED:
        raise ConfigurationError(_TOO_LARGE)
    if any(entry.flag_bits & 1 for entry in entries.values()):
        raise ConfigurationError("the zip archive is protected by a password: save it without one")
    if "xl/workbook.xml" in entries:
        parts = Parts(data, "xlsx", entries)
        parts.check()
        return parts
    if "content.xml" in entries and "mimetype" in entries:
        parts = Parts(data, "ods", entries)
        if parts.read("mimetype").startswith(_ODS):
            parts.check()
            return parts
    for pattern, what in _KINDS:
        if any(re.match(pattern, name) for name in entries):
            raise ConfigurationError(f"the file is {what}")
    raise ConfigurationError("the file is a zip archive, not a workbook: unpack it first")


@define
class Parts:
    """The parts of a workbook by their names."""

    data: bytes
    form: Literal["xlsx", "ods"]
    entries: dict[str, zipfile.ZipInfo]
    unpacked: int = 0
    sheets: list[Findings] = Factory(list)

    def check(self) -> None:
        """Unpack what a library unpacks when it opens the workbook, because the declared sizes may be false."""
        if self.form == "ods":
            if b"encryption-data" in self.read("META-INF/manifest.xml"):
                raise ConfigurationError(_LOCKED)
            self.sheets = _scan_ods(self.chunks("content.xml"))
        for name in self.entries:
            if name != "content.xml" and not name.startswith("xl/worksheets/"):
                for _ in self.chunks(name):
                    pass

    def scan(self, index: int) -> Findings:
        """Return what is found in the sheet of this index. Raises ConfigurationError if it is too large."""
        if self.form == "ods":
            return self.sheets[index] if index < len(self.sheets) else Findings()
        return _scan_xlsx(self.chunks(self._sheet_part(index)), shapes_of(self.read("xl/styles.xml")))

    def _sheet_part(self, index: int) -> str:
        sheets = re.findall(rb'<(?:\w+:)?sheet\b[^>]*\b\w+:id="([^"]*)"', self.read("xl/workbook.xml"))
        for relation in re.findall(rb"<(?:\w+:)?Relationship\b[^>]*>", self.read("xl/_rels/workbook.xml.rels")):
            target = re.search(rb'\bTarget="([^"]*)"', relation)
            if target and index < len(sheets) and b'Id="%b"' % sheets[index] in relation:
                part = target[1].decode("utf-8", "replace").lstrip("/")
                return part if part.startswith("xl/") else f"xl/{part}"
        raise ConfigurationError(_DAMAGED)

    def read(self, name: str) -> bytes:
        """Return a part, or nothing if the workbook has no such part."""
        return b"".join(self.chunks(name)) if name in self.entries else b""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a part in pieces. Raises ConfigurationError if all parts so far are too large in total."""
        if name not in self.entries:
            raise ConfigurationError(_DAMAGED)
        try:
            for chunk in _inflated(self.data, self.entries[name]):
                self.unpacked += len(chunk)
                if self.unpacked > _MAX_UNPACKED:
                    raise ConfigurationError(_TOO_LARGE)
                yield chunk
        except zlib.error:
            raise ConfigurationError(_DAMAGED) from None


def _inflated(data: bytes, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield what an entry really holds. The zipfile module would stop at the declared size."""
    names = data[entry.header_offset + 26 : entry.header_offset + 30]
    start = entry.header_offset + 30 + int.from_bytes(names[:2], "little") + int.from_bytes(names[2:], "little")
    packed = memoryview(data)[start : start + entry.compress_size]
    if entry.compress_type == zipfile.ZIP_STORED:
        yield from (bytes(packed[at : at + _CHUNK]) for at in range(0, len(packed), _CHUNK))
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    for at in range(0, len(packed), _CHUNK // 16):
        rest: bytes | memoryview = packed[at : at + _CHUNK // 16]
        while rest:
            yield inflate.decompress(rest, _CHUNK)
            rest = inflate.unconsumed_tail
    yield inflate.flush()


def _scan_xlsx(chunks: Iterator[bytes], shapes: dict[int, Shape]) -> Findings:
    findings = Findings()
    shaped = _Shaped(findings, shapes)
    rest, row, columns = b"", -1, 26
    for chunk in chunks:
        rest += chunk
        end = rest.rfind(b"row>") + 4
        if end < 4 and len(rest) < 8 * _CHUNK:
            continue
        piece, rest = (rest[:end], rest[end:]) if end >= 4 else (rest, b"")
        row = _scan_rows(piece, row, findings)
        shaped.scan(piece)
        columns = max(columns, *(_column(letters) for letters in {*_FAR_COLUMN.findall(piece)}), 0)
        _require_size(row + 1, columns)
    return findings


class _Shaped:
    """The cells of a sheet whose style has a shape."""

    def __init__(self, findings: Findings, shapes: dict[int, Shape]) -> None:
        self._findings = findings
        findings.shapes = list(dict.fromkeys(shapes.values()))[:_MAX_SHAPES]
        self._places = {
            b"%d" % style: findings.shapes.index(shape) for style, shape in shapes.items() if shape in findings.shapes
        }
        styles = b"|".join(self._places)
        self._cell = re.compile(rb'<(?:\w+:)?c r="([A-Z]{1,3})(\d{1,7})"[^>]*?\bs="(%b)"' % styles) if styles else None
        self._columns: dict[bytes, int] = {}

    def scan(self, piece: bytes) -> None:
        """Note the shapes of the cells in a piece of a sheet."""
        for letters, number, style in self._cell.findall(piece) if self._cell else ():
            column = self._columns.get(letters)
            if column is None:
                column = self._columns[letters] = _column(letters) - 1
            if 1 <= (row := int(number)) <= _MAX_ROWS:
                self._findings.set_shape(row - 1, column, self._places[style])


def _scan_rows(piece: bytes, row: int, findings: Findings) -> int:
    """Mark the rows of a piece, and return the last row in it."""
    last = piece.rfind(b"<row r=")
    if last >= 0 and not any(suspect in piece for suspect in _SUSPECTS):
        return _row_number(piece[last : last + 30], row)
    for found in _SUSPECT.finditer(piece):
        if found[1] is not None:
            row = _row_number(found[1], row)
        else:
            findings.mark(max(row, 0), ERROR if found[2] else _NO_VALUE)
    return row


def _row_number(attributes: bytes, before: int) -> int:
    number = _NUMBER.search(attributes)
    row = int(number[1][:8]) - 1 if number else before + 1
    _require_size(row + 1, 1)
    return row


def _require_size(rows: int, columns: int) -> None:
    if rows > _MAX_ROWS or rows * columns > _MAX_CELLS:
        raise ConfigurationError(
            f"the sheet reaches to row {rows:,} and column {columns:,}, which is more than {_MAX_CELLS:,} cells: "
            "delete everything outside the table, or save it as CSV"
        )


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


@define
class _OdsTable:
    """The place in a table of an .ods file that a scan has reached."""

    findings: Findings = Factory(Findings)
    row: int = -1
    rows: int = 1
    column: int = 0
    last_row: int = 0
    last_column: int = 0

    def begin_row(self, repeated: int) -> None:
        self.row += self.rows if self.row >= 0 else 1
        self.rows, self.column = repeated, 0

    def cell(self, attributes: bytes) -> None:
        counts = {
            kind: int(count[:8]) for *kind_, count in _ODS_COUNT.findall(attributes) for kind in [b"-".join(kind_)]
        }
        columns = counts.get(b"columns-repeated", 1)
        if b"value-type=" in attributes:
            self.last_row = self.row + self.rows
            self.last_column = max(self.last_column, self.column + columns)
            _require_size(self.last_row, self.last_column)
        if b'value-type="percentage"' in attributes:
            self.findings.shapes = [PERCENTAGE]
            for column in range(self.column, self.column + columns):
                self.findings.set_shape(self.row, column, 0, self.rows)
        if b'value-type="error"' in attributes:
            self.findings.mark(self.row, ERROR, self.rows)
        down, across = counts.get(b"rows-spanned", 1), counts.get(b"columns-spanned", 1)
        if max(down, across) > 1:
            first = (self.row, self.column)
            self.findings.ranges.append((first, (self.row + down - 1, self.column + across - 1)))
        self.column += columns


def _scan_ods(chunks: Iterator[bytes]) -> list[Findings]:
    tables: list[_OdsTable] = []
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = rest.rfind(b">") + 1
        for tag, attributes in _ODS_TAG.findall(rest[:end]):
            if tag == b"table":
                tables.append(_OdsTable())
            elif tables and tag == b"table-row":
                repeated = _ODS_COUNT.search(attributes)
                tables[-1].begin_row(int(repeated[3][:8]) if repeated else 1)
            elif tables:
                tables[-1].cell(attributes)
        rest = rest[end:]
    return [table.findings for table in tables]
