"""Options about the rows of a file: which file it is, what its columns mean, and which rows get a message.

They become arguments of read_messages.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import attrs
import click

import devino_async
from devino_async.campaigns import Row, StopList, read_messages

from .console import say, standard_input
from .options import moment, zone

__all__ = ["Reading", "opened", "reading", "reading_of"]

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PASSED_ON = (
    "form",
    "sender",
    "text",
    "validity",
    "scheduled_time",
    "priority",
    "callback_url",
    "time_zone",
    "country",
    "encoding",
    "unique",
)


def reading(command: F) -> F:
    """Add the options of every command that reads a file of messages."""
    for option in reversed(
        (
            click.option(
                "--format",
                "form",
                type=click.Choice(["csv", "jsonl", "xlsx", "xls", "ods"]),
                help="Default: detected from the file's first bytes.",
            ),
            click.option("--encoding", metavar="NAME", help="Such as cp1251 or utf-8. Default: detected."),
            click.option(
                "--sheet", metavar="NAME", help="The name or number of a sheet. Default: the first visible one."
            ),
            click.option(
                "--map",
                "columns",
                multiple=True,
                metavar="FIELD=COLUMN",
                help="The column of a field, such as to=Contact. May be repeated.",
            ),
            click.option(
                "--sender", help="The default for rows without a sender. The next six options are defaults too."
            ),
            click.option("--text", help="{Column} stands for the cell, {Column|default} for a default if it is empty."),
            click.option("--text-file", type=_FILE, help="A UTF-8 file with the text, instead of --text."),
            click.option("--validity", type=int, metavar="SECONDS"),
            click.option("--scheduled-time", type=moment, help="ISO 8601 with a time zone."),
            click.option("--priority", type=click.Choice(["LOW", "MEDIUM", "HIGH", "REALTIME"], case_sensitive=False)),
            click.option("--callback-url"),
            click.option(
                "--time-zone", type=zone, metavar="NAME", help="The zone of --window and of times without one."
            ),
            click.option("--country", metavar="CODE", help="Convert national numbers, such as 8 916... with RU."),
            click.option(
                "--smart", is_flag=True, help="Replace typographic characters in texts where that saves a segment."
            ),
            click.option("--unique", is_flag=True, help="Send one message to each number, from its first row."),
            click.option(
                "--exclude",
                type=_FILE,
                multiple=True,
                metavar="FILE",
                help="Send nothing to the numbers in this file, of any of these kinds or one number a line.",
            ),
        )
    ):
        command = option(command)
    return command


def reading_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for read_messages. All readings of one run share its stop list, and say each note once."""
    scheduled = options["scheduled_time"]
    if scheduled is not None and scheduled.tzinfo is None and options["time_zone"] is None:
        raise click.UsageError("--scheduled-time must have a time zone, such as 2026-12-01T10:00:00+03:00")
    given = {name: options[name] for name in _PASSED_ON}
    given["smart"] = options["smart"]
    if options["text_file"] is not None:
        if given["text"] is not None:
            raise click.UsageError("--text and --text-file cannot be used together")
        given["text"] = _text_of(options["text_file"])
    given["columns"] = _mapping(options["columns"])
    sheet = options["sheet"]
    given["sheet"] = int(sheet) if sheet is not None and sheet.isascii() and sheet.isdigit() else sheet
    if options["exclude"]:
        given["exclude"] = StopList(*options["exclude"], country=options["country"])
    said: set[str] = set()

    def note(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    given["on_note"] = note
    return given


def opened(path: Path, stack: ExitStack | AsyncExitStack) -> BinaryIO:
    """Open a file of rows until the stack ends. `-` is standard input. Raises click.UsageError if it cannot be read."""
    if str(path) == "-":
        return standard_input().buffer
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None


class Reading:
    """One reading of a file. `given` is what reading_of() returned. `rows` has the header after the first run."""

    def __init__(self, source: BinaryIO, given: dict[str, Any], *, keep_cells: bool = False) -> None:
        self._smart = _Smart(given["on_note"]) if given["smart"] else None
        rest = {name: value for name, value in given.items() if name != "smart"}
        self.rows = read_messages(source, **rest, keep_cells=keep_cells)

    def runs(self) -> Iterator[list[Row]]:
        """Yield the rows in lists, as Rows does."""
        return self.rows.runs() if self._smart is None else self._smart.runs(self.rows.runs())


class _Smart:
    """Replaces typographic characters in the texts of rows where that saves a segment, and says how often."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._replaced: Counter[str] = Counter()
        self._rows = self._saved = 0
        # Rows often have the same text one after the other.
        self._last = devino_async.suggest("")
        self._text = ""

    def runs(self, runs: Iterator[list[Row]]) -> Iterator[list[Row]]:
        """Yield the rows with their new texts. At the end, the note says what was replaced."""
        try:
            for run in runs:
                yield [self._row(row) for row in run]
        finally:
            # With --limit, the rows are not read to their end.
            self._tell()

    def _tell(self) -> None:
        if self._rows:
            names = ", ".join(f"{name} {times:,} times" for name, times in self._replaced.most_common(5))
            more = f", and {len(self._replaced) - 5:,} more" if len(self._replaced) > 5 else ""
            self._note(f"--smart saves {self._saved:,} segments in {self._rows:,} rows. Replaced: {names}{more}")

    def _row(self, row: Row) -> Row:
        if row.message is not None:
            message = self._message(row.message)
            if message is row.message:
                return row
            self._rows += 1
            self._saved += self._last.saves
            for each in self._last.replaced:
                self._replaced[each.name] += each.times
            return Row(row.line, message, None, row.to, cells=row.cells)
        if row.held is None:
            return row
        return Row(row.line, None, None, row.to, row.left_out, self._message(row.held), row.cells)

    def _message(self, message: "devino_async.Message") -> "devino_async.Message":
        if message.text != self._text:
            self._text, self._last = message.text, devino_async.suggest(message.text)
        if not self._last.saves:
            return message
        fields = {each.name: getattr(message, each.name) for each in attrs.fields(devino_async.Message)}
        return devino_async.Message(**{**fields, "text": str(self._last)})


def _text_of(path: Path) -> str:
    try:
        # Editors end a file with a line break, which is not part of the text.
        return path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is not UTF-8. Save it as UTF-8") from None


def _mapping(given: tuple[str, ...]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for each in given:
        name, equals, column = each.partition("=")
        if not equals or not name.strip():
            raise click.UsageError("--map must be FIELD=COLUMN, such as --map to=Contact")
        if name.strip() in mapping:
            raise click.UsageError(f"--map {name.strip()}= is given twice")
        mapping[name.strip()] = column.strip()
    return mapping
