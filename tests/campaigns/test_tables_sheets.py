"""Spreadsheets: cells as a person sees them, and workbooks that are too large, damaged, locked or misleading."""

import datetime as dt
import gzip
import io
import random
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from devino_async import ConfigurationError
from devino_async.campaigns import sheet_scan
from devino_async.campaigns.cells import Problem
from devino_async.campaigns.tables import open_table

CORPUS = Path(__file__).parent / "corpus"
XLSX, ODS, XLS = (
    CORPUS / name for name in ("libreoffice-calc.xlsx", "libreoffice-calc.ods", "libreoffice-excel97.xls")
)


def workbook(*rows: list[Any], **named: str) -> io.BytesIO:
    """A workbook of one sheet. Each name is a cell, and each value its number format."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, shown in named.items():
        book.active[cell].number_format = shown
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return file


def rows_of(file: Any, **options: Any) -> list[tuple[int, Any]]:
    return [row for run in open_table(file, **options).runs() for row in run]


def with_part(path: Path, part: str, content: bytes) -> bytes:
    """The same workbook with another content of one part."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in {*old.namelist(), part}:
            new.writestr(name, content if name == part else old.read(name))
    return made.getvalue()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (79001234567, "79001234567"),
        (79001234567.0, "79001234567"),
        (3.5, "3.5"),
        (-2, "-2"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333333333"),
        (123456789012345678, "123456789012346000"),
        (1e20, "100000000000000000000"),
        (1e-7, "0.0000001"),
        (True, "TRUE"),
        (dt.date(2026, 11, 28), "2026-11-28"),
        (dt.datetime.fromisoformat("2026-11-28T10:00"), "2026-11-28 10:00"),
        (dt.datetime.fromisoformat("2026-11-28T10:00:30"), "2026-11-28 10:00:30"),
        (dt.time(10, 5), "10:05"),
        (dt.timedelta(hours=30, minutes=5), "30:05"),
        ("  👍 שלום e\u0301 ", "  👍 שלום e\u0301 "),
        ("две\nстроки", "две\nстроки"),
        ("007", "007"),
        (None, ""),
    ],
)
def test_a_cell(value: Any, shown: str) -> None:
    """A cell is what a person sees: numbers without an exponent, 15 digits of them, ISO dates, texts as they are."""
    assert rows_of(workbook(["to", "x"], ["1", value])) == [(2, ["1", shown])]


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (0.15, "0%", "15%"),
        (0.1525, "0.0%", "15.3%"),
        (1, "0%", "100%"),
        (0.07, "0.00 %", "7.00%"),
        (1234.567, "0.00", "1234.57"),
        (3.5, "0.00", "3.50"),
        (3.5, "0.##", "3.5"),
        (3.0, "0.##", "3"),
        (2.5, "0", "3"),
        (1000, "#,##0", "1000"),
        (1234.5, '# ##0.00 "₽"', "1234.50"),
        (1234.5, "#,##0.00\\ [$₽-419]", "1234.50"),
        (-1.005, "0.00;[Red]-0.00", "-1.01"),
        (79001234567, "0.00", "79001234567"),
        (79001234567, "+0 (000) 000-00-00", "79001234567"),
        (1500, "0.0,", "1500"),
        (0.5, "# ?/?", "0.5"),
        (0.5, "0.00E+00", "0.5"),
        (0.5, "General", "0.5"),
    ],
)
def test_a_number_format(value: float, code: str, text: str) -> None:
    """A number has the decimals and the percent sign that a person sees. No format changes a phone number."""
    assert rows_of(workbook(["to", "x"], ["1", value], B2=code)) == [(2, ["1", text])]
    book = openpyxl.load_workbook(workbook(["x"], [value], A2=code))
    book.active.insert_cols(1, 30)
    book.active.insert_rows(1, 5)
    book.active["AE7"].number_format = code
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    assert rows_of(file) == [(7, [text])]


def test_percentages_of_opendocument() -> None:
    """A percentage of an .ods file has its sign."""
    with zipfile.ZipFile(ODS) as archive:
        content = archive.read("content.xml")
    changed = content.replace(
        b'office:value-type="float" office:value="0.25"', b'office:value-type="percentage" office:value="0.25"'
    )
    assert changed != content
    assert rows_of(io.BytesIO(with_part(ODS, "content.xml", changed)))[2][1][3] == "25%"


def test_what_calamine_does_not_show() -> None:
    """An error is a problem of its row, even behind the last row with a value, and refused in the header."""
    rows = rows_of(workbook(["to"], ["1"], ["#N/A"], ["2"], [None], ["#REF!"]))
    assert [(line, isinstance(cells, Problem)) for line, cells in rows] == [
        (2, False),
        (3, True),
        (4, False),
        (6, True),
    ]
    with pytest.raises(ConfigurationError, match="the header, row 1, has a cell with an error"):
        open_table(workbook(["to", "#N/A"], ["1", "2"]))


@pytest.mark.parametrize(
    ("merged", "problems"),
    [
        ("B2:B3", {3}),
        ("A2:A4", {3, 4}),
        ("C2:D3", {3}),
        ("D2:E3", set()),
        ("B2:C2", {2}),
        ("C2:D2", set()),
        ("C1:E1", set()),
    ],
)
def test_merged_cells(merged: str, problems: set[int]) -> None:
    """Only a named column whose cell is empty by merging makes a problem: wide cells for the eye do not."""
    book = openpyxl.Workbook()
    for row in (["to", "name", "text"], ["1", "a", "b"], ["2", "c", "d"], ["3", "e", "f"]):
        book.active.append(row)
    book.active.merge_cells(merged)
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    assert {line for line, cells in rows_of(file) if isinstance(cells, Problem)} == problems


@pytest.mark.parametrize("path", [XLSX, ODS, XLS], ids=lambda path: path.suffix)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_workbook_from_anywhere(path: Path, zipped: bool) -> None:
    """A workbook is read from a path, an open file, a pipe and a gzip archive alike. The caller's file stays open."""
    content = path.read_bytes()
    with open_table(io.BytesIO(gzip.compress(content) if zipped else content)) as table:
        assert table.form == path.suffix[1:]
        found = list(table.runs())
    assert found == list(open_table(path).runs())
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        assert found == list(open_table(pipe.stdout).runs())
        assert not pipe.stdout.closed


def test_16384_columns() -> None:
    """A sheet with all columns of Excel is read. A cell in the last corner is refused before it is opened."""
    wide = workbook([f"c{number}" for number in range(16_384)], [*range(16_384)])
    [(line, cells)] = rows_of(wide)
    assert (line, cells) == (2, [*map(str, range(16_384))])
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "to", "x"
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    with pytest.raises(ConfigurationError, match=r"reaches to row 1,048,576 and column 16,384"):
        open_table(file)


def test_a_cell_that_is_repeated_without_end() -> None:
    """An .ods that repeats a filled cell over a whole sheet is refused before it is opened."""
    with zipfile.ZipFile(ODS) as archive:
        content = archive.read("content.xml")
    empty = b'<table:table-cell table:number-columns-repeated="16384"/>'
    filled = empty.replace(b"/>", b' office:value-type="string"><text:p>x</text:p></table:table-cell>')
    assert empty in content
    with pytest.raises(ConfigurationError, match=r"reaches to row 1,048,5.* and column 16,384"):
        open_table(io.BytesIO(with_part(ODS, "content.xml", content.replace(empty, filled))))


@pytest.mark.parametrize("path", [XLSX, ODS], ids=lambda path: path.suffix)
@pytest.mark.parametrize("lying", [False, True])
def test_a_zip_bomb(monkeypatch: pytest.MonkeyPatch, path: Path, lying: bool) -> None:
    """A workbook that unpacks to more than the limit is refused, whatever sizes it declares."""
    monkeypatch.setattr(sheet_scan, "_MAX_UNPACKED", 10_000_000)
    data = with_part(path, "media/image1.png", bytes(10_000_123))
    if lying:
        declared = (10_000_123).to_bytes(4, "little")
        assert data.count(declared) == 2
        data = data.replace(declared, (1000).to_bytes(4, "little"))
    with pytest.raises(ConfigurationError, match="the workbook unpacks to more than"):
        open_table(io.BytesIO(data))


@pytest.mark.parametrize("path", [XLSX, ODS, XLS], ids=lambda path: path.suffix)
def test_damaged_workbooks(path: Path) -> None:
    """However a workbook is damaged, it is read, or ConfigurationError refuses it."""
    chance = random.Random(1)
    for _ in range(60):
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice([0, 1, 20])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        cut = bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
        with suppress(ConfigurationError):
            rows_of(io.BytesIO(cut))


def test_a_workbook_with_two_forms() -> None:
    """A form that the file does not have is refused, as are encrypted archives and sheets without a cell."""
    with pytest.raises(ConfigurationError, match=r"the file is \.xlsx, not \.ods"):
        open_table(XLSX, form="ods")
    with pytest.raises(ConfigurationError, match="sheet 'Sheet' is empty: name another with --sheet"):
        open_table(workbook())


def test_without_the_library() -> None:
    """Without python-calamine a workbook is refused with the command that installs it. Text needs no such library."""
    program = f"""
import sys
sys.modules["python_calamine"] = None
from devino_async import ConfigurationError
from devino_async.campaigns.tables import open_table
print(open_table({str(CORPUS / "pandas.csv")!r}).form)
try:
    open_table({str(XLSX)!r})
except ConfigurationError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "csv",
        "reading .xlsx needs python-calamine: pip install 'devino-async[excel]'",
    ]
