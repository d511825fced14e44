"""Filling: the rows of a template become messages, dozens at a time.

A run of rows is checked as a whole and encoded straight to JSON. Its messages are made when they are asked for. A run
with anything unusual in it is made message by message. The outcome is the same, which a property test checks.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, Protocol, overload

from attrs import field, frozen

from ..errors import InvalidMessage, Reason
from .message import SURELY_SHORT, Message, made_again
from .packing import Fields, rest_of
from .placeholders import Placeholder, all_filled
from .sending import encode, encoded_rest

__all__ = ["AsyncFilled", "Filled", "FilledRun", "Form", "Layout", "OnInvalid", "RowRun", "RowRuns"]

# The number of digits of a recipient.
_LENGTHS = frozenset(range(7, 16))

OnInvalid = Callable[[int, Any, InvalidMessage], object]
"""Called with the position of a row, the row, and what is wrong with it."""


@frozen
class Layout:
    """Where rows with certain names have their values.

    `own` maps the message fields that the rows have to their keys. `keys` holds the key of each placeholder, or None
    without one. `problems` is what is wrong with the names.
    """

    own: Mapping[str, str]
    keys: Sequence[str | None]
    problems: Sequence[Reason]


class Filler(Protocol):
    """What is needed of a Template."""

    @property
    def form(self) -> "Form": ...

    def message_or_problems(self, row: object) -> Message | list[Reason]: ...

    def layout_of(self, names: tuple[object, ...]) -> Layout: ...


@frozen(repr=False)
class Filled(Iterable[Message]):
    """The messages of a template and many rows."""

    template: Filler
    rows: Iterable[Any]
    on_invalid: OnInvalid | None = None

    def __repr__(self) -> str:
        return f"Filled({self.template!r})"

    def __iter__(self) -> Iterator[Message]:
        runs = RowRuns(self)
        for row in self.rows:
            messages, failure = runs.one(row)
            # Error trackers record the locals of frames, so this frame must not hold personal data.
            del row
            if failure is not None:
                raise failure
            yield from messages


@frozen(repr=False)
class AsyncFilled(AsyncIterable[Message]):
    """The messages of a template and many rows that come one by one."""

    template: Filler
    rows: AsyncIterable[Any]
    on_invalid: OnInvalid | None = None

    def __repr__(self) -> str:
        return f"AsyncFilled({self.template!r})"

    async def __aiter__(self) -> AsyncIterator[Message]:
        runs = RowRuns(self)
        async for row in self.rows:
            messages, failure = runs.one(row)
            del row
            if failure is not None:
                raise failure
            for message in messages:
                yield message


@frozen(repr=False)
class Form:
    """A template taken apart, so that rows are filled in fast.

    `text` is a format string with `%s` for each value. `wire` is the JSON of a message after a comma, with empty pieces
    for the recipient and each value.
    """

    sender: str
    rest: Any
    text: str
    wire: list[bytes]
    length: int
    """How many characters the text has without its values."""
    placeholders: tuple[Placeholder, ...]

    @classmethod
    def of(cls, pieces: Sequence[str | Placeholder], probe: Message) -> "Form":
        """Take a template apart. `probe` is any message of it: they differ only in the text and the recipient."""
        literals = [each for each in pieces if isinstance(each, str)]
        wire = [f',{{"from":{encode_basestring(probe.sender)},"to":"', "", '","text":"']
        for number, each in enumerate(literals):
            wire[-1] += encode_basestring(each)[1:-1]
            if number < len(literals) - 1:
                wire += ["", ""]
        wire[-1] += f'"{encoded_rest(probe)}}}'
        return cls(
            sender=probe.sender,
            rest=rest_of(probe),
            text="%s".join(each.replace("%", "%%") for each in literals),
            wire=[each.encode() for each in wire],
            length=sum(map(len, literals)),
            placeholders=tuple(each for each in pieces if isinstance(each, Placeholder)),
        )


class FilledRun(Sequence[Message]):
    """Messages that are not made yet: recipients, and the values of each placeholder as they are shown.

    It owns the lists that it is given, so no two of them may be the same one.
    """

    __slots__ = ("_columns", "_form", "_tos")

    def __init__(self, form: Form, tos: list[str], columns: list[list[str]]) -> None:
        self._form, self._tos, self._columns = form, tos, columns

    def __len__(self) -> int:
        return len(self._tos)

    def __iter__(self) -> Iterator[Message]:
        form, count = self._form, len(self._tos)
        return iter(made_again(repeat(form.sender, count), self._tos, self._texts(), repeat(form.rest, count)))

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> "FilledRun": ...
    def __getitem__(self, at: int | slice) -> "Message | FilledRun":
        if isinstance(at, slice):
            return FilledRun(self._form, self._tos[at], [each[at] for each in self._columns])
        form = self._form
        text = form.text % tuple([each[at] for each in self._columns])
        [message] = made_again([form.sender], [self._tos[at]], [text], [form.rest])
        return message

    def fields(self) -> Iterable[Fields]:
        """Return sender, recipient, text and the other fields of each message, without making it."""
        form, count = self._form, len(self._tos)
        return zip(repeat(form.sender, count), self._tos, self._texts(), repeat(form.rest, count), strict=True)

    def absorb(self, following: object) -> bool:
        """Take over the messages of the run that follows. Return False if it is not of the same template."""
        if not isinstance(following, FilledRun) or following._form is not self._form:
            return False
        self._tos.extend(following._tos)
        for column, more in zip(self._columns, following._columns, strict=True):
            column.extend(more)
        return True

    def _texts(self) -> Iterable[str]:
        values = zip(*self._columns, strict=True) if self._columns else repeat((), len(self._tos))
        return map(self._form.text.__mod__, values)


@frozen
class RowRun:
    """A run of messages with their JSON: joined by commas in `joined`, and one by one from `each`."""

    items: Sequence[Message]
    joined: bytes
    _each: Iterable[bytes] = field(repr=False)

    def each(self) -> Iterable[bytes]:
        """Return the JSON of each message, once."""
        return self._each


class RowRuns:
    """Makes runs of messages from the rows of one stream, in order."""

    def __init__(self, filled: Filled | AsyncFilled) -> None:
        self._template = filled.template
        self._on_invalid = filled.on_invalid
        self._form = filled.template.form
        # An empty text is only found message by message.
        self._may_be_empty = not self._form.length and all(each.default == "" for each in self._form.placeholders)
        self._position = 0

    def one(self, row: object) -> tuple[list[Message], Exception | None]:
        """Return the message of the next row, unless `on_invalid` got it, or its failure. Nothing is raised here."""
        return self._one_by_one([row])

    def make(self, rows: list[Any]) -> tuple[RowRun, Exception | None]:
        """Return the messages of the next rows, up to the first failure: InvalidMessage, or what `on_invalid` raised.

        Nothing is raised here. The frames of a traceback must not hold rows.
        """
        made = self._at_once(rows)
        if made is not None:
            self._position += len(rows)
            return made, None
        messages, failure = self._one_by_one(rows)
        each = [text.encode() for text in encode(messages)]
        return RowRun(messages, b",".join(each), each), failure

    def _one_by_one(self, rows: list[Any]) -> tuple[list[Message], Exception | None]:
        messages: list[Message] = []
        for row in rows:
            made = self._template.message_or_problems(row)
            position = self._position
            self._position += 1
            if isinstance(made, Message):
                messages.append(made)
                continue
            error = InvalidMessage(made)
            error.position = position
            error.add_note(f"in row {position}, counted from 0")
            if self._on_invalid is None:
                return messages, error
            try:
                self._on_invalid(position, row, error)
            except Exception as failure:  # noqa: BLE001 - raised later, after the messages before it
                trace = failure.__traceback__
                return messages, failure.with_traceback(None if trace is None else trace.tb_next)
        return messages, None

    def _at_once(self, rows: list[Any]) -> RowRun | None:
        """Return a run of rows that are all alike and all valid, or None for anything unusual."""
        if set(map(type, rows)) != {dict} or self._may_be_empty:
            return None
        names = tuple(rows[0])
        layout = self._template.layout_of(names)
        if layout.own.keys() != {"to"} or layout.problems or set(map(len, rows)) != {len(names)}:
            return None
        try:
            # A row with as many names as the first one, and with all of its names, has the same names.
            cells = {name: list(map(itemgetter(name), rows)) for name in names}
        except KeyError:
            return None
        tos = _recipients(cells[layout.own["to"]])
        if tos is None:
            return None
        columns: list[list[str]] = []
        for placeholder, key in zip(self._form.placeholders, layout.keys, strict=True):
            column = _shown(placeholder, [None] * len(rows) if key is None else cells[key])
            if column is None:
                return None
            columns.append(column)
        return _encoded(self._form, tos, columns)


def _recipients(tos: list[Any]) -> list[str] | None:
    """Return recipients as Message keeps them, or None if one of them may be wrong."""
    if set(map(type, tos)) != {str}:
        return None
    digits = "".join(tos)
    if "+" in digits:
        tos = [each.removeprefix("+") for each in tos]
        digits = "".join(tos)
    good = digits.isdigit() and digits.isascii() and _LENGTHS.issuperset(map(len, tos))
    return tos if good and ",0" not in f",{','.join(tos)}" else None


def _shown(placeholder: Placeholder, values: list[Any]) -> list[str] | None:
    """Return values as the placeholder shows them, or None if one of them is wrong."""
    if not placeholder.format and set(map(type, values)) == {str} and all_filled(values):
        return values
    shown = list(map(placeholder.shown, values))
    return shown if set(map(type, shown)) == {str} else None  # type: ignore[return-value]


def _encoded(form: Form, tos: list[str], columns: list[list[str]]) -> RowRun | None:
    """Return a run of good recipients and values, or None if a text may be too long or cannot be encoded."""
    joined = ["".join(column) for column in columns]
    # Most runs are shorter in total than one text may be.
    if form.length + sum(map(len, joined)) > SURELY_SHORT:
        longest = [max(map(len, column)) for column in columns]
        if form.length + sum(longest) > SURELY_SHORT:
            return None
    width = len(form.wire)
    pieces = form.wire * len(tos)
    # The comma before the first message.
    pieces[0] = pieces[0][1:]
    try:
        for number, column in enumerate([tos, *map(_escaped, columns, joined)]):
            pieces[1 + 2 * number :: width] = map(str.encode, column)
    except UnicodeEncodeError:
        return None
    # Joining encoded pieces takes a third of the time of a format string.
    each = (b"".join(pieces[at : at + width]).removeprefix(b",") for at in range(0, len(pieces), width))
    return RowRun(FilledRun(form, tos, list(map(list, columns))), b"".join(pieces), each)


def _escaped(values: list[str], joined: str) -> list[str]:
    """Return values as they appear in JSON, without the quotes around them."""
    # A text that was not escaped only got two quotes.
    if len(encode_basestring(joined)) == len(joined) + 2:
        return values
    return [encode_basestring(each)[1:-1] for each in values]
