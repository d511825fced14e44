"""Configuration: credentials and address, from arguments or the environment, checked before any I/O.

The option classes live beside the code that uses them.
"""

import base64
import os
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from attrs import evolve, frozen

from ..checks import require_kind
from ..errors import ConfigurationError
from ..redaction import Redaction
from ..transport.limits import Limits
from ..transport.pool import PoolOptions, Timeouts
from ..transport.retry import RetryPolicy
from .outbox import OutboxOptions

__all__ = ["DEFAULT_BASE_URL", "Credentials", "base_url_from", "credentials_from", "options_from"]

DEFAULT_BASE_URL = "https://api.devino.online"


@frozen(repr=False)
class Credentials:
    """The Authorization header, and a Redaction that removes the credentials from texts."""

    header: str
    redaction: Redaction

    def __repr__(self) -> str:
        return f"Credentials(<{self.header.split(' ', 1)[0]}>)"


def options_from(
    timeouts: Timeouts | None,
    retry: RetryPolicy | None,
    limits: Limits | None,
    pool: PoolOptions | None,
    outbox: OutboxOptions | None,
) -> tuple[Timeouts, RetryPolicy, Limits, PoolOptions, OutboxOptions]:
    """Return the options, or their defaults. Raises ConfigurationError for one that is not of its class."""
    for name, option, kind in (
        ("timeouts", timeouts, Timeouts),
        ("retry", retry, RetryPolicy),
        ("limits", limits, Limits),
        ("pool", pool, PoolOptions),
        ("outbox", outbox, OutboxOptions),
    ):
        require_kind(name, option, kind, optional=True)
    limits, pool = limits or Limits(), pool or PoolOptions()
    if pool.connections is not None:
        # A send that holds a permit but no connection would burn its connect timeout waiting for one.
        limits = evolve(limits, in_flight=min(limits.in_flight, pool.connections))
    return timeouts or Timeouts(), retry or RetryPolicy(), limits, pool, outbox or OutboxOptions()


def credentials_from(
    api_key: str | None, login: str | None, password: str | None, environment: Mapping[str, str] = os.environ
) -> Credentials:
    """Return the credentials from the arguments.

    Without arguments they come from DEVINO_API_KEY, or from DEVINO_LOGIN and DEVINO_PASSWORD. Raises
    ConfigurationError.
    """
    source = "arguments"
    if api_key is None and login is None and password is None:
        source = "environment"
        api_key, login, password = (
            environment.get(name) or None for name in ("DEVINO_API_KEY", "DEVINO_LOGIN", "DEVINO_PASSWORD")
        )
    if api_key is not None and (login is not None or password is not None):
        raise ConfigurationError(f"give either an API key or login and password, not both (from the {source})")
    if api_key is not None:
        return _from_key(api_key)
    if login is not None and password is not None:
        return _from_login(login, password)
    if login is None and password is None:
        raise ConfigurationError(
            "no credentials: give api_key, or login and password, or set DEVINO_API_KEY, "
            "or DEVINO_LOGIN and DEVINO_PASSWORD"
        )
    raise ConfigurationError(f"{'password' if password is None else 'login'} is missing (from the {source})")


def _from_key(api_key: str) -> Credentials:
    require_kind("api_key", api_key, str)
    if not api_key or not all(" " <= each <= "~" for each in api_key):
        raise ConfigurationError("api_key must be printable ASCII and not empty")
    if api_key != api_key.strip():
        raise ConfigurationError("api_key must not begin or end with a space")
    return Credentials(f"Key {api_key}", Redaction((api_key,)))


def _from_login(login: str, password: str) -> Credentials:
    require_kind("login", login, str)
    require_kind("password", password, str)
    if not login or not login.isprintable() or ":" in login:
        raise ConfigurationError("login must be printable, without a colon, and not empty")
    if not password or not password.isprintable():
        raise ConfigurationError("password must be printable and not empty")
    token = base64.b64encode(f"{login}:{password}".encode()).decode()
    return Credentials(f"Basic {token}", Redaction((token, password, login)))


def base_url_from(base_url: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address, without a slash at its end: the argument, else DEVINO_BASE_URL, else the default.

    Raises ConfigurationError.
    """
    if base_url is not None:
        require_kind("base_url", base_url, str)
        if not base_url:
            raise ConfigurationError("base_url must not be empty")
    given = base_url or environment.get("DEVINO_BASE_URL") or DEFAULT_BASE_URL
    parts = _parts(given)
    if parts is None:
        raise ConfigurationError("base_url is not a valid URL")
    host = parts.hostname
    if not host or parts.scheme not in {"http", "https"} or not given.isascii() or not given.isprintable():
        raise ConfigurationError("base_url must be an https URL with a host, in printable ASCII")
    if " " in given or parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ConfigurationError("base_url must hold no space, credentials, query or fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError("base_url must be https: plain http would send texts and credentials in the clear")
    return given.rstrip("/")


def _parts(url: str) -> SplitResult | None:
    # The standard library's error may hold parts of the URL, so it must be gone before ours is raised.
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
