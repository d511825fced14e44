"""Options that several commands share: the connection to the service, and types of values.

Options of a single command are in that command's file.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import click

import devino_async

from .console import say

__all__ = ["connection", "connection_of", "excel", "moment", "time_zone", "upper", "zone"]

F = TypeVar("F", bound=Callable[..., Any])
# Proxy variables that other programs use. The library ignores them, so the user must be told.
_FOREIGN_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def connection(command: F) -> F:
    """Add the options of every command that calls the service."""
    for option in (
        click.option("--proxy", metavar="URL", help="An HTTP proxy. Default: $DEVINO_PROXY, or none."),
        click.option("--base-url", help="Default: $DEVINO_BASE_URL, or https://api.devino.online."),
        click.option("--password", help="Default: $DEVINO_PASSWORD."),
        click.option("--login", help="Default: $DEVINO_LOGIN."),
        click.option("--api-key", help="Default: $DEVINO_API_KEY. Other users can see command lines."),
    ):
        command = option(command)
    return command


def connection_of(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of the connection and return them as arguments for a client.

    The login or the password may come from the environment. Raises ConfigurationError if the proxy cannot be used.
    """
    given = {name: options.pop(name) for name in ("api_key", "login", "password", "base_url")}
    if given["api_key"] is None and (given["login"] is None) != (given["password"] is None):
        for name in ("login", "password"):
            given[name] = given[name] or os.environ.get(f"DEVINO_{name.upper()}")
    # The URL may hold a password, so it is never printed.
    proxy = options.pop("proxy") or os.environ.get("DEVINO_PROXY")
    if proxy:
        given["pool"] = devino_async.PoolOptions(proxy=proxy)
    elif unused := next((name for name in _FOREIGN_PROXIES if os.environ.get(name)), None):
        say(f"{unused} is set but not used; devino takes its proxy from --proxy or $DEVINO_PROXY")
    if (named := options.pop("time_zone", None)) is not None:
        given["time_zone"] = named
    return given


def excel(command: F) -> F:
    """Add the option of every command that writes CSV."""
    return click.option(
        "--excel", is_flag=True, help="CSV that a Russian Excel opens by double click, with ids and numbers intact."
    )(command)


def time_zone(command: F) -> F:
    """Add the option of every command that reads or shows dates of the service."""
    return click.option(
        "--time-zone",
        type=zone,
        metavar="NAME",
        help="The zone of the service's dates, such as Europe/Moscow. Without it dates have no zone.",
    )(command)


# Option types are plain functions. A subclass of click.ParamType passes strict type checking only since click 8.4.


def zone(value: str) -> tzinfo:
    """Convert the IANA name of a time zone."""
    if value == "UTC":
        return UTC
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        # OSError comes from names of directories in the time zone data, such as Europe.
        if not available_timezones():
            raise click.BadParameter("this machine has no time zone data; pip install tzdata") from None
        raise click.BadParameter("must be an IANA name, such as Europe/Moscow") from None


def moment(value: str) -> datetime:
    """Convert a date, or a date and time."""
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ss") from None


def upper(value: str) -> str:
    """Convert a name that the service writes in capitals."""
    return value.upper()
