"""Template: one text for many messages. Each row of values makes one message.

What may stand between braces is in placeholders.py. How many rows are checked and encoded at once is in filling.py.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, final, overload

from attrs import field, frozen

from ..checks import require_callable
from ..errors import ConfigurationError, InvalidMessage, Reason
from ..redaction import forgets_arguments, mask_phones
from .filling import AsyncFilled, Filled, Form, Layout, OnInvalid
from .message import Message, Priority
from .placeholders import Placeholder, has_no_value, matching_name, parse

__all__ = ["Template"]

# The fields of a message that a row may have. A row's own value takes the place of the template's.
_FIELDS = ("sender", "to", "text", "validity", "scheduled_time", "priority", "callback_url", "options")
# Rows usually have the same names in the same order. What the names mean is kept for this many kinds of rows.
_MAX_LAYOUTS = 64
_ANY_NUMBER = "79000000000"


@final
@forgets_arguments
@frozen(init=False, repr=False)
class Template:
    """A message whose text has placeholders, to be filled with rows.

    `{name}` stands for the value of `name` in a row, and `{name|default}` for the default where the row has none.
    `{name:>10}` gives a value a width, and `{day:%d.%m.%Y}` a date its form. `{{` and `}}` are braces. Names are
    compared without regard to case and to spaces around them, and may hold any characters except `{ } : |`.

    A row is a mapping with `to` and the values. Its values are only inserted, so braces in them stay as they are. A
    value that is None, empty or blank counts as missing. If a row has other fields of a message, such as `sender`,
    `text` or `validity`, they take the place of the template's. Such a `text` is sent as it is.

    All other arguments are those of Message. Raises InvalidMessage if no message could be made, for example if a brace
    is never closed. The repr does not show the text.
    """

    sender: str
    text: str
    validity: int | None
    scheduled_time: datetime | None
    priority: Priority | None
    callback_url: str | None
    options: Mapping[str, str] | None = field(hash=False)
    fields: tuple[str, ...] = field(eq=False)
    """The names of the placeholders, each once."""
    form: Form = field(eq=False)
    """How rows become texts, for the modules beside this one."""
    _given: Mapping[str, Any] = field(eq=False)
    _layouts: dict[tuple[object, ...], Layout] = field(eq=False)

    def __init__(
        self,
        *,
        sender: str,
        text: str,
        validity: int | timedelta | None = None,
        scheduled_time: datetime | None = None,
        priority: Priority | str | None = None,
        callback_url: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        kind: object = text
        pieces, problems = parse(text) if isinstance(kind, str) else ([], [])
        literal = "".join(each for each in pieces if isinstance(each, str))
        try:
            made = Message(
                sender=sender,
                to=_ANY_NUMBER,
                # A text may consist of placeholders alone.
                text=literal or ("x" if len(pieces) > 1 else text),
                validity=validity,
                scheduled_time=scheduled_time,
                priority=priority,
                callback_url=callback_url,
                options=options,
            )
        except InvalidMessage as error:
            problems += error.problems
        if problems:
            raise InvalidMessage(problems)
        form = Form.of(pieces, made)
        names: dict[str, str] = {}
        for each in form.placeholders:
            names.setdefault(matching_name(each.name), each.name)
        given = {name: getattr(made, name) for name in _FIELDS if name not in {"to", "text"}}
        values = {
            **given,
            "text": str.__str__(text),
            "_given": {name: value for name, value in given.items() if value is not None},
            "fields": tuple(names.values()),
            "form": form,
            "_layouts": {},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return (
            f"Template(sender={mask_phones(self.sender)!r}, text=<{len(self.text)} characters>, "
            f"<{len(self.fields)} fields>)"
        )

    def __reduce__(self) -> tuple[Callable[..., "Template"], tuple[()]]:
        values = {name: getattr(self, name) for name in _FIELDS if name != "to"}
        if self.options is not None:
            values["options"] = dict(self.options)
        return partial(Template, **values), ()

    def message(self, row: Mapping[str, object]) -> Message:
        """Return the message of one row. Raises InvalidMessage with everything that is wrong with the row."""
        made = self.message_or_problems(row)
        # Error trackers record the locals of frames, so this frame must not hold personal data.
        del row
        if isinstance(made, Message):
            return made
        raise InvalidMessage(made)

    @overload
    def fill(self, rows: Iterable[Mapping[str, object]], on_invalid: OnInvalid | None = None) -> Filled: ...
    @overload
    def fill(self, rows: AsyncIterable[Mapping[str, object]], on_invalid: OnInvalid | None = None) -> AsyncFilled: ...
    def fill(
        self,
        rows: Iterable[Mapping[str, object]] | AsyncIterable[Mapping[str, object]],
        on_invalid: OnInvalid | None = None,
    ) -> Filled | AsyncFilled:
        """Return the messages of many rows, to be sent by `send_many` or `send_all`. The rows are read lazily.

        A stream of receipts checks and encodes dozens of rows at once, which is twice as fast as single messages, and
        makes the message of a receipt when it is asked for. A row that cannot be a message goes to
        `on_invalid(position, row, error)` and is left out. Without `on_invalid` the stream ends there: InvalidMessage
        with the `position` of the row is raised after the receipts of all rows before it. Positions count from 0.
        Some of the rows after it may have been read, but none is sent.
        """
        require_callable("on_invalid", on_invalid)
        if iscoroutinefunction(on_invalid):
            raise ConfigurationError("on_invalid must be a plain function, not an async one")
        if isinstance(rows, AsyncIterable):
            return AsyncFilled(self, rows, on_invalid)
        return Filled(self, rows, on_invalid)

    def message_or_problems(self, row: object) -> Message | list[Reason]:
        """Return the message of one row, or everything that is wrong with the row."""
        values = _as_dict(row)
        if values is None:
            return [Reason("invalid", "row", f"must be a mapping of names to values, not {type(row).__name__}")]
        layout = self.layout_of(tuple(values))
        problems = [*layout.problems]
        own = {name: values[key] for name, key in layout.own.items() if not has_no_value(values[key])}
        if "text" not in own:
            shown = [
                placeholder.shown(None if key is None else values[key])
                for placeholder, key in zip(self.form.placeholders, layout.keys, strict=True)
            ]
            problems += [each for each in shown if not isinstance(each, str)]
            # With any text at all, Message finds what else is wrong.
            own["text"] = self.form.text % tuple(["?" for _ in shown] if problems else shown)
        try:
            # A row without a recipient gets the problem of a wrong one.
            message = Message(**{"to": "", **self._given, **own})
        except InvalidMessage as error:
            problems += error.problems
        return problems or message

    def layout_of(self, names: tuple[object, ...]) -> Layout:
        """Return where a row with these names has the values of placeholders and the fields of the message."""
        found = self._layouts.get(names)
        if found is None:
            found = self._laid_out(names)
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[names] = found
        return found

    def _laid_out(self, names: tuple[object, ...]) -> Layout:
        alike: dict[str, list[str]] = {}
        for each in names:
            if isinstance(each, str):
                alike.setdefault(matching_name(each), []).append(each)
        problems: list[Reason] = []

        def key_of(name: str) -> str | None:
            keys = alike.get(matching_name(name), [])
            if len(keys) < 2 or name in keys:
                return name if name in keys else next(iter(keys), None)
            shown = Placeholder(name).shown_name
            problems.append(Reason("invalid", "row", f"has {len(keys)} values for {shown}. Keep one of them"))
            return None

        own = {name: key for name in _FIELDS if (key := key_of(name)) is not None}
        keys = [key_of(each.name) for each in self.form.placeholders]
        return Layout(own, keys, problems)


def _as_dict(row: object) -> dict[object, object] | None:
    """Return a row as a dict. A record of a database driver is a mapping too, if it has keys."""
    if type(row) is dict:
        return row
    try:
        return dict(row) if callable(getattr(row, "keys", None)) else None  # type: ignore[call-overload]
    except Exception:  # noqa: BLE001 - its text may hold the values
        return None
