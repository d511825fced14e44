"""Sheets of Excel workbooks and OpenDocument spreadsheets by python-calamine, with cells as a person sees them.

What calamine does not report (cells with errors, merged cells of .ods, how large a sheet is) is read from the parts
of the file beforehand: see sheet_scan.py and xls_scan.py.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any

from attrs import frozen

from ..errors import ConfigurationError
from .cells import RUN, Form, Problem, Run, names_of
from .decoding import Ahead, all_bytes
from .number_formats import shown
from .sheet_scan import Findings, Parts, parts_of
from .xls_scan import require_xls, scan_xls

__all__ = ["Sheet", "open_sheet"]

_MAX_FILE = 256 * 1024 * 1024
_MAX_NAMED = 10
_LOCKED = "the workbook is protected by a password: save it without one"
_DAMAGED = "the workbook cannot be read: open it in a spreadsheet program, save it again, and read that file"


@frozen
class Sheet:
    """One sheet of a workbook: the names of its columns, its rows, and what the user is told before them."""

    form: Form
    header: list[str]
    runs: Iterator[Run]
    notes: list[str]


def open_sheet(file: Ahead, form: Form | None, sheet: str | int | None) -> Sheet:
    """Open a sheet of the workbook in a file: the one with this name, or number from 1, or the first visible one.

    Raises ConfigurationError if the file is not a workbook, has no such sheet, or is too large.
    """
    data = all_bytes(file, _MAX_FILE)
    parts = parts_of(data) if data.startswith(b"PK") else None
    found: Form = "xls" if parts is None else parts.form
    if parts is None:
        require_xls(data)
    if form not in {None, found}:
        raise ConfigurationError(f"the file is .{found}, not .{form}: leave the form out, or name another file")
    return _sheet_of(data, parts, found, sheet)


def _sheet_of(data: bytes, parts: Parts | None, form: Form, wanted: str | int | None) -> Sheet:
    calamine = _calamine(form)
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(BytesIO(data))
        index, notes = _choice(calamine, workbook.sheets_metadata, wanted)
        findings = scan_xls(data, index) if parts is None else parts.scan(index)
        opened = workbook.get_sheet_by_index(index)
    except calamine.PasswordError:
        raise ConfigurationError(_LOCKED) from None
    except calamine.CalamineError:
        raise ConfigurationError(_DAMAGED) from None
    except BaseException as error:
        # A panic of calamine, which some damaged files cause, is not an Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise ConfigurationError(_DAMAGED) from None
    if opened.start is None:
        raise ConfigurationError(_empty(workbook.sheet_names[index]))
    left = opened.start[1]
    rows = enumerate(opened.iter_rows(), 1)
    for number, values in rows:
        header = names_of(map(_text, values))
        if header:
            problem = findings.problem(number - 1)
            if problem is not None:
                raise ConfigurationError(f"the header, row {number}, {problem}")
            findings.mark_merged(
                opened.merged_cell_ranges or (), [left + place for place, name in enumerate(header) if name]
            )
            return Sheet(form, header, _runs(rows, len(header), left, findings, number), notes)
    raise ConfigurationError(_empty(workbook.sheet_names[index]))


def _empty(name: str) -> str:
    return f"sheet {name!r} is empty: name another with --sheet"


def _calamine(form: Form) -> Any:
    try:
        import python_calamine  # noqa: PLC0415 (an extra)
    except ImportError:
        raise ConfigurationError(f"reading .{form} needs python-calamine: pip install 'devino-async[excel]'") from None
    return python_calamine


def _choice(calamine: Any, sheets: list[Any], wanted: str | int | None) -> tuple[int, list[str]]:
    """Return the index of the wanted sheet, and what the user is told about the others."""
    places = [index for index, sheet in enumerate(sheets) if sheet.typ == calamine.SheetTypeEnum.WorkSheet]
    if not places:
        raise ConfigurationError("the workbook has no sheet with cells")
    names = ", ".join(repr(sheets[index].name) for index in places[:_MAX_NAMED])
    names += ", ..." if len(places) > _MAX_NAMED else ""
    if wanted is None:
        visible = (index for index in places if sheets[index].visible == calamine.SheetVisibleEnum.Visible)
        index = next(visible, places[0])
        several = f"read sheet {sheets[index].name!r} of {names}. To read another, use --sheet NAME"
        return index, [several] if len(places) > 1 else []
    for index in places:
        if sheets[index].name == str(wanted):
            return index, []
    if str(wanted).isdecimal() and 1 <= int(wanted) <= len(places):
        return places[int(wanted) - 1], []
    raise ConfigurationError(f"no sheet is called {str(wanted)!r}. The sheets are {names}, or their numbers from 1")


def _runs(
    rows: Iterator[tuple[int, list[Any]]], width: int, left: int, findings: Findings, begin: int
) -> Iterator[Run]:
    run: Run = []
    number = begin
    for number, values in rows:
        for column in findings.shaped:
            place = column - left
            if 0 <= place < width and type(values[place]) is float:
                values[place] = shown(values[place], findings.shape(number - 1, column))
        cells = [value if type(value) is str else _text(value) for value in values[:width]]
        problem = findings.problem(number - 1)
        if problem is not None or any(cell.strip() for cell in cells):
            run.append((number, cells if problem is None else Problem(problem)))
            if len(run) == RUN:
                yield run
                run = []
    # For calamine a sheet ends with its last cell that has a value.
    run += [(row + 1, Problem(findings.problem(row))) for row in findings.rows_from(number)]
    yield from (run[at : at + RUN] for at in range(0, len(run), RUN))


def _text(value: Any) -> str:
    """Return a cell as a person sees it, as far as it is known. Dates and times are ISO 8601, without zero seconds."""
    return _TEXT_OF.get(type(value), str)(value)


def _moment(value: datetime) -> str:
    moment = (value + timedelta(microseconds=500_000)).replace(microsecond=0)
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")


def _time(value: time) -> str:
    return value.isoformat("seconds" if value.second else "minutes")


def _duration(value: timedelta) -> str:
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")


_TEXT_OF: dict[type, Callable[[Any], str]] = {
    bool: lambda value: str(value).upper(),
    float: shown,
    datetime: _moment,
    date: date.isoformat,
    time: _time,
    timedelta: _duration,
}
