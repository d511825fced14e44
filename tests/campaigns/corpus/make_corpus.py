"""Make the files of this folder with the programs that people have. Not a part of the tests: the files are kept.

Needs LibreOffice with its Russian pack, Gnumeric, jq and the locale ru_RU.UTF-8 of the system, and pandas, openpyxl,
xlsxwriter, odfpy, xlwt and msoffcrypto-tool of Python. Run as: python make_corpus.py [FOLDER]
"""

import csv
import datetime as dt
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msoffcrypto
import openpyxl
import pandas as pd
import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

HEADER = ["Телефон", "Имя", "Дата", "Сумма", "Текст"]
ROWS = [
    [79000000001, "Иван", dt.date(2026, 11, 28), 3.5, "Здравствуйте, Иван!"],
    [79000000002, "Ольга Ёж", dt.date(2026, 12, 1), 1000, 'Заказ "Юг"; готов'],
    None,
    [79000000003, "Щукин", dt.date(2027, 1, 9), 0.25, "Две\nстроки"],
]
WIDE = [*ROWS, [79000000004, "Zoë № «7»", dt.date(2027, 2, 2), 1, "👍 שלום e\u0301"]]
RUSSIAN = {**os.environ, "LC_ALL": "ru_RU.UTF-8", "LANG": "ru_RU.UTF-8"}


def workbook(path: Path, rows: list, **more: object) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Клиенты"
    for row in [HEADER, *rows]:
        sheet.append(row or [])
    for cell in sheet["A"]:
        cell.number_format = "0"
    for cell in sheet["C"]:
        cell.number_format = "dd.mm.yyyy"
    if more.get("hidden"):
        book.create_sheet("Черновик", 0).sheet_state = "hidden"
        book["Черновик"].append(["другое", "не то"])
        book.active = 1
    if more.get("formulas"):
        sheet.append(["=A2+4", '="Пётр"', None, "=1/0", None])
        sheet.append(["=A2+5", "=NA()", None, None, None])
    if more.get("merged"):
        sheet.merge_cells("B2:B3")
    if more.get("aside"):
        sheet.insert_rows(1, 2)
        sheet.insert_cols(1)
    book.save(path)


def calc(source: Path, target: Path, kind: str) -> None:
    """Convert with LibreOffice in a Russian locale."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["soffice", "--headless", "--convert-to", kind, "--outdir", folder, str(source)]
        subprocess.run(command, check=True, env=RUSSIAN, capture_output=True)
        [made] = Path(folder).iterdir()
        shutil.move(made, target)


def gnumeric(source: Path, target: Path, *options: str) -> None:
    subprocess.run(["ssconvert", *options, str(source), str(target)], check=True, env=RUSSIAN, capture_output=True)


def of_libreoffice(here: Path, base: Path, wide: Path) -> None:
    # Field and text delimiters as code points, the character set, the first line, column formats, the language,
    # whether all texts are quoted, and whether cells are written as they are shown.
    sets = {"utf8": 76, "cp1251": 34, "koi8r": 74, "cp866": 30, "utf16": 65535}
    for name, delimiter, charset, quoted, shown in (
        ("comma-utf8", 44, "utf8", "false", "true"),
        ("semicolon-utf8", 59, "utf8", "false", "true"),
        ("tab-utf8", 9, "utf8", "false", "true"),
        ("pipe-utf8", 124, "utf8", "false", "true"),
        ("quoted-utf8", 59, "utf8", "true", "true"),
        ("raw-utf8", 44, "utf8", "false", "false"),
        ("semicolon-cp1251", 59, "cp1251", "false", "true"),
        ("comma-cp1251", 44, "cp1251", "true", "true"),
        ("tab-cp1251", 9, "cp1251", "false", "true"),
        ("tab-utf16", 9, "utf16", "false", "true"),
        ("semicolon-koi8r", 59, "koi8r", "false", "true"),
        ("semicolon-cp866", 59, "cp866", "false", "true"),
    ):
        source = wide if charset in {"utf8", "utf16"} else base
        options = f"{delimiter},34,{sets[charset]},1,,1049,{quoted},{shown},false"
        calc(source, here / f"libreoffice-{name}.csv", f"csv:Text - txt - csv (StarCalc):{options}")
    for name, kind in (
        ("calc.xlsx", "xlsx:Calc MS Excel 2007 XML"),
        ("calc.ods", "ods:calc8"),
        ("excel97.xls", "xls:MS Excel 97"),
        ("flat.fods", "fods:OpenDocument Spreadsheet Flat XML"),
        ("page.html", "html:HTML (StarCalc)"),
        ("page.pdf", "pdf:calc_pdf_Export"),
    ):
        calc(wide, here / f"libreoffice-{name}", kind)


def special(here: Path, folder: Path) -> None:
    for name in ("formulas", "merged", "hidden", "aside"):
        source = folder / f"{name}.xlsx"
        workbook(source, ROWS, **{name: True})
        shutil.copy(source, here / f"openpyxl-{name}.xlsx")
        calc(source, here / f"libreoffice-{name}.xlsx", "xlsx:Calc MS Excel 2007 XML")
        calc(source, here / f"libreoffice-{name}.ods", "ods:calc8")
        calc(source, here / f"libreoffice-{name}.xls", "xls:MS Excel 97")
    with (
        (here / "libreoffice-calc.xlsx").open("rb") as plain,
        (here / "msoffcrypto-password.xlsx").open("wb") as locked,
    ):
        msoffcrypto.OfficeFile(plain).encrypt("secret", locked)


def of_gnumeric(here: Path, wide: Path) -> None:
    gnumeric(wide, here / "gnumeric.csv")
    gnumeric(wide, here / "gnumeric-semicolon.csv", "-O", "separator=;", "-T", "Gnumeric_stf:stf_assistant")
    gnumeric(wide, here / "gnumeric.xlsx", "-T", "Gnumeric_Excel:xlsx")
    gnumeric(wide, here / "gnumeric-biff8.xls", "-T", "Gnumeric_Excel:excel_biff8")
    gnumeric(wide, here / "gnumeric.ods", "-T", "Gnumeric_OpenCalc:odf")
    gnumeric(wide, here / "gnumeric.gnumeric")


def of_pandas(here: Path) -> None:
    frame = pd.DataFrame([row for row in ROWS if row], columns=HEADER)
    wide = pd.DataFrame([row for row in WIDE if row], columns=HEADER)
    wide.to_csv(here / "pandas.csv", index=False)
    wide.to_csv(here / "pandas-sig.csv", index=False, encoding="utf-8-sig", sep=";")
    wide.to_csv(here / "pandas-utf16.csv", index=False, encoding="utf-16", sep="\t")
    wide.to_csv(here / "pandas-utf16le.csv", index=False, encoding="utf-16-le", sep=";")
    wide.to_csv(here / "pandas.csv.gz", index=False)
    frame.to_csv(here / "pandas-cp1251.csv", index=False, encoding="cp1251", sep=";", lineterminator="\r\n")
    frame.to_csv(here / "pandas-cp1251.csv.gz", index=False, encoding="cp1251")
    frame.to_csv(here / "pandas-koi8r.csv", index=False, encoding="koi8-r")
    wide.astype({"Дата": str}).to_json(here / "pandas.jsonl", orient="records", lines=True, force_ascii=False)
    wide.astype({"Дата": str}).to_json(here / "pandas-ascii.jsonl", orient="records", lines=True)
    wide.astype({"Дата": str}).to_json(here / "pandas-array.json", orient="records")
    wide.to_excel(here / "pandas-openpyxl.xlsx", index=False)
    wide.to_excel(here / "pandas-xlsxwriter.xlsx", index=False, engine="xlsxwriter")
    wide.to_excel(here / "pandas.ods", index=False, engine="odf")


def of_libraries(here: Path) -> None:
    book = xlsxwriter.Workbook(here / "xlsxwriter-inline.xlsx", {"constant_memory": True})
    sheet, day = book.add_worksheet("Клиенты"), book.add_format({"num_format": "dd.mm.yyyy"})
    old = xlwt.Workbook()
    old_sheet, old_day = old.add_sheet("Клиенты"), xlwt.easyxf(num_format_str="DD.MM.YYYY")
    document = OpenDocumentSpreadsheet()
    table = Table(name="Клиенты")
    for number, row in enumerate([HEADER, *WIDE]):
        line = TableRow()
        for place, value in enumerate(row or []):
            is_day = isinstance(value, dt.date)
            sheet.write(number, place, value, *([day] if is_day else []))
            old_sheet.write(number, place, value, *([old_day] if is_day else []))
            kind = "date" if is_day else "string" if isinstance(value, str) else "float"
            given = {"datevalue": value.isoformat()} if is_day else {"value": value} if kind == "float" else {}
            cell = TableCell(valuetype=kind, **given)
            for paragraph in str(value).split("\n"):
                cell.addElement(P(text=paragraph))
            line.addElement(cell)
        table.addElement(line)
    book.close()
    old.save(here / "xlwt.xls")
    document.spreadsheet.addElement(table)
    document.save(here / "odfpy.ods")


def of_python(here: Path) -> None:
    rows = [[*map(str, row)] for row in [HEADER, *WIDE] if row]
    for name, dialect in (("excel", "excel"), ("excel-tab", "excel-tab"), ("unix", "unix")):
        with (here / f"python-{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, dialect).writerows(rows)
    with gzip.open(here / "python-sep.csv.gz", "wt", encoding="utf-8-sig", newline="") as file:
        file.write("sep=;\r\n")
        csv.writer(file, delimiter=";").writerows(rows)
    told = subprocess.run(["jq", "-c", ".[]", here / "pandas-array.json"], check=True, capture_output=True).stdout
    (here / "jq.jsonl").write_bytes(told)


def main(here: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base, wide = Path(folder, "base.xlsx"), Path(folder, "wide.xlsx")
        workbook(base, ROWS)
        workbook(wide, WIDE)
        shutil.copy(wide, here / "openpyxl.xlsx")
        of_libreoffice(here, base, wide)
        special(here, Path(folder))
        of_gnumeric(here, wide)
    of_pandas(here)
    of_libraries(here)
    of_python(here)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
