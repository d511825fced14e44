"""Words, streams, signals and exit statuses: how every command talks to its terminal and ends.

Data goes to stdout, words for people to stderr. Calls of the service are in the commands' files.
"""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn

import click

import devino_async

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "MESSAGES_FAILED",
    "USAGE",
    "as_json",
    "on_signal",
    "printable",
    "run",
    "say",
    "silence",
    "stop",
]

MESSAGES_FAILED = 1
USAGE = 2
FAILED = 3
INTERRUPTED = 130


def say(text: str) -> None:
    """Write words for people to stderr. A closed stderr does not stop the work."""
    with suppress(OSError):
        click.echo(text, err=True)


def stop(text: str, status: int) -> NoReturn:
    """Say why and leave."""
    say(f"devino: {text}")
    sys.exit(status)


def run(work: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run a command to its end and leave with its exit status. Foreseen errors give one line, not a traceback."""
    _accept_any_text(sys.stdout)
    try:
        status = asyncio.run(work)
        sys.stdout.flush()
    except (devino_async.ConfigurationError, devino_async.InvalidMessage, devino_async.InvalidQuery) as error:
        stop(str(error), USAGE)
    except devino_async.DevinoError as error:
        stop(str(error), FAILED)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough.
        silence(sys.stdout)
        sys.exit(0)
    except OSError as error:
        stop(error.strerror or type(error).__name__, FAILED)
    sys.exit(status or 0)


def _accept_any_text(file: Any) -> None:
    """Make writing never fail for a character. Files and pipes get UTF-8, and what cannot be encoded is escaped."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(encoding=None if file.isatty() else "utf-8", errors="backslashreplace")


def silence(file: Any) -> None:
    """Redirect a file without a reader to nowhere, or Python would complain when it closes the file at the end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def on_signal(number: int, call: Callable[[], object]) -> None:
    """Have the event loop call this when the signal comes."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))


def as_json(value: Any) -> str:
    """Return one line of JSON. Dates are ISO 8601, and amounts are strings, so nothing is rounded."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple | set) else dict(value)


def printable(value: Any) -> str:
    """Return a cell of a table for people: nothing for None, and no character that would move the cursor."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in text)
