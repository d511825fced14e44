"""Filling: the rows of a template become messages, dozens at a time.

A run of rows is checked as a whole and encoded straight to JSON. Its messages are made when they are asked for. A run
with anything unusual in it is made message by message. The outcome is the same, which a property test checks.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any, Protocol, overload

from attrs import field, frozen

from ..errors import InvalidMessage, Reason
from .message import SURELY_SHORT, Message, encodable, made_again
from .packing import Fields, rest_of
from .placeholders import Placeholder
from .sending import encode, encoded_rest

__all__ = ["AsyncFilled", "Filled", "FilledRun", "Form", "Layout", "OnInvalid", "RowRun", "RowRuns"]

OnInvalid = Callable[[int, Any, InvalidMessage], object]
"""Gets the position of a row, the row, and what is wrong with it."""


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
    """A template as format strings with `%s` for each value: of the text, and of the JSON of a whole message."""

    sender: str
    rest: Any
    text: str
    wire: str
    length: int
    """How many characters the text has without its values."""
    placeholders: tuple[Placeholder, ...]

    @classmethod
    def of(cls, pieces: Sequence[str | Placeholder], probe: Message) -> "Form":
        """Make the format strings. `probe` is any message of the template. Only its text and recipient differ."""
        literals = [each for each in pieces if isinstance(each, str)]
        head = f'{{"from":{encode_basestring(probe.sender)},"to":"'
        escaped = "%s".join(_doubled(encode_basestring(each)[1:-1]) for each in literals)
        return cls(
            sender=probe.sender,
            rest=rest_of(probe),
            text="%s".join(map(_doubled, literals)),
            wire=f'{_doubled(head)}%s","text":"{escaped}"{_doubled(encoded_rest(probe))}}}',
            length=sum(map(len, literals)),
            placeholders=tuple(each for each in pieces if isinstance(each, Placeholder)),
        )


def _doubled(text: str) -> str:
    return text.replace("%", "%%")


class FilledRun(Sequence[Message]):
    """Messages that are not made yet: recipients, and the values of each placeholder as they are shown."""

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

    def _texts(self) -> Iterable[str]:
        values = zip(*self._columns, strict=True) if self._columns else repeat((), len(self._tos))
        return map(self._form.text.__mod__, values)


@frozen
class RowRun:
    """A run of messages with their JSON: joined by commas in `joined`, and one by one from `each`."""

    items: Sequence[Message]
    joined: bytes
    _each: Callable[[], Iterable[str]] = field(repr=False)

    def each(self) -> Iterator[bytes]:
        """Yield the JSON of each message."""
        return map(str.encode, self._each())


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
        texts = list(encode(messages))
        return RowRun(messages, ",".join(texts).encode(), lambda: texts), failure

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
        names = set(map(tuple, rows))
        layout = self._template.layout_of(names.pop())
        if names or layout.own.keys() != {"to"} or layout.problems:
            return None
        tos = _recipients([row[layout.own["to"]] for row in rows])
        if tos is None:
            return None
        form, columns, length = self._form, [], self._form.length
        for placeholder, key in zip(form.placeholders, layout.keys, strict=True):
            column = _shown(placeholder, [None] * len(rows) if key is None else [row[key] for row in rows])
            if column is None:
                return None
            columns.append(column)
            length += max(map(len, column))
        return _encoded(form, tos, columns) if length <= SURELY_SHORT else None


def _recipients(tos: list[Any]) -> list[str] | None:
    """Return recipients as Message keeps them, or None if one of them may be wrong."""
    if set(map(type, tos)) != {str}:
        return None
    digits = "".join(tos)
    if "+" in digits:
        tos = [each.removeprefix("+") for each in tos]
        digits = "".join(tos)
    lengths = list(map(len, tos))
    good = digits.isdigit() and digits.isascii() and min(lengths) >= 7 and max(lengths) <= 15
    return tos if good and tos[0][0] != "0" and ",0" not in ",".join(tos) else None


def _shown(placeholder: Placeholder, values: list[Any]) -> list[str] | None:
    """Return values as the placeholder shows them, or None if one of them is wrong."""
    if not placeholder.format and set(map(type, values)) == {str} and all(map(str.strip, values)):
        return values
    shown = list(map(placeholder.shown, values))
    return shown if set(map(type, shown)) == {str} else None  # type: ignore[return-value]


def _encoded(form: Form, tos: list[str], columns: list[list[str]]) -> RowRun | None:
    escaped = []
    for column in columns:
        joined = "".join(column)
        if not joined.isascii() and not encodable(joined):
            return None
        whole = encode_basestring(joined)
        # Quotes are added in any case, so a longer text was escaped.
        escaped.append(column if len(whole) == len(joined) + 2 else [encode_basestring(each)[1:-1] for each in column])
    width = 1 + len(columns)
    values: list[str] = [""] * (width * len(tos))
    values[::width] = tos
    for number, column in enumerate(escaped, 1):
        values[number::width] = column
    # One format string for all of them takes half the time of one for each.
    joined = ",".join([form.wire] * len(tos)) % tuple(values)
    return RowRun(
        FilledRun(form, tos, columns),
        joined.encode(),
        lambda: [form.wire % each for each in zip(tos, *escaped, strict=True)],
    )
