"""What must never be seen, and everything of an error that somebody may see."""

import base64
import json
import traceback
from collections.abc import Iterable, Iterator
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
    """Everything of an error that may end up before somebody's eyes."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield from map(str, vars(error).values())
    yield from getattr(error, "__notes__", ())
    # The lines of the traceback are code; without them it is quick enough for thousands of errors.
    yield from traceback.format_exception(error, limit=0)


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
