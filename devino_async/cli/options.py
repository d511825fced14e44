"""Options that several commands share: the connection to the service, and types of values.

Options of one command are in the command's file.
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

__all__ = ["connection", "connection_of", "moment", "upper"]

F = TypeVar("F", bound=Callable[..., Any])


def connection(command: F) -> F:
    """Add the options of every command that calls the service."""
    for option in (
        click.option("--base-url", help="Default: $DEVINO_BASE_URL, or https://api.devino.online."),
        click.option("--password", help="Default: $DEVINO_PASSWORD."),
        click.option("--login", help="Default: $DEVINO_LOGIN."),
        click.option("--api-key", help="Default: $DEVINO_API_KEY. Other users can see a command line."),
    ):
        command = option(command)
    return command


def connection_of(options: dict[str, Any]) -> dict[str, Any]:
    """Take these options out, as arguments of a client. Either of login and password may be in the environment."""
    given = {name: options.pop(name) for name in ("api_key", "login", "password", "base_url")}
    if given["api_key"] is None and (given["login"] is None) != (given["password"] is None):
        for name in ("login", "password"):
            given[name] = given[name] or os.environ.get(f"DEVINO_{name.upper()}")
    return given


# Types are plain functions: click.ParamType can be subclassed with strict types only since click 8.4.


def moment(value: str) -> datetime:
    """Convert a date, or a date and time."""
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ss") from None


def upper(value: str) -> str:
    """Convert a name that the service writes in capitals."""
    return value.upper()
