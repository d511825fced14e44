"""Smoke: a workbook is read by the library of the extra `excel`, and errors in it are found."""

import io
import zipfile

import pytest

from devino_async.campaigns.cells import Problem
from devino_async.campaigns.tables import open_table

pytestmark = pytest.mark.needs("python_calamine")

_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_SPREADSHEET}" xmlns:r="{_RELATIONS}">'
        '<sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
}
SHEET = (
    f'<worksheet xmlns="{_SPREADSHEET}"><sheetData>'
    '<row r="1"><c r="A1" t="inlineStr"><is><t>Телефон</t></is></c>'
    '<c r="B1" t="inlineStr"><is><t>Имя</t></is></c></row>'
    '<row r="3"><c r="A3"><v>79000000001</v></c><c r="B3" t="inlineStr"><is><t>Иван</t></is></c></row>'
    '<row r="4"><c r="A4"><v>79000000002</v></c><c r="B4" t="e"><v>#N/A</v></c></row>'
    '<row r="5"><c r="A5"><v>79000000003</v></c></row></sheetData>{}</worksheet>'
)


def workbook(behind: str, rows: str = SHEET) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in {**PARTS, "xl/worksheets/sheet1.xml": rows.format(behind)}.items():
            archive.writestr(name, content)
    made.seek(0)
    return made


def test_a_workbook() -> None:
    """Numbers, texts, errors, and merged cells of a workbook are read with the oldest library that is allowed."""
    with open_table(workbook('<mergeCells count="1"><mergeCell ref="B4:B5"/></mergeCells>')) as table:
        assert (table.form, table.header) == ("xlsx", ["Телефон", "Имя"])
        [[good, (_, error), (_, merged)]] = table.runs()
    assert good == (3, ["79000000001", "Иван"])
    assert isinstance(error, Problem)
    assert "merged cell" in str(merged)


def test_an_empty_sheet() -> None:
    """A sheet without cells is refused, which older libraries could not bear."""
    with pytest.raises(Exception, match="sheet 'A' is empty"):
        open_table(workbook("", f'<worksheet xmlns="{_SPREADSHEET}"><sheetData/>{{}}</worksheet>'))
