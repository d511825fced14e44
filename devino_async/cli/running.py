"""What all commands share: credentials, exit statuses, signals, and where words and data go.

What is asked of the service is the commands'.
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
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "MESSAGES_FAILED",
    "MOMENT",
    "UPPER",
    "USAGE",
    "as_json",
    "connection",
    "connection_of",
    "on_signal",
    "printable",
    "run",
    "say",
    "silence",
    "stop",
    "writable",
]

F = TypeVar("F", bound=Callable[..., Any])

MESSAGES_FAILED = 1
USAGE = 2
FAILED = 3
INTERRUPTED = 130


if TYPE_CHECKING:
    _Kind = click.ParamType[datetime]
else:  # Before click 8.4 it has no parameter.
    _Kind = click.ParamType


class _Moment(_Kind):
    """A date, or a date and time."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail("must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ss", param, ctx)


MOMENT = _Moment()


class _Upper(click.ParamType[str]):
    """A name that the service writes in capitals."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        del param, ctx
        return value.upper()


UPPER = _Upper()


def connection(command: F) -> F:
    """The options of every command that talks to the service."""
    for option in (
        click.option("--base-url", help="Default: $DEVINO_BASE_URL, or https://api.devino.online."),
        click.option("--password", help="Default: $DEVINO_PASSWORD."),
        click.option("--login", help="Default: $DEVINO_LOGIN."),
        click.option("--api-key", help="Default: $DEVINO_API_KEY. Others can see what stands on a command line."),
    ):
        command = option(command)
    return command


def connection_of(options: dict[str, Any]) -> dict[str, Any]:
    """Takes those options out, as arguments of a client. Of login and password, one may come from the environment."""
    given = {name: options.pop(name) for name in ("api_key", "login", "password", "base_url")}
    if given["api_key"] is None and (given["login"] is None) != (given["password"] is None):
        for name in ("login", "password"):
            given[name] = given[name] or os.environ.get(f"DEVINO_{name.upper()}")
    return given


def say(text: str) -> None:
    """Words for the person at the terminal; if nobody can hear them, the work goes on."""
    with suppress(OSError):
        click.echo(text, err=True)


def stop(text: str, status: int) -> NoReturn:
    """Say why and leave."""
    say(f"devino: {text}")
    sys.exit(status)


def run(work: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run a command to its end and leave with its exit status; no traceback for what is foreseen."""
    from devino_async import ConfigurationError, DevinoError, InvalidMessage, InvalidQuery  # noqa: PLC0415

    writable(sys.stdout)
    try:
        status = asyncio.run(work)
        sys.stdout.flush()
    except (ConfigurationError, InvalidMessage, InvalidQuery) as error:
        stop(str(error), USAGE)
    except DevinoError as error:
        stop(str(error), FAILED)
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has seen enough.
        silence(sys.stdout)
        sys.exit(0)
    except OSError as error:
        stop(error.strerror or type(error).__name__, FAILED)
    sys.exit(status or 0)


def writable(file: Any) -> None:
    """Any text can be written from now on, in UTF-8 unless it is a terminal; what is no text comes escaped."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(encoding=None if file.isatty() else "utf-8", errors="backslashreplace")


def silence(file: Any) -> None:
    """Nothing more gets out of a file that nobody reads, nor any complaint when Python closes it at the end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def on_signal(number: int, call: Callable[[], object]) -> None:
    """Has the event loop call this when the signal comes."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))


def as_json(value: Any) -> str:
    """One line of JSON; dates in ISO 8601 and money as text, so that nothing is rounded."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple | set) else dict(value)


def printable(value: Any) -> str:
    """A cell of a table for people: nothing for None, and no character that would move a terminal's cursor."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in text)
