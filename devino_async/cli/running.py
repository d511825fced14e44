"""What all commands share: credentials, a client, exit statuses, and where words go. What is asked is the commands'."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import click

from ..config import DEFAULT_BASE_URL

__all__ = ["FAILED", "INTERRUPTED", "MESSAGES_FAILED", "MOMENT", "USAGE", "as_json", "connection", "run", "say", "stop"]

F = TypeVar("F", bound=Callable[..., Any])

MESSAGES_FAILED = 1
USAGE = 2
FAILED = 3
INTERRUPTED = 130


class _Moment(click.ParamType[datetime]):
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


def connection(command: F) -> F:
    """The options of every command that talks to the service."""
    for option in (
        click.option("--base-url", help=f"Default: $DEVINO_BASE_URL, or {DEFAULT_BASE_URL}."),
        click.option("--password", help="Default: $DEVINO_PASSWORD."),
        click.option("--login", help="Default: $DEVINO_LOGIN."),
        click.option("--api-key", help="Default: $DEVINO_API_KEY. Others can see what stands on a command line."),
    ):
        command = option(command)
    return command


def say(text: str) -> None:
    """Words for the person at the terminal."""
    click.echo(text, err=True)


def stop(text: str, status: int) -> NoReturn:
    """Say why and leave."""
    say(f"devino: {text}")
    sys.exit(status)


def run(work: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run a command to its end and leave with its exit status; no traceback for what is foreseen."""
    from devino_async import ConfigurationError, DevinoError, InvalidMessage, InvalidQuery  # noqa: PLC0415

    try:
        status = asyncio.run(work)
    except (ConfigurationError, InvalidMessage, InvalidQuery) as error:
        stop(str(error), USAGE)
    except DevinoError as error:
        stop(str(error), FAILED)
    except KeyboardInterrupt:
        stop("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(status or 0)


def as_json(value: Any) -> str:
    """One line of JSON; dates in ISO 8601 and money as text, so that nothing is rounded."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple | set) else dict(value)
