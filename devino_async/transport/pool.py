"""SessionPool: opens aiohttp sessions at first use, on the running loop, and carries out one attempt.

Each lane has its own session. Sends go on fresh connections, look-ups on pooled ones. attempt.py says what an attempt
proves, and retry.py makes a call again. The options of the pool live here too.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import aiohttp
from attrs import field, frozen
from yarl import URL

from ..checks import require_kind, require_number
from ..errors import ConfigurationError, RequestNotSent
from ..exchange import Answer, Call, Lane
from ..redaction import Redaction, forgets_arguments
from ..version import VERSION
from .answers import read_body
from .attempt import Attempt
from .deadline import deadline
from .ledger import LedgerBody

__all__ = ["PoolOptions", "SessionPool", "Timeouts"]

# The slowest upload that is waited for when Timeouts.total is not given, in bytes a second.
_MIN_UPLOAD_RATE = 50_000
# How long closing waits for a connection to send what is still in its buffer, in seconds.
_MAX_FLUSH = 1.0
_USER_AGENT = (
    f"devino-async/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor} aiohttp/{aiohttp.__version__}"
)


@frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds.

    - `connect`: for a connection, with its name look-up and TLS handshake.
    - `read`: the longest silence while waiting for an answer, and the longest time that an upload may stall.
    - `total`: for one attempt. The default is `connect` + `read` + one second for every 50,000 bytes of body.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float | None = None

    def __attrs_post_init__(self) -> None:
        require_number("Timeouts.connect", self.connect, above=True)
        require_number("Timeouts.read", self.read, above=True)
        if self.total is not None:
            require_number("Timeouts.total", self.total, above=True)

    def total_for(self, size: int) -> float:
        """Return the seconds that one attempt with a body of `size` bytes may take."""
        return self.connect + self.read + size / _MIN_UPLOAD_RATE if self.total is None else self.total


@forgets_arguments
@frozen(kw_only=True)
class PoolOptions:
    """How connections are made.

    - `reuse_connections`: send on pooled connections too, which saves one handshake a POST. It has a price. Of the
      sends on a connection that the server was just closing, 9.6 to 11.3 % ended as Unconfirmed, against none of 2,400
      on fresh connections (measured on loopback with aiohttp 3.14.5). Also, an answer left over on a connection can be
      read as the answer to the next send. Look-ups always reuse connections.
    - `send_buffer`: bytes of the kernel's buffer for one send (SO_SNDBUF). With a small buffer, more incomplete sends
      can be proved unsent. None leaves the size to the system.
    - `ssl_context`: your own, for private authorities or client certificates. The default one always verifies
      certificates.
    - `proxy`: the URL of an HTTP proxy, with credentials in it if need be. The environment's proxies are never used.
    - `local_address`: the IP address of this machine to connect from.
    - `connections`: how many connections may be open at once in each lane (sends, urgent sends, look-ups). If it is
      below `Limits.in_flight`, it limits what is in flight too. None sets no limit of its own.
    """

    reuse_connections: bool = False
    send_buffer: int | None = 65_536
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=lambda url: "<set>" if url else "None")
    local_address: str | None = None
    connections: int | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("send_buffer", "connections"):
            if getattr(self, name) is not None:
                require_number(f"PoolOptions.{name}", getattr(self, name), minimum=1, whole=True)
        require_kind("PoolOptions.ssl_context", self.ssl_context, ssl.SSLContext, optional=True)
        require_kind("PoolOptions.reuse_connections", self.reuse_connections, bool)
        if not (self.proxy is None or _is_proxy(self.proxy)):
            more = ". SOCKS proxies are not supported" if str(self.proxy).lower().startswith("socks") else ""
            raise ConfigurationError(f"PoolOptions.proxy must be a URL with the http scheme and a host{more}")
        if not (self.local_address is None or _is_ip_address(self.local_address)):
            raise ConfigurationError("PoolOptions.local_address must be an IP address")


def _is_proxy(value: object) -> bool:
    try:
        url = URL(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return url is not None and url.scheme == "http" and bool(url.host)


def _is_ip_address(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ip_address(value))
    except ValueError:
        return False


class SessionPool:
    """Carries out one attempt of a call.

    It never repeats a call or follows a redirect, and it reads neither the environment nor netrc.
    """

    def __init__(
        self, base_url: str, authorization: str, *, redaction: Redaction, timeouts: Timeouts, options: PoolOptions
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._authorization = authorization
        self._redaction = redaction
        self._timeouts = timeouts
        self._options = options
        self._closed = False
        self._sessions: dict[Lane, aiohttp.ClientSession] = {}
        self._closing: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"SessionPool({self._base_url!r})"

    @property
    def opened(self) -> bool:
        """Whether there is anything to close."""
        return bool(self._sessions)

    async def aclose(self) -> None:
        """Close all connections, for good."""
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        # Each session closes in a task of its own, so a caller that is cancelled meanwhile leaves no session open.
        self._closing += [asyncio.create_task(_close(session), name="devino-closing") for session in sessions]
        if any(not closing.done() for closing in self._closing):
            await asyncio.wait(self._closing)

    async def exchange(self, call: Call) -> Answer:
        """Make one attempt. Raises a CallFailed whose `retriable` says whether another one is safe."""
        if self._closed:
            raise _too_late(call)
        attempt = Attempt(call, self._redaction)
        try:
            await self._carry_out(attempt)
        except asyncio.CancelledError as cancelled:
            # A look-up may be dropped. A send may not. Its task belongs to the client, which cancels it only when
            # closing, and what the ledger says of it must reach a receipt.
            if call.repeatable:
                # Drop aiohttp's frames, because closing makes this error the context of a ClientClosed.
                raise cancelled.with_traceback(None)  # noqa: B904 - the same error
            attempt.cut_short()
        except Exception as error:  # noqa: BLE001 - the ledger decides what it proves, not its class
            attempt.failed(error)
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                self._forget_addresses(call.lane)
        # Raised below and not above. Inside an `except` block aiohttp's error would become the __context__ of ours, and
        # with it the request and its Authorization header. For the same reason this frame holds no session.
        outcome = attempt.outcome()
        if isinstance(outcome, Answer):
            return outcome
        outcome.message_ids = await attempt.ids()
        raise outcome

    async def _carry_out(self, attempt: Attempt) -> None:
        call = attempt.call
        body = None if call.body is None else LedgerBody(call.body, attempt.ledger, stall=self._timeouts.read)
        url = URL(f"{self._base_url}{call.path}" + (f"?{call.query}" if call.query else ""), encoded=True)
        timeout = aiohttp.ClientTimeout(
            # aiohttp's own timer would win over an answer that came while the loop was blocked. `deadline` replaces it.
            total=None,
            connect=self._timeouts.connect,
            sock_connect=self._timeouts.connect,
            sock_read=self._timeouts.read,
        )
        async with (
            deadline(self._timeouts.total_for(call.size)),
            self._session(call.lane).request(
                call.method,
                url,
                data=body,
                allow_redirects=False,
                timeout=timeout,
                ssl=self._options.ssl_context or True,
                proxy=self._options.proxy,
            ) as response,
        ):
            if response.status == 407 and self._options.proxy is not None and url.scheme == "http":
                # Only proxies answer 407. For a request over TLS, aiohttp raises an error instead.
                attempt.kept_by_proxy()
                return
            attempt.begun(response.status, response.headers)
            await read_body(response, call.answer_limit, attempt.body)
            # No await may come between the end of the answer and this note: a cancelled send would lose its answer.
            attempt.finished()

    def _forget_addresses(self, lane: Lane) -> None:
        """Look the host name up anew for the next connection: the service may have moved."""
        connector = self._sessions[lane].connector if lane in self._sessions else None
        if isinstance(connector, aiohttp.TCPConnector):
            connector.clear_dns_cache()

    def _session(self, lane: Lane) -> aiohttp.ClientSession:
        if lane not in self._sessions:
            self._sessions[lane] = self._open(lane is Lane.LOOK_UPS)
        return self._sessions[lane]

    def _open(self, repeatable: bool) -> aiohttp.ClientSession:
        options = self._options
        connector = aiohttp.TCPConnector(
            limit=options.connections or 0,
            force_close=not repeatable and not options.reuse_connections,
            local_addr=None if options.local_address is None else (options.local_address, 0),
            socket_factory=None if repeatable else _socket_factory(options.send_buffer),
        )
        session = aiohttp.ClientSession(
            connector=connector,
            headers={
                "Authorization": self._authorization,
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate" if repeatable else "identity",
                "User-Agent": _USER_AGENT,
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        # aiohttp repeats a GET once by itself, without telling us. Only the retry policy decides how often to try.
        session._retry_connection = False
        return session


async def _close(session: aiohttp.ClientSession) -> None:
    # If the peer has stopped reading, the buffer never empties, and aclose would wait for ever.
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_FLUSH):
            await session.close()


def _too_late(call: Call) -> RequestNotSent:
    error = RequestNotSent("the client is closed", operation=call.operation, attempts=0)
    error.retriable = False
    return error


def _socket_factory(send_buffer: int | None) -> Callable[[Any], socket.socket] | None:
    if send_buffer is None:
        return None

    def made(info: Any) -> socket.socket:
        family, kind, protocol, _, _ = info
        opened = socket.socket(family=family, type=kind, proto=protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        return opened

    return made
