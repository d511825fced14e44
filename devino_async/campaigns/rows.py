"""Rows: cells of a file become messages.

columns.py says what a column means. tables.py reads the cells.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import repeat
from typing import Any, Literal, NamedTuple

from attrs import frozen

from ..errors import ConfigurationError, InvalidMessage, Reason
from ..protocol.message import Message, missed_schedule
from ..protocol.placeholders import Placeholder, has_no_value, matching_name, parse
from .columns import Columns, columns_of, converted, refuse_missing, shown_names
from .numbers import normalizer
from .plain_runs import PlainRuns
from .stop_list import StopList
from .tables import Cells, Cut, Problem, Run

__all__ = ["LeftOut", "Row", "RowMaker", "describe_reasons"]

LeftOut = Literal["excluded", "repeated"]

_PLAIN = {"sender", "to", "text"}
# A valid number, used to find what else is wrong with a row.
_ANY_NUMBER = "79000000000"
# Each object of JSON lines has its own names. Their meaning is kept for this many sets of names.
_MAX_LAYOUTS = 64
_MAX_UNUSED = 1_000


class Row(NamedTuple):
    """One row of a file: a message, or the problem with it, or neither if the row is left out.

    `line` counts from 1, with the header and blank lines included. `to` is the recipient as written in the file.
    `left_out` says why the row gets no message: its number is on the stop list, or an earlier row has it. `held` is
    then the message that is not sent. `cells` are those of the file, if they are asked for.
    """

    line: int
    message: Message | None = None
    problem: str | None = None
    to: str = ""
    left_out: LeftOut | None = None
    held: Message | None = None
    cells: Sequence[Any] | Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Row(line={self.line}, message={self.message}, problem={self.problem!r}, left_out={self.left_out!r})"

    @property
    def ends_reading(self) -> bool:
        """Whether the problem is that nothing more of the file can be read."""
        return isinstance(self.problem, Cut)

    def problem_at(self, now: datetime) -> str | None:
        """Return the problem, or that the message's scheduled time was over a minute ago. This asks no service."""
        late = None if self.message is None else missed_schedule(self.message, now)
        return self.problem if late is None else describe_reasons([late])


def describe_reasons(reasons: Iterable[Reason]) -> str:
    """Return reasons in one line, with their explanations. These may quote a value that the service refused."""
    return "; ".join(f"{each} ({each.default_message})" if each.default_message else str(each) for each in reasons)


def _numbers(given: Iterable[str]) -> set[int]:
    # A str would be read digit by digit.
    numbers: list[object] = [""] if isinstance(given, str) else list(given)
    if not all(isinstance(each, str) and each.isascii() and each.isdigit() for each in numbers):
        raise ConfigurationError("sent_before must hold numbers as Message.to has them, which are digits")
    return {int(str(each)) for each in numbers}


@frozen
class _Layout:
    """What the cells of a row mean. `filling` has the literal texts and the placeholders with their columns."""

    columns: Columns
    filling: Sequence[str | tuple[Placeholder, int | None]]
    to: int | None
    text: int | None
    sender: int | None
    is_plain: bool
    plain_runs: PlainRuns | None


class RowMaker:
    """Makes the rows of one reading. `use_header` comes first, unless the rows are objects of JSON lines.

    `defaults` are the fields of rows without a cell for them. Their text may have placeholders. `on_note` is called
    with the columns that nothing uses.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        *,
        columns: Mapping[str, str],
        country: str | None,
        time_zone: tzinfo | None,
        unique: bool,
        sent_before: Iterable[str],
        exclude: StopList | None,
        on_note: Callable[[str], object],
        keep_cells: bool = False,
    ) -> None:
        self._keeps_cells = keep_cells
        self._defaults = {name: value for name, value in defaults.items() if name != "text"}
        text = self._text = defaults.get("text")
        self._has_text = text is not None
        self._has_plain_defaults = not self._defaults.keys() - _PLAIN
        self._pieces, problems = parse(text) if isinstance(text, str) else ([], [])
        if problems:
            raise ConfigurationError(f"the text cannot be used: {describe_reasons(problems)}")
        self._placeholders = {
            matching_name(each.name): each.shown_name for each in self._pieces if isinstance(each, Placeholder)
        }
        self._columns = columns
        self._country = country
        self._normalize = normalizer(country)
        self._time_zone = time_zone
        self._seen: set[int] | None = _numbers(sent_before) if unique else None
        self._exclude = exclude
        self._stopped: set[int] = set()
        self._on_note = on_note
        self._unused: set[str] = set()
        self._header: _Layout | None = None
        self._layouts: dict[tuple[str, ...], _Layout | str] = {}

    def check_defaults(self) -> None:
        """Raise ConfigurationError if no row can use the defaults."""
        literal = "".join(each for each in self._pieces if isinstance(each, str))
        text = (literal or "a") if self._pieces and self._placeholders else self._text
        values = {"sender": "a", "to": _ANY_NUMBER, **self._defaults, "text": "a" if text is None else text}
        try:
            Message(**converted(values, self._time_zone))
        except InvalidMessage as invalid:
            raise ConfigurationError(f"no row can use these values: {describe_reasons(invalid.problems)}") from None
        except ValueError as error:
            raise ConfigurationError(f"no row can use these values: {error}") from None

    def begin(self, header: Sequence[str] | None, members: Sequence[tuple[str, ...]] = ()) -> None:
        """Use the header, and read the stop list. Raises ConfigurationError.

        For JSON lines the header is None, and `members` has the names of the first objects, as far as they are known.
        """
        if header is not None:
            self._header = self._layout_of(header, is_header=True)
            self._refuse_missing(self._header.columns.fields)
            self._tell_unused(self._header.columns.unused)
        elif members:
            self._check_objects(members)
        if self._exclude is not None:
            self._stopped = self._exclude.numbers()

    def _check_objects(self, members: Sequence[tuple[str, ...]]) -> None:
        """Raise ConfigurationError if none of the first JSON objects has what every row needs, or fills a placeholder.

        Otherwise a misspelt name would give every row the default of a placeholder.
        """
        layouts = [self._object_layout(each) for each in members]
        good = [each for each in layouts if not isinstance(each, str)]
        if not good:
            raise ConfigurationError(str(layouts[0]))
        fields = {name for each in good for name in each.columns.fields}
        names = list(dict.fromkeys(name for each in members for name in each))
        hint = ". If a row further down has it, give the first row this name too, with null as its value"
        refuse_missing(names, fields, self._placeholders, hint=hint)
        self._refuse_missing(fields)

    def _refuse_missing(self, fields: Collection[str]) -> None:
        if "text" not in fields and not self._has_text:
            raise ConfigurationError(
                "no column has the texts. Name one of them text or текст in the first row, use --map text=COLUMN "
                "(columns= in Python), or give one text for all rows with --text (text=)"
            )
        if "sender" not in fields and "sender" not in self._defaults:
            raise ConfigurationError("no column has the sender. Give one for all rows with --sender (sender=)")

    @property
    def recipients_at(self) -> int | None:
        """The index of the column of the recipients, or None for JSON lines."""
        return None if self._header is None else self._header.to

    def rows_of(self, run: Run) -> list[Row]:
        """Return the rows of a run of cells."""
        if self._header is not None and self._header.plain_runs is not None:
            rows = self._plain_rows(run, self._header.plain_runs)
            if rows is not None:
                return rows
        rows = [self._row(line, cells) for line, cells in run]
        if self._keeps_cells:
            pairs = zip(rows, run, strict=True)
            rows = [row if isinstance(cells, Problem) else Row(*row[:-1], cells) for row, (_, cells) in pairs]
        return rows

    def _plain_rows(self, run: Run, plain: PlainRuns) -> list[Row] | None:
        """Return the rows of a run, or None if anything in it is unusual."""
        lines, cells = zip(*run, strict=True)
        if set(map(type, cells)) != {list}:
            return None
        found = plain.messages(cells)
        if found is None:
            return None
        messages, written = found
        if self._stopped or self._seen is not None:
            numbers = {int(message.to) for message in messages}
            if not self._stopped.isdisjoint(numbers):
                return None
            if self._seen is not None:
                if len(numbers) < len(messages) or not self._seen.isdisjoint(numbers):
                    return None
                self._seen |= numbers
        if self._keeps_cells:
            return list(map(Row, lines, messages, repeat(None), written, repeat(None), repeat(None), cells))
        return list(map(Row, lines, messages, repeat(None), written))

    def _row(self, line: int, cells: Cells) -> Row:
        if type(cells) is list and self._header is not None:
            return self._made(line, cells, self._header)
        if isinstance(cells, Problem):
            return Row(line, problem=cells)
        assert isinstance(cells, dict)  # noqa: S101
        layout = self._object_layout(tuple(cells))
        if isinstance(layout, str):
            return Row(line, problem=layout)
        return self._made(line, list(cells.values()), layout)

    def _made(self, line: int, cells: Sequence[Any], layout: _Layout) -> Row:
        written = "" if layout.to is None else cells[layout.to]
        digits, problem = self._normalize("" if written is None else written)
        to = written if type(written) is str else str("" if written is None else written)
        is_stopped = bool(self._stopped) and problem is None and int(digits) in self._stopped
        message, reasons = self._message_of(cells, layout, digits, problem)
        if is_stopped:
            return Row(line, to=to, left_out="excluded", held=message)
        if message is None:
            return Row(line, problem=reasons, to=to)
        if self._seen is not None:
            number = int(digits)
            if number in self._seen:
                return Row(line, to=to, left_out="repeated", held=message)
            self._seen.add(number)
        return Row(line, message, None, to)

    def _message_of(
        self, cells: Sequence[Any], layout: _Layout, digits: str, problem: str | None
    ) -> tuple[Message | None, str | None]:
        """Return the message of a row, or everything that is wrong with it in words."""
        text, found = self._text_of(cells, layout)
        if problem is None and not found and layout.is_plain and self._has_plain_defaults:
            sender = "" if layout.sender is None else cells[layout.sender]
            if type(sender) is str:
                sender = sender.strip() or self._defaults.get("sender", "")
                try:
                    return Message(sender=sender, to=digits, text=text), None
                except InvalidMessage as invalid:
                    return None, describe_reasons(invalid.problems)
        values = {name: cells[at] for name, at in layout.columns.fields.items() if not has_no_value(cells[at])}
        values["to"] = digits if problem is None else _ANY_NUMBER
        values["text"] = text
        reasons = [*found] if problem is None else [Reason("to.format.invalid", "to", problem), *found]
        try:
            message = Message(**converted({**self._defaults, **values}, self._time_zone))
        except InvalidMessage as invalid:
            return None, describe_reasons([*reasons, *invalid.problems])
        except ValueError as error:
            return None, "; ".join(filter(None, (describe_reasons(reasons), str(error))))
        return (None, describe_reasons(reasons)) if reasons else (message, None)

    def _text_of(self, cells: Sequence[Any], layout: _Layout) -> tuple[Any, list[Reason]]:
        """Return the row's own text, or else the text for all rows with its placeholders filled."""
        own = None if layout.text is None else cells[layout.text]
        if not has_no_value(own):
            return own, []
        if not self._has_text:
            # A text that nobody would see is none. Message says so.
            return "", []
        parts: list[str] = []
        problems: list[Reason] = []
        for piece in layout.filling:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            placeholder, at = piece
            shown = placeholder.shown(None if at is None else cells[at])
            if isinstance(shown, str):
                parts.append(shown)
            else:
                # Any text will do, so that Message finds what else is wrong.
                parts.append("?")
                problems.append(shown)
        return "".join(parts), problems

    def _object_layout(self, names: tuple[str, ...]) -> _Layout | str:
        """Return what the members of a JSON object mean, or the problem with their names."""
        found = self._layouts.get(names)
        if found is None:
            try:
                found = self._layout_of(names, is_header=False)
                self._tell_unused(found.columns.unused)
            except ConfigurationError as error:
                found = str(error)
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[names] = found
        return found

    def _layout_of(self, names: Sequence[str], *, is_header: bool) -> _Layout:
        columns = columns_of(
            names, self._columns, has_text=self._has_text, placeholders=self._placeholders, is_header=is_header
        )
        fields = columns.fields
        filling = [
            each if isinstance(each, str) else (each, columns.values.get(matching_name(each.name)))
            for each in self._pieces
        ]
        is_plain = not fields.keys() - _PLAIN
        plain_runs = None
        if is_plain and is_header and self._has_plain_defaults:
            plain_runs = PlainRuns.of(fields, filling, self._normalize, self._country, self._defaults.get("sender"))
        return _Layout(
            columns=columns,
            filling=filling,
            to=fields.get("to"),
            text=fields.get("text"),
            sender=fields.get("sender"),
            is_plain=is_plain,
            plain_runs=plain_runs,
        )

    def _tell_unused(self, names: Sequence[str]) -> None:
        new = [each for each in names if each not in self._unused]
        if new and len(self._unused) < _MAX_UNUSED:
            self._unused.update(new)
            which = "this column is" if len(new) == 1 else "these columns are"
            self._on_note(f"{which} not used: {shown_names(new)}")
