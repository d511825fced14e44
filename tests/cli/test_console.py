"""Words and streams of the command line: JSON lines, cells for people, and errors of a command."""

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from devino_async import ConfigurationError, DevinoError, Status
from devino_async.campaigns import (
    CampaignBusy,
    CampaignCancelled,
    CampaignForgotten,
    CampaignPaused,
    JournalFailed,
)
from devino_async.cli.cells import CsvWriter, csv_cell
from devino_async.cli.console import CommandFailed, as_json, printable, run


def test_json_is_exact() -> None:
    """Amounts are strings, dates are ISO 8601, and letters stay as they are."""
    values = {
        "amount": Decimal("1000000.80"),
        "day": date(2026, 1, 31),
        "moment": datetime.fromisoformat("2026-01-31T10:00:00+03:00"),
        "status": Status.DELIVERED,
        "options": MappingProxyType({"a": ("1", "2")}),
        "text": "Привет",
    }
    assert json.loads(as_json(values)) == {
        "amount": "1000000.80",
        "day": "2026-01-31",
        "moment": "2026-01-31T10:00:00+03:00",
        "status": "DELIVERED",
        "options": {"a": ["1", "2"]},
        "text": "Привет",
    }
    assert "Привет" in as_json(values)


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (0, "0"), ("Привет", "Привет"), ("\x1b[2Ja\n", "\N{MIDDLE DOT}[2Ja\N{MIDDLE DOT}")]
)
def test_cells_for_people(value: Any, shown: str) -> None:
    """A cell for people has no character that could move the cursor, and None is empty."""
    assert printable(value) == shown


@pytest.mark.parametrize(
    "formula",
    ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "=", "+", "-", "+(", "+7 900-000-00-00", "-1e5", "+cmd|'/c calc'!A1", "+٣"]
    + ["\r=1+1", "\t=1+1", "\n@A1", "\t -1+1", "\x00=1", "\ufeff=1"],
)
def test_formulas_in_csv(formula: str) -> None:
    """A cell that a spreadsheet would take as a formula gets a leading apostrophe, which makes it text."""
    assert csv_cell(formula) == f"'{formula}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("", ""),
        ("Привет = -", "Привет = -"),
        ("+79000000001", "+79000000001"),
        ("+7 (900) 000.00.00", "+7 (900) 000.00.00"),
        ("-1.50", "-1.50"),
        ("79000000001", "79000000001"),
        (-5, -5),
        (Decimal("-2.35"), Decimal("-2.35")),
    ],
)
def test_cells_of_csv(value: Any, cell: Any) -> None:
    """Numbers and phones stay as they are in CSV, and None is empty."""
    assert csv_cell(value) == cell


@pytest.mark.parametrize("odd", ["a\r=1+1", "\rb", "\tb", "a\tb", "a\x0b=1", "a\u2028=1", "\r\n", "a\r,=1", '"\r=1"'])
def test_no_cell_breaks_a_row_of_csv(odd: str) -> None:
    """A cell is one cell of one row to every reader of CSV, even if it holds a bare carriage return or a tab."""
    file = io.StringIO()
    CsvWriter(file).row(["79000000001", odd, None, 5])
    written = file.getvalue()
    assert written.endswith("\n")
    assert list(csv.reader(io.StringIO(written, newline=""))) == [["79000000001", odd, "", "5"]]
    quoted = '"' + odd.replace('"', '""') + '"'
    assert quoted in written


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ConfigurationError("api_key must be a str"), 2, "devino: api_key must be a str\n"),
        (CampaignPaused("it is paused"), 1, "devino: it is paused\n"),
        (CampaignCancelled("it was cancelled"), 1, "devino: it was cancelled\n"),
        (CampaignBusy("another run"), 2, "devino: another run\n"),
        (CampaignForgotten("it was forgotten"), 2, "devino: it was forgotten\n"),
        (JournalFailed("no space"), 3, "devino: no space\n"),
        (DevinoError("the call failed"), 3, "devino: the call failed\n"),
        (OSError(28, "No space left on device"), 3, "devino: No space left on device\n"),
        (CommandFailed("there is no thread"), 3, "devino: there is no thread\n"),
        (MemoryError(), 3, "devino: there is not enough memory\n"),
        (None, 0, ""),
    ],
)
def test_the_end_of_a_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception | None,
    status: int,
    words: str,
) -> None:
    """A foreseen error is one line on stderr and an exit status, without a traceback."""

    async def work() -> None:
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as ended:
        run(work())
    assert ended.value.code == status
    assert capsys.readouterr().err == words
