"""The records of an .xls file that hold errors, which look like empty cells to calamine.

An .xls file is an OLE file: sectors in chains, with a directory of streams. Its stream `Workbook` is a list of records.
Other files of this kind are refused by name.
"""

import struct
from collections.abc import Iterator
from struct import unpack_from

from ..errors import ConfigurationError
from .sheet_scan import ERROR, Findings

__all__ = ["require_xls", "scan_xls"]

_EXPORT = "save the table as .xlsx or CSV"
# What an OLE file is, by the first of these streams in it.
_STREAMS = {
    "EncryptedPackage": "the workbook is protected by a password: save it without one",
    "WordDocument": f"the file is a Word document (.doc): {_EXPORT}",
    "PowerPoint Document": f"the file is a PowerPoint presentation (.ppt): {_EXPORT}",
    "__nameid_version1.0": "the file is an Outlook message: save its attachment",
    "Workbook": None,
    "Book": None,
}
_LAST_SECTOR = 0xFFFFFFFA
_SMALL = 4096
_FORMULA, _END, _SHEET, _BOOL_OR_ERROR = 0x06, 0x0A, 0x85, 0x205


def require_xls(data: bytes) -> None:
    """Raise ConfigurationError, which names the kind of the file, if an OLE file is not a workbook."""
    places = {name: data.find(f"{name}\0".encode("utf-16-le")) for name in _STREAMS}
    present = [(place, name) for name, place in places.items() if place >= 0]
    problem = _STREAMS[min(present)[1]] if present else f"the file is not a workbook: {_EXPORT}"
    if problem is not None:
        raise ConfigurationError(problem)


def scan_xls(data: bytes, index: int) -> Findings:
    """Return the rows with errors in the sheet with this index, or none if the file cannot be followed."""
    findings = Findings()
    try:
        stream = _workbook(data)
        sheets = [record for kind, record in _records(stream, 0) if kind == _SHEET]
        for kind, record in _records(stream, unpack_from("<I", sheets[index])[0]):
            is_error = kind == _BOOL_OR_ERROR and record[7] == 1
            if is_error or (kind == _FORMULA and record[12:14] == b"\xff\xff" and record[6] == 2):
                findings.mark(unpack_from("<H", record)[0], ERROR)
    except (struct.error, IndexError):
        return findings
    return findings


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the records from a place in the stream up to the end of its sheet."""
    while at + 4 <= len(stream):
        kind, size = unpack_from("<HH", stream, at)
        if kind == _END:
            return
        yield kind, stream[at + 4 : at + 4 + size]
        at += 4 + size


def _workbook(data: bytes) -> bytes:
    """Return the stream `Workbook`."""
    size = 1 << (unpack_from("<H", data, 30)[0] & 15)
    sectors = data[size:]
    table = b"".join(_sector(sectors, size, number) for number in _sectors_of_table(data, size))
    directory = _chain(sectors, size, table, unpack_from("<I", data, 48)[0])
    for at in range(0, len(directory), 128):
        length = unpack_from("<H", directory, at + 64)[0]
        if directory[at : at + max(length - 2, 0)].decode("utf-16-le", "replace") in {"Workbook", "Book"}:
            first, used = unpack_from("<II", directory, at + 116)
            if used >= _SMALL:
                return _chain(sectors, size, table, first)[:used]
            # Small streams share one stream, that of the first entry, in sectors of 64 bytes.
            shared = _chain(sectors, size, table, unpack_from("<I", directory, 116)[0])
            small_table = _chain(sectors, size, table, unpack_from("<I", data, 60)[0])
            return _chain(shared, 64, small_table, first)[:used]
    raise IndexError


def _sectors_of_table(data: bytes, size: int) -> Iterator[int]:
    """Yield the sectors of the table of chains: 109 in the header, and the others in a chain of their own."""
    yield from (each for each in unpack_from("<109I", data, 76) if each < _LAST_SECTOR)
    further, count = unpack_from("<II", data, 68)
    for _ in range(min(count, len(data) // size)):
        numbers = unpack_from(f"<{size // 4}I", _sector(data, size, further + 1))
        yield from (each for each in numbers[:-1] if each < _LAST_SECTOR)
        further = numbers[-1]


def _chain(sectors: bytes, size: int, table: bytes, first: int) -> bytes:
    """Return the sectors of a chain. A damaged chain may be a circle, so it is cut at the number of all sectors."""
    found = []
    for _ in range(len(sectors) // size + 1):
        if first >= _LAST_SECTOR:
            break
        found.append(_sector(sectors, size, first))
        (first,) = unpack_from("<I", table, 4 * first)
    return b"".join(found)


def _sector(sectors: bytes, size: int, number: int) -> bytes:
    return sectors[number * size : (number + 1) * size]
