"""Tables of text: what a file is, its encoding, its header, its rows, and each bad situation in one line."""

import csv
import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError
from devino_async.campaigns.cells import RUN, Problem
from devino_async.campaigns.decoding import MAX_LINE
from devino_async.campaigns.tables import Table, open_table

RUSSIAN = "Телефон;Имя\r\n79000000001;Иван\r\n"


class Trickle(io.RawIOBase):
    """A file that gives a few bytes at a time: a pipe, unless it is seekable."""

    def __init__(self, data: bytes, size: int, *, seekable: bool) -> None:
        self._data, self._size, self._at, self._seekable = data, size, 0, seekable

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        assert self._seekable
        self._at = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        found = self._data[self._at : self._at + min(self._size, len(buffer))]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def table_of(given: str | bytes, **options: Any) -> Table:
    return open_table(io.BytesIO(given if isinstance(given, bytes) else given.encode()), **options)


def rows_of(given: str | bytes, **options: Any) -> list[tuple[int, Any]]:
    return [row for run in table_of(given, **options).runs() for row in run]


def problem_of(given: str | bytes, **options: Any) -> tuple[int, str]:
    """The only problem, in the last row."""
    *good, (line, problem) = rows_of(given, **options)
    assert isinstance(problem, Problem)
    assert not any(isinstance(cells, Problem) for _, cells in good)
    return line, problem


WORDS = st.lists(
    st.sampled_from("Привет Ваш заказ готов скидка Щукин ЁЖ объём до-пятницы 10:00 Hi".split()), max_size=5
)
RUSSIAN_CELLS = st.tuples(WORDS, st.sampled_from(["", ";", ",", '"', "\t|", "\r\n", "\n", " "])).map(
    lambda pair: pair[1].join(pair[0])
)
ANY_CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=12)
EIGHT_BIT = ["cp1251", "koi8-r", "cp866"]
UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@given(
    encoding=st.sampled_from([*UNICODE, *EIGHT_BIT]),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    named=st.booleans(),
    zipped=st.booleans(),
    seekable=st.booleans(),
    size=st.sampled_from([1, 2, 7, 100, 70_000]),
    data=st.data(),
)
def test_any_dialect_and_encoding(
    encoding: str, delimiter: str, end: str, named: bool, zipped: bool, seekable: bool, size: int, data: st.DataObject
) -> None:
    """Rows written in any dialect and encoding are read back cell by cell, from a file and from a pipe."""
    texts = ANY_CELLS if encoding in UNICODE else RUSSIAN_CELLS
    row = st.tuples(st.integers(79_000_000_000, 79_009_999_999).map(str), texts, texts).map(list)
    rows = data.draw(st.lists(row, max_size=20))
    written = io.StringIO()
    if named:
        written.write(f"sep={delimiter}{end}")
    csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        [["Телефон", "Имя", "Текст"], *rows]
    )
    content = written.getvalue().encode(encoding)
    file = Trickle(gzip.compress(content) if zipped else content, size, seekable=seekable)
    # From a pipe only the bytes at hand are judged. Here too KOI8-R and CP866 are named, and UTF-16 without its mark
    # if few bytes tell it, or letters like \u0100 look like the other order.
    is_clear = size >= 100 and not any(ord(letter) % 256 == 0 for letter in written.getvalue())
    is_named = encoding in {"koi8-r", "cp866"} or (encoding in {"utf-16-le", "utf-16-be"} and not is_clear)
    asked = encoding if is_named else None
    table = open_table(file, encoding=asked or (None if seekable else encoding))  # type: ignore[arg-type]
    assert table.form == "csv"
    assert table.header == ["Телефон", "Имя", "Текст"]
    assert [cells for run in table.runs() for _, cells in run] == rows


@given(rows=st.lists(st.dictionaries(ANY_CELLS, ANY_CELLS | st.integers() | st.none(), max_size=3), max_size=9))
def test_json_lines(rows: list[dict[str, Any]]) -> None:
    """Each line of JSON is a row, whose values keep their kinds."""
    import json

    first = {"to": "79000000001"}
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in [first, *rows])
    table = table_of(text)
    assert (table.form, table.header) == ("jsonl", None)
    assert [row for run in table.runs() for row in run] == list(enumerate([first, *rows], 1))


@pytest.mark.parametrize("encoding", [*UNICODE, "cp1251"])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_encoding_is_seen(encoding: str, zipped: bool) -> None:
    """Unicode with and without a mark and Windows-1251 are seen. What was only judged is said before the first row."""
    content = RUSSIAN.encode(encoding)
    table = table_of(gzip.compress(content) if zipped else content)
    judged = {"cp1251": "Windows-1251", "utf-16-le": "UTF-16-LE", "utf-16-be": "UTF-16-BE"}.get(encoding)
    assert [judged in note and "--encoding" in note for note in table.notes if judged] == [True] * bool(judged)
    assert table.header == ["Телефон", "Имя"]
    assert list(table.runs()) == [[(2, ["79000000001", "Иван"])]]


@pytest.mark.parametrize("encoding", ["koi8-r", "cp866", "iso8859-5"])
def test_other_russian_encodings_are_named(encoding: str) -> None:
    """A text that reads as Russian in another encoding is refused with the option to pass, which reads it."""
    content = RUSSIAN.encode(encoding)
    with pytest.raises(ConfigurationError, match=f"--encoding {encoding}"):
        table_of(content)
    assert rows_of(content, encoding=encoding) == [(2, ["79000000001", "Иван"])]


NAMES = (
    "Иван Мария Александр Екатерина Сергей Ольга Дмитрий Анна Ёлкина Щукин Юлия Эдуард Жанна Хабибуллин Цой Шамиль "
    "Гульнара Фёдор Ярослав Щи Да ФИО ЁЖ Жюль Объём"
).split()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("header", ["to;text", "Телефон;Имя"])
def test_one_name_in_windows_1251(name: str, header: str) -> None:
    """A single Russian word is enough to see Windows-1251."""
    table = table_of(f"{header}\r\n79000000001;{name}\r\n".encode("cp1251"))
    assert list(table.runs()) == [[(2, ["79000000001", name])]]
    assert "Windows-1251" in table.notes[0]


@pytest.mark.parametrize("text", ["Grüße aus München", "Ça va, déjà vu, élève", "¿Qué tal señor?", "naïve café"])
def test_texts_that_are_not_russian(text: str) -> None:
    """A text of another language is not taken for Russian. The error says what to pass."""
    with pytest.raises(ConfigurationError, match=r"line 2 is not UTF-8.*pass --encoding"):
        table_of(f"to;text\n79000000001;{text}\n".encode("latin-1"))


def test_a_file_that_is_utf_8_only_at_first() -> None:
    """A file that can be read twice is checked as a whole: a line that is not UTF-8 is found before any row."""
    good = "to;text\n" + "79000000001;Ваш заказ готов, ждём вас\n" * 40_000
    bad = good.encode() + "79000000002;Привет\n".encode("cp1251")
    with pytest.raises(ConfigurationError, match="line 40,002 is not UTF-8, though the lines before it are"):
        table_of(bad)
    line, problem = problem_of(bad, encoding="utf-8")
    assert (line, str(problem)) == (40_002, "has bytes that are not UTF-8: see --encoding NAME")
    file = Trickle(bad, 60_000, seekable=False)
    *good_rows, last = [row for run in open_table(file).runs() for row in run]  # type: ignore[arg-type]
    assert len(good_rows) == 40_000
    assert last == (line, problem)


@pytest.mark.parametrize("name", ["nope", "base64", "", "utf-8\0", 8])
def test_an_encoding_that_is_unknown(name: Any) -> None:
    """An encoding that Python does not know is refused with some that it knows."""
    with pytest.raises(ConfigurationError, match=r"encoding must be .* windows-1251"):
        table_of(RUSSIAN, encoding=name)


DOCUMENT = io.BytesIO()
with zipfile.ZipFile(DOCUMENT, "w") as _archive:
    _archive.writestr("word/document.xml", "")
PLAIN_ZIP = io.BytesIO()
with zipfile.ZipFile(PLAIN_ZIP, "w") as _archive:
    _archive.writestr("secret-79000000001.csv", "to,text")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\r\n \n", "the file is empty"),
        (b";;;\n,,\n", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (b"%PDF-1.7\nsecret", "a PDF document"),
        (b"{\\rtf1 secret", "an RTF document"),
        (b"SQLite format 3\0secret", "an SQLite database"),
        (b"\x89PNG\r\n\x1a\nsecret", "a PNG image"),
        (b"\xff\xd8\xff\xe0secret", "a JPEG image"),
        (b"BM\x01\x02\x03\x04secret", "a BMP image"),
        (b"PAR1\x15\x04secret", "a Parquet file"),
        (b"Rar!\x1a\x07secret", "a RAR archive: unpack it first"),
        (b"7z\xbc\xaf\x27\x1csecret", "a 7z archive: unpack it first"),
        (b"BZh9\x01\x02\x03secret", "a bzip2 archive: unpack it first"),
        (b"<!DOCTYPE html><html>secret", "an HTML page"),
        ("\ufeff <html><td>secret".encode("utf-16"), "an HTML page"),
        (b"<html>\xcf\xf0\xe8\xe2\xe5\xf2 secret", "an HTML page"),
        (b'<?xml version="1.0"?><a>secret</a>', "an XML document"),
        (b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><a/>', "an Excel 2003 XML table"),
        (b'[{"to": "secret"}]', "a JSON array: write one JSON object a line"),
        (b'[\n{"to": "secret"}]', "a JSON array"),
        (b"BEGIN:VCARD\nsecret", "an address book"),
        (DOCUMENT.getvalue(), "a Word document"),
        (PLAIN_ZIP.getvalue(), "a zip archive, not a workbook: unpack it first"),
        (b"PK\x03\x04secret", "the zip archive is damaged"),
        (OLE + "WordDocument\0".encode("utf-16-le"), "a Word document"),
        (OLE + "EncryptedPackage\0".encode("utf-16-le"), "protected by a password"),
        (OLE, "not a workbook"),
        (gzip.compress(gzip.compress(b"a,b", mtime=0), mtime=0), "a gzip archive within another"),
        (gzip.compress(b"to,secret\n", mtime=0)[:-6], "the gzip archive is damaged"),
        (b"\x1f\x8bsecret", "the gzip archive is damaged"),
        (bytes(range(256)) * 9, "neither text nor a spreadsheet"),
    ],
)
def test_what_is_no_table_is_refused_by_name(content: bytes, said: str) -> None:
    """A file without rows that can be read is refused in one line, which names its kind and shows nothing of it."""
    for file in (io.BytesIO(content), Trickle(content, 100, seekable=False)):
        with pytest.raises(ConfigurationError) as refused:
            open_table(file)  # type: ignore[arg-type]
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "form", "found"),
    [
        ("a.txt", '{"to": 1}', None, "jsonl"),
        ("a.csv", '{"to": 1}', None, "jsonl"),
        ("a.csv", "{name};to\n1;2", None, "csv"),
        ("a.jsonl", "to,text\n", None, "jsonl"),
        ("a.ndjson.gz", "broken", None, "jsonl"),
        ("a.xlsx", "to,text\n", None, "csv"),
        ("a.jsonl", '{"to": 1}', "csv", "csv"),
        ("a.csv", "to,text\n", "jsonl", "jsonl"),
        ("a.csv", "<b>,to\n", None, "csv"),
        ("a.csv", "<table>,to\n", "csv", "csv"),
        ("a.csv", "BM,to\n", None, "csv"),
    ],
)
def test_the_form(tmp_path: Path, name: str, content: str, form: Any, found: str) -> None:
    """`form` decides, then the bytes. The name decides only whether lines that are no objects should be."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    for source in (path, str(path)):
        with open_table(source, form=form) as table:
            assert table.form == found
    with path.open("rb") as file, open_table(file, form=form) as table:
        assert table.form == found


def test_a_form_that_is_not_the_files() -> None:
    """A form that the first bytes contradict, or that is unknown, is refused."""
    with pytest.raises(ConfigurationError, match=r"the file is text, not \.xlsx"):
        table_of(RUSSIAN, form="xlsx")
    with pytest.raises(ConfigurationError, match="form must be"):
        table_of(RUSSIAN, form="xml")


@pytest.mark.parametrize(
    ("text", "header", "lines"),
    [
        ("sep=;\nto;text\n1;2\n", ["to", "text"], [3]),
        ('"sep=,"\n\nto,text\n1,2;3\n', ["to", "text"], [4]),
        ("SEP=\t\r\nto\ttext\r\n1\t2\r\n", ["to", "text"], [3]),
        ("to;text;;\n1;2;;\n;;;\n1;2\n", ["to", "text"], [2, 4]),
        ("\n;;\n to ; Имя \xa0 клиента \n\n1;2\n ; \n3;4", ["to", "Имя клиента"], [5, 7]),
        ('"to";"Имя, фамилия, отчество"\n1;2\n', ["to", "Имя, фамилия, отчество"], [2]),
        ('"Номер\nтелефона";text\n1;2\n', ["Номер телефона", "text"], [3]),
        ("to;;text\n1;;2\n", ["to", "", "text"], [2]),
        ("to\n1\n\n2\n", ["to"], [2, 4]),
        ("to|text\n1|2", ["to", "text"], [2]),
        ("to;b,c\n1;2\n4;5\n", ["to", "b,c"], [2, 3]),
        ("to,b;c\n1,2\n4,5\n", ["to", "b;c"], [2, 3]),
        ('to,text\r\n1,"a\r\nb"\n2,c\r3,d\n', ["to", "text"], [2, 4, 5]),
        ("to,text\n1,a\x0bb\x0c\x85\u2028c\n2,x\n", ["to", "text"], [2, 3]),
        ("to,text\n1,a\n\ufeff2,b\n\ufeff3,c\n", ["to", "text"], [2, 3, 4]),
    ],
)
def test_lines(text: str, header: list[str], lines: list[int]) -> None:
    """Lines are counted as an editor does. Rows and columns that are empty do not count, and `sep=` is obeyed."""
    table = table_of(text)
    assert table.header == header
    rows = [row for run in table.runs() for row in run]
    assert [line for line, _ in rows] == lines
    assert all(len(cells) == len(header) for _, cells in rows)
    assert not any("\ufeff" in cell for _, cells in rows for cell in cells)


def test_runs() -> None:
    """Rows come in lists of RUN, the last of which may be shorter, and every row is in one of them."""
    runs = list(table_of("to,text\n" + "1,2\n" * (2 * RUN + 1)).runs())
    assert [len(run) for run in runs] == [RUN, RUN, 1]
    assert [line for run in runs for line, _ in run] == [*range(2, 2 * RUN + 3)]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("to,text\n1,2\nsecret,2,3\n", 3, "has 3 cells for 2 columns"),
        ("to,text\n1,2\nsecret\n", 3, "has 1 cells for 2 columns"),
        ("to,text\n1,2\nsecret,\0\n", 3, "has a NUL character"),
        ('{"to": 1}\n\n{"to": "secret"\n', 3, "is not a JSON object"),
        ('{"to": 1}\n["secret"]\n', 2, "is not a JSON object"),
        ('{"to": 1}\n{"to": "secret", "to": 2}\n', 2, "is a JSON object with the same name twice"),
        ('{"to": 1}\n{"to": "secret\0"}\n', 2, "has a NUL character"),
        ('{"to": 1}\n{"to": ' + "9" * 5000 + "}\n", 2, "is not a JSON object"),
    ],
)
def test_a_row_that_cannot_be_read(content: str, line: int, said: str) -> None:
    """A row that cannot be read is one problem with its line, and shows nothing of the row."""
    found, problem = problem_of(content)
    assert found == line
    assert said in problem
    assert "secret" not in problem


@pytest.mark.parametrize("end", ['3,"secret\n4,5\n', '3,"secret" 4\n4,5\n', f"3,{'s' * 200_000}\n4,5\n"])
@pytest.mark.parametrize("begin", ["", "sep=,\n", "\n"])
def test_broken_csv(begin: str, end: str) -> None:
    """Where CSV is broken, its rows end. That is found before the first row if the file can be read twice."""
    content = f"{begin}to,text\n1,2\n{end}".encode()
    line = 3 + bool(begin)
    with pytest.raises(ConfigurationError, match=f"line {line} is not valid CSV: .*never closed") as raised:
        table_of(content)
    assert "secret" not in str(raised.value)
    pipe = Trickle(content, 50_000, seekable=False)
    [*_, (found, problem)] = [row for run in open_table(pipe).runs() for row in run]  # type: ignore[arg-type]
    assert found == line
    assert f"is not valid CSV, and nothing from line {line} on was read" in problem
    assert "secret" not in problem


@pytest.mark.parametrize("head", ["to,text\n", '{"to": 1}\n', ""])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_line_without_end(head: str, zipped: bool) -> None:
    """A line above the limit is found before the first row if the file can be read twice, and else in its place."""
    content = head.encode() + b"1" * (3 * MAX_LINE)
    packed = gzip.compress(content, 1) if zipped else content
    said = f"line {1 + bool(head)} is longer than 1,048,576 characters"
    with pytest.raises(ConfigurationError, match=said):
        table_of(packed)
    pipe = Trickle(packed, 50_000, seekable=False)
    if not head:
        with pytest.raises(ConfigurationError, match="the first line is longer than"):
            open_table(pipe)  # type: ignore[arg-type]
        return
    [*_, (line, problem)] = [row for run in open_table(pipe).runs() for row in run]  # type: ignore[arg-type]
    assert line == 2
    assert "is longer than 1,048,576 characters, and nothing from line 2 on was read" in problem


@pytest.mark.parametrize("text", ["to,text\n1,2\n", '{"to": 1}\n'])
def test_a_damaged_archive_in_a_pipe(text: str) -> None:
    """Where an archive cannot be checked beforehand, its rows end in a problem that says that the rest is missing."""
    packed = gzip.compress(text.encode() * 90_000)[:-20]
    pipe = Trickle(packed, 5000, seekable=False)
    [*rows, (_, problem)] = [row for run in open_table(pipe).runs() for row in run]  # type: ignore[arg-type]
    assert rows
    assert "the gzip archive is damaged or cut short: copy it or make it again, and nothing from line" in problem
    with pytest.raises(ConfigurationError, match="damaged or cut short"):
        table_of(packed)


@pytest.mark.parametrize("text", ["to,text\n1,2\n", '{"to": 1}\n' * 600])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, text: str) -> None:
    """A file whose size or time changed until its end gets a problem, because its rows may be torn or missing."""
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    table = open_table(path)
    os.utime(path, ns=(1, 1))
    *_, (_, problem) = [row for run in table.runs() for row in run]
    assert "the file changed while it was read" in problem


def test_rows_come_as_a_pipe_gives_them() -> None:
    """A row of a pipe is not held back until the pipe ends: two lines are enough for the first."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as end:
        end.write(b"to,text\n1,2\n")
        assert open_table(pipe).header == ["to", "text"]


def test_files_are_closed(tmp_path: Path) -> None:
    """A file that open_table opened is closed with its rows, the table, or an error. The caller's stays open."""
    path = tmp_path / "a.csv"
    path.write_text(RUSSIAN, encoding="utf-8")
    list(open_table(path).runs())
    next(iter(open_table(path).runs()))
    open_table(path).close()
    with path.open("rb") as file:
        list(open_table(file).runs())
        open_table(file, encoding="utf-8").close() if file.seek(0) else None
        file.seek(0)
        assert file.read() == RUSSIAN.encode()
    path.write_bytes(b"%PDF")
    with pytest.raises(ConfigurationError):
        open_table(path)
