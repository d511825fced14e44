"""Files that real programs made (corpus/make_corpus.py) are read as a person sees them, or refused by name."""

from datetime import date
from fnmatch import fnmatch
from pathlib import Path

import pytest

from devino_async import ConfigurationError
from devino_async.campaigns.cells import Problem
from devino_async.campaigns.tables import open_table

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.iterdir() if path.suffix not in {".py", ".pyc"} and path.is_file())
HEADER = ["Телефон", "Имя", "Дата", "Сумма", "Текст"]
DAYS = [date(2026, 11, 28), date(2026, 12, 1), date(2027, 1, 9), date(2027, 2, 2)]
NAMES = ["Иван", "Ольга Ёж", "Щукин", "Zoë № «7»"]
TEXTS = ["Здравствуйте, Иван!", 'Заказ "Юг"; готов', "Две\nстроки", "👍 שלום e\u0301"]
# How programs write the sums and the days into text. Spreadsheets are shown alike.
SUMS = {
    "sheet": ["3.5", "1000", "0.25", "1"],
    "ru": ["3,5", "1000", "0,25", "1"],
    "gnumeric": ["3,5", "1000", "0,25", "1"],
    "float": ["3.5", "1000.0", "0.25", "1.0"],
}
STYLES = (
    ("libreoffice-*.csv", "ru"),
    ("gnumeric*.csv", "gnumeric"),
    ("pandas*.csv*", "float"),
    ("pandas*.jsonl", "float"),
    ("*", "sheet"),
)
NARROW = ("*cp1251*", "*koi8r*", "*cp866*")
WITHOUT_BLANK_ROWS = ("pandas*", "python*", "jq*")
REFUSED = {
    # calamine does not read .ods with spaces between its elements.
    "gnumeric.ods": "the workbook cannot be read",
    "libreoffice-flat.fods": "XML document",
    "libreoffice-page.html": "HTML page",
    "libreoffice-page.pdf": "PDF document",
    "gnumeric.gnumeric": "XML document",
    "pandas-array.json": "JSON array: write one JSON object a line",
    "msoffcrypto-password.xlsx": "password",
    "libreoffice-semicolon-koi8r.csv": "Russian in KOI8-R: pass --encoding koi8-r",
    "pandas-koi8r.csv": "Russian in KOI8-R: pass --encoding koi8-r",
    "libreoffice-semicolon-cp866.csv": "Russian in CP866: pass --encoding cp866",
}
SPECIAL = ("*-formulas.*", "*-merged.*", "*-hidden.*", "*-aside.*")


def is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def expected(name: str) -> list[tuple[int, list[str]]]:
    style = next(style for pattern, style in STYLES if fnmatch(name, pattern))
    count = 3 if is_one_of(name, NARROW) else 4
    rows: list[tuple[int, list[str]]] = []
    line = 1 if name.endswith(".jsonl") else 3 if "-sep" in name else 2
    for place in range(count):
        day = DAYS[place].strftime({"ru": "%d.%m.%Y", "gnumeric": "%Y/%m/%d"}.get(style, "%Y-%m-%d"))
        if place == 2 and not is_one_of(name, WITHOUT_BLANK_ROWS):
            line += 1
        rows.append((line, [f"7900000000{place + 1}", NAMES[place], day, SUMS[style][place], TEXTS[place]]))
        line += 1 + (TEXTS[place].count("\n") if ".csv" in name else 0)
    return rows


def read(path: Path, **options: str) -> list[tuple[int, object]]:
    table = open_table(path, **options)  # type: ignore[arg-type]
    assert table.header in (None, HEADER)
    return [row for run in table.runs() for row in run]


TABLES = [path for path in FILES if not is_one_of(path.name, SPECIAL)]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_a_file_of_a_real_program(path: Path) -> None:
    """Every cell and every line number is what the program shows. What holds no table is refused in one line."""
    if path.name not in REFUSED:
        rows = read(path)
        if path.suffix == ".jsonl":
            rows = [(line, [*map(str, dict(cells).values())]) for line, cells in rows]  # type: ignore[call-overload]
        assert rows == expected(path.name)
        return
    with pytest.raises(ConfigurationError, match=REFUSED[path.name]) as refused:
        open_table(path)
    assert "\n" not in str(refused.value)
    if "--encoding" in str(refused.value):
        assert read(path, encoding=str(refused.value).split()[-1]) == expected(path.name)


ERROR, NO_VALUE, MERGED = "a cell with an error", "a formula without a saved value", "a merged cell"


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*-formulas.*")), ids=lambda path: path.name)
def test_formulas(path: Path) -> None:
    """A formula is its saved value. A row with an error, or with a formula without a value, is a problem."""
    *rows, (_, first), (line, last) = read(path)
    assert rows == expected("cp1251.xlsx")
    said = NO_VALUE if path.name.startswith("openpyxl") else ERROR
    assert [said in str(each) and isinstance(each, Problem) for each in (first, last)] == [True, True]
    assert line == 7


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*-merged.*")), ids=lambda path: path.name)
def test_merged_cells(path: Path) -> None:
    """A row whose cell is empty only because it is merged with the one above is a problem. The one above is read."""
    rows = read(path)
    assert [rows[0], rows[2]] == [expected("cp1251.xlsx")[0], expected("cp1251.xlsx")[2]]
    line, problem = rows[1]
    assert line == 3
    assert isinstance(problem, Problem)
    assert MERGED in problem


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*-aside.*")), ids=lambda path: path.name)
def test_a_table_that_stands_aside(path: Path) -> None:
    """A table may begin in any row and column. Rows keep the numbers that the program shows."""
    assert read(path) == [(line + 2, cells) for line, cells in expected("cp1251.xlsx")]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*-hidden.*")), ids=lambda path: path.name)
def test_a_hidden_sheet(path: Path) -> None:
    """The first visible sheet is read, and the notes name the others. A name or a number opens any of them."""
    with open_table(path) as table:
        assert table.notes == ("read sheet 'Клиенты' of 'Черновик', 'Клиенты'. To read another, use --sheet NAME",)
        assert table.header == HEADER
    for sheet in ("Черновик", 1, "1"):
        with open_table(path, sheet=sheet) as table:
            assert (table.header, table.notes) == (["другое", "не то"], ())
    for sheet in ("Лист9", 3, 0, "-1"):
        with pytest.raises(ConfigurationError, match=r"no sheet is called .* The sheets are 'Черновик', 'Клиенты'"):
            open_table(path, sheet=sheet)
    with pytest.raises(ConfigurationError, match="sheet must be str or int"):
        open_table(path, sheet=1.5)  # type: ignore[arg-type]
