"""What must never be seen, and everything of an error that a person or an error tracker may see."""

import base64
import json
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from fault_check import KEY, messages

LOGIN = "lab-login-71c5"
PASSWORD = "pa55 %41&amp;<wörd>'"
TOKEN = base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
PHONE = messages(1)[0].to
TEXT = "доставки"
CREDENTIALS = (KEY, LOGIN, PASSWORD, TOKEN)
SECRETS = (
    *(TEXT, PHONE, *CREDENTIALS),
    base64.b64encode(KEY.encode()).decode(),
    # Parts of the password that no decoding changes, or each in its own way.
    *("pa55", "wörd", *(json.dumps(each)[1:-1] for each in (TEXT, "wörd"))),
)
assert TEXT in messages(1)[0].text


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, everything that it was raised from or during, and the earlier errors that it holds."""
    todo, known = [error], set()
    while todo:
        each = todo.pop()
        if id(each) not in known:
            known.add(id(each))
            yield each
            todo += [other for other in (each.__cause__, each.__context__) if other is not None]
            todo += getattr(each, "earlier", ())


def shown(error: BaseException) -> Iterator[str]:
    """Everything of an error that a person may see."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield from map(str, vars(error).values())
    yield from getattr(error, "__notes__", ())
    # The lines of the traceback are code. Without them it is quick enough for thousands of errors.
    yield from traceback.format_exception(error, limit=0)


TESTS = str(Path(__file__).parents[1])
CONTAINERS = list | tuple | set | frozenset


def frames(error: BaseException) -> Iterator[FrameType]:
    """The frames of an error's traceback. Those of the tests are left out, as a program's own frames are its own."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not frame.f_code.co_filename.startswith(TESTS):
            yield frame


def recorded(error: BaseException) -> Iterator[str]:
    """What an error tracker keeps of an error: the locals of each frame, and what stands in their plain containers."""
    for frame in frames(error):
        where = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
        for name, value in frame.f_locals.items():
            yield f"{where}: {name} = {value!r}"
            yield from (f"{where}: in {name}: {text}" for text in plain(value))
    # The same as the standard library writes it.
    for summary in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        if not summary.filename.startswith(TESTS):
            yield str(summary.locals)


def plain(value: Any, depth: int = 8) -> Iterator[str]:
    """The texts in a value that is one, or a container of the standard kinds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping) and depth:
        for pair in list(value.items()):
            yield from plain(pair, depth - 1)
    elif isinstance(value, CONTAINERS) and depth:
        for each in value:
            yield from plain(each, depth - 1)


def strangers(error: BaseException) -> Iterator[str]:
    """Frames and objects of aiohttp that hang on an error: they hold the request and the Authorization header."""
    for frame in frames(error):
        where = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
        if where.startswith("aiohttp"):
            yield where
        for name, value in [*frame.f_locals.items(), *vars(error).items()]:
            if type(value).__module__.startswith("aiohttp"):
                yield f"{where}: {name} is {type(value).__name__}"


def logged(records: Iterable[Any]) -> Iterator[str]:
    """Everything of log records, whoever wrote them."""
    for record in records:
        yield record.getMessage() + repr(record.args) + (record.exc_text or "")
        if record.exc_info and record.exc_info[1] is not None:
            yield from shown(record.exc_info[1])


def leaks(texts: Iterable[str]) -> list[str]:
    """The texts that show what must never be seen, with the first such thing."""
    return [f"{secret!r} in {text[:400]}" for text in texts for secret in SECRETS if secret in text][:9]


def foreign(errors: Iterable[BaseException]) -> list[BaseException]:
    """Errors of other libraries, which hold the request with all that is in it."""
    return [each for each in errors if not type(each).__module__.startswith("devino_async")]
