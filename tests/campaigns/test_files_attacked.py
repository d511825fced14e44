"""What an attack on files, templates and stop lists found: each test is a rule that was broken once."""

import io
import os
from collections.abc import Iterator
from encodings.aliases import aliases
from pathlib import Path
from typing import Any

import pytest

from devino_async import ConfigurationError, InvalidMessage, Template
from devino_async.campaigns import Row, StopList, read_messages
from devino_async.campaigns.cyrillic import CYRILLIC
from devino_async.campaigns.lines import Lines
from devino_async.campaigns.number_formats import shapes_of, shown

RUSSIAN = "Привет, ждём вас"
UNSEEN = ["\u200b", "\ufeff", "\u00ad", "\u200e\u200f", "\u2060", "\u2800", "\u3164", "\ufe0f", "\x7f", "\u00a0\u200d "]


def rows_of(given: bytes, **options: Any) -> list[Row]:
    return list(read_messages(io.BytesIO(given), sender="MyCompany", **options))


def texts_of(given: bytes, **options: Any) -> list[str | None]:
    return [row.message.text if row.message else row.problem for row in rows_of(given, **options)]


@pytest.mark.parametrize("encoding", CYRILLIC)
@pytest.mark.parametrize("is_named", [False, True])
def test_files_joined_in_two_encodings(encoding: str, is_named: bool) -> None:
    """Rows in UTF-8 behind rows in an encoding of one byte a letter are problems, and never read as other letters."""
    if not is_named and encoding != "cp1251":
        pytest.skip("refused until it is named")
    begin = "to;text\n" + f"79000000001;{RUSSIAN}\n" * 5_000
    found = texts_of(
        begin.encode(encoding) + f"79000000002;{RUSSIAN}\n79000000003;Ok\n".encode(),
        encoding=encoding if is_named else None,
    )
    assert set(found[:5_000]) == {RUSSIAN}
    assert "is UTF-8, though the file was read as" in str(found[5_000])
    assert found[5_001] == "Ok"


@pytest.mark.parametrize("name", sorted({*aliases.values(), "punycode", "idna"}))
def test_every_encoding_by_name(name: str) -> None:
    """Whatever encoding is named, each line is read, is a problem, or the name is refused."""
    text = b"to;text\n79000000001;x\n"
    for data in (text, b"to;text\n79000000001;\xd0\x9f\xff\x80+\n", b"\xff\xfe" + text, b"\xff\xfe\0\0" + text):
        try:
            rows_of(data, encoding=name)
        except ConfigurationError:
            continue


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_by_name_without_its_mark(order: str) -> None:
    """UTF-16 that is named, and has no byte order mark, is read in the order that its bytes have."""
    assert texts_of(f"to;text\n79000000001;{RUSSIAN}\n".encode(f"utf-16-{order}"), encoding="utf-16") == [RUSSIAN]


@pytest.mark.parametrize("cell", UNSEEN)
def test_a_cell_that_nobody_would_see(cell: str) -> None:
    """A placeholder or a text with nothing but characters that a person does not see counts as empty, on every way."""
    [of_row] = texts_of(f"to;name\n79000000001;{cell}\n".encode(), text="Hi {name}!")
    assert "{name} has no value" in str(of_row)
    assert texts_of(f"to;name\n79000000001;{cell}\n".encode(), text="Hi {name|you}!") == ["Hi you!"]
    [own] = texts_of(f"to;text\n79000000001;{cell}\n".encode())
    assert "must not be empty" in str(own)
    template = Template(sender="MyCompany", text="Hi {name}!")
    row = {"to": "79000000001", "name": cell}
    with pytest.raises(InvalidMessage, match=r"\{name\} has no value"):
        template.message(row)
    assert texts_of(f"to;name\n79000000001;a{cell}b\n".encode(), text="Hi {name}!") == [f"Hi a{cell}b!"]


@pytest.mark.parametrize(
    "content",
    [
        'to;text\n79000000001;"One\n79000000002;Two\n79000000003;Three"\n79000000004;x\n',
        'to;text\r\n79000000001;"One\r\n79000000002;Two"\r\n79000000004;x\r\n',
        'name;to;text\n"A;+7 900 0000001;One\nB";+7 900 0000002;Two\nC;79000000004;x\n',
        'to,text\r79000000001,"One\r79000000002,Two"\r79000000004,x\r',
    ],
)
def test_a_quote_that_another_row_closes(content: str) -> None:
    """Rows between a quote that was never closed and the next quote are no text: one number would get them all."""
    swallowed, last = rows_of(content.encode())
    assert swallowed.message is None
    assert "is a quote opened and never closed?" in str(swallowed.problem)
    assert last.message is not None
    assert last.message.to == "79000000004"


@pytest.mark.parametrize(
    "text", ["One;\nTwo", "Call\n8 800 555 35 35", "a;b\nc;d", "One\n79000000002;Two;Three", "\n79000000002\n"]
)
def test_a_text_of_several_lines(text: str) -> None:
    """A text may have several lines, with delimiters and with phone numbers."""
    assert texts_of(f'to;text\n79000000001;"{text}"\n'.encode()) == [text]


class Changing(io.FileIO):
    """A file that a person saves anew after some reads."""

    def __init__(self, path: Path, reads: int, new: bytes) -> None:
        super().__init__(path)
        self._path, self._reads, self._new = path, reads, new

    def read(self, size: int = -1, /) -> bytes:
        if self._reads == 0:
            self._path.write_bytes(self._new)
            os.utime(self._path, ns=(1, 1))
        self._reads -= 1
        return super().read(size)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("how", ["shifted", "shorter", "longer"])
def test_nothing_is_read_of_a_file_that_changed(tmp_path: Path, form: str, how: str) -> None:
    """What was read before a change stands. Nothing behind it is taken, because it may begin within another row."""
    line = "7900{:07};text {}\n" if form == "csv" else '{{"to": "7900{:07}", "text": "text {}"}}\n'
    old = ("to;text\n" if form == "csv" else "") + "".join(line.format(each, each) for each in range(20_000))
    new = {"shifted": old[9:], "shorter": old[:300_000], "longer": old * 2}[how]
    path = tmp_path / f"a.{form}"
    path.write_text(old, encoding="utf-8")
    # CSV is read twice: once as a whole, to find what is wrong with it.
    with Changing(path, 4 if form == "jsonl" else 13, new.encode()) as file:
        *rows, last = read_messages(file, sender="MyCompany", encoding="utf-8")
    assert 0 < len(rows) < 20_000
    assert [(each.message.to, each.message.text) for each in rows if each.message] == [
        (f"7900{each:07}", f"text {each}") for each in range(len(rows))
    ]
    assert last.ends_reading
    assert "because the file changed while it was read" in str(last.problem)


@pytest.mark.parametrize(
    ("code", "value", "seen"),
    [
        ("00000", 42.0, "00042"),
        ("00000", 123456.0, "123456"),
        ("000.0", -1.25, "-001.3"),
        ("0", 42.0, "42"),
        ("#,##0", 0.0, "0"),
        ("&quot;№&quot;000", 7.0, "007"),
        ("00%", 0.05, "05%"),
    ],
)
def test_leading_zeros_of_a_cell(code: str, value: float, seen: str) -> None:
    """A code whose format shows leading zeros is read with them."""
    styles = f'<numFmt numFmtId="170" formatCode="{code}"/><cellXfs><xf numFmtId="170"/></cellXfs>'
    assert shown(value, shapes_of(styles.encode())[0]) == seen


def test_a_stop_list_is_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the numbers of a plain stop list are kept, and not its lines. Line ends do not make a number unusual."""
    kept, most = 0, 0

    def counted(lines: Lines) -> Iterator[Iterator[str]]:
        nonlocal kept, most
        for some in read(lines):
            each = [*some]
            kept += len(each)
            most = max(most, kept)
            yield iter(each)
            kept -= len(each)

    read = Lines.__iter__
    monkeypatch.setattr(Lines, "__iter__", counted)
    path = tmp_path / "stop.txt"
    path.write_text("# left\n" + "".join(f"7900{each:07}\r\n" for each in range(50_000)), encoding="utf-8")
    assert len(StopList(path).numbers()) == 50_000
    assert most < 10_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1251"])
@pytest.mark.parametrize("size", [1, 3, 4_096])
def test_blank_lines_in_front_of_a_pipe(encoding: str, size: int) -> None:
    """However slowly blank lines come, the rows behind them are read."""
    data = io.BytesIO(f"\n\n\n \nto;text\n79000000001;{RUSSIAN}\n79000000002;x\n".encode(encoding))

    class Pipe(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return data.readinto(memoryview(buffer)[:size])

    rows = read_messages(Pipe(), sender="MyCompany", encoding=encoding)  # type: ignore[arg-type]
    assert [row.message.text for row in rows if row.message] == [RUSSIAN, "x"]


def test_a_stop_list_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop list above the limit is refused. No more of it than that is read, so a device cannot fill the memory."""
    monkeypatch.setattr("devino_async.campaigns.stop_list._MAX_BYTES", 24)
    path = tmp_path / "stop.txt"
    path.write_bytes(b"79000000001\n79000000002\n")
    assert len(StopList(path).numbers()) == 2
    path.write_bytes(b"79000000001\n79000000002\n\n")
    with pytest.raises(ConfigurationError, match="has more than 24 bytes"):
        StopList(path).numbers()
