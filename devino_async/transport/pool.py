"""SessionPool: aiohttp sessions, opened at first use on the running loop, and one attempt of a call on them.

Sends and reads have a session each: sends go on fresh connections, reads on pooled ones. Here aiohttp's exceptions
end: what leaves is an Answer or a CallFailed that holds no aiohttp object. Repeating is retry.py's.
"""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import aiohttp
from attrs import field, frozen
from yarl import URL

from ..checks import require_number
from ..errors import (
    BadAnswer,
    CallFailed,
    ConfigurationError,
    OutcomeUnknown,
    RequestNotSent,
    ServerFailed,
    TooManyRequests,
)
from ..exchange import Answer, Call, Lane
from ..redaction import Redaction
from ..version import VERSION
from .answers import TooLong, UnknownCoding, read_body, wait_asked_for
from .ledger import Handed, Ledger, LedgerBody
from .verdict import Decision, Evidence, Verdict, decide

__all__ = ["PoolOptions", "SessionPool", "Timeouts"]

# The slowest upload that is waited for when Timeouts.total is not given, in bytes a second.
_SLOWEST_UPLOAD = 50_000
# Bytes of an answer that are searched for ids at a time.
_SEARCHED_A_STEP = 131_072
# How long closing waits for a connection to take what is still in its buffer, in seconds.
_LONGEST_FLUSH = 1.0


@frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds.

    - `connect`: for a connection, name look-up and TLS included.
    - `read`: the longest silence while waiting for an answer, and the longest that an upload may stand still.
    - `total`: for one attempt. Unless given it is `connect` + `read` + a second for every 50,000 bytes of body.
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
        """Seconds that one attempt with a body of `size` bytes may take."""
        return self.connect + self.read + size / _SLOWEST_UPLOAD if self.total is None else self.total


@frozen(kw_only=True)
class PoolOptions:
    """How connections are made.

    - `reuse_connections`: send on pooled connections too, for lower latency: a handshake a POST is saved. The price: of
      sends that met a connection which the server was just closing, 9.6 to 11.3 % ended as Unconfirmed, against none
      of 2,400 on fresh ones (measured on loopback with aiohttp 3.14.5); and an answer left over on a connection can be
      taken for the answer to the next send. Reads always reuse.
    - `send_buffer`: bytes of the kernel's buffer for one send (SO_SNDBUF); a small one leaves more incomplete sends
      provable. None leaves it to the system.
    - `ssl_context`: your own, for private authorities or client certificates; certificates are always verified by
      the default one.
    - `proxy`: the URL of an HTTP proxy, with credentials in it if need be; the environment is never asked for one.
    - `local_address`: the IP address of this machine to connect from.
    - `connections`: the most connections at once in each lane (sends, urgent sends, look-ups); fewer than
      `Limits.in_flight` bound that too. None is no bound beside it.
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
        if not isinstance(self.ssl_context, ssl.SSLContext | None):
            raise ConfigurationError("PoolOptions.ssl_context must be an ssl.SSLContext, or None")
        if not isinstance(self.reuse_connections, bool):
            raise ConfigurationError("PoolOptions.reuse_connections must be True or False")
        if not (self.proxy is None or _is_proxy(self.proxy)):
            raise ConfigurationError("PoolOptions.proxy must be a URL with the http scheme and a host")
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
    """Carries out one attempt of a call. Makes no repeat, follows no redirect, reads no environment and no netrc."""

    def __init__(
        self,
        base_url: str,
        authorization: str,
        *,
        redaction: Redaction,
        timeouts: Timeouts,
        options: PoolOptions,
        retry_on_503: bool = False,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._authorization = authorization
        self._redaction = redaction
        self._timeouts = timeouts
        self._options = options
        self._retry_on_503 = retry_on_503
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
        # In tasks of their own: whoever is cancelled while closing must not leave some open.
        self._closing += [asyncio.create_task(_close(session), name="devino-closing") for session in sessions]
        if any(not closing.done() for closing in self._closing):
            await asyncio.wait(self._closing)

    async def exchange(self, call: Call) -> Answer:
        """One attempt. Raises a CallFailed whose `retriable` says whether another one is safe."""
        attempt = _Attempt(call, self._redaction)
        if self._closed:
            raise _too_late(call)
        session = self._session(call.lane)
        try:
            await self._carry_out(session, attempt)
        except asyncio.CancelledError:
            # A look-up may be dropped. A send may not: its task is the client's own, which ends it only when closing.
            if call.repeatable:
                raise
            attempt.failed("cut short because the client was closed", permanent=True)
        except Exception as error:  # noqa: BLE001 - told apart by the ledger, not by the class
            attempt.failed(*_described(error), connected=not isinstance(error, _NEVER_CONNECTED))
        try:
            return attempt.conclude(self._retry_on_503)
        except CallFailed as error:
            failure = error
        body = bytes(attempt.body)
        try:
            failure.message_ids = await _ids_in(call, body)
        except asyncio.CancelledError:
            # Closing ends it here, but what was seen must be told.
            failure.message_ids = call.ids_in(body)
            failure.retriable = False
        raise failure

    async def _carry_out(self, session: aiohttp.ClientSession, attempt: "_Attempt") -> None:
        call = attempt.call
        body = None if call.body is None else LedgerBody(call.body, attempt.ledger, stall=self._timeouts.read)
        url = URL(f"{self._base_url}{call.path}" + (f"?{call.query}" if call.query else ""), encoded=True)
        timeout = aiohttp.ClientTimeout(
            total=self._timeouts.total_for(call.size),
            connect=self._timeouts.connect,
            sock_connect=self._timeouts.connect,
            sock_read=self._timeouts.read,
        )
        async with session.request(
            call.method,
            url,
            data=body,
            allow_redirects=False,
            timeout=timeout,
            ssl=self._options.ssl_context or True,
            proxy=self._options.proxy,
        ) as response:
            attempt.begun(response.status, response.headers)
            await read_body(response, call.answer_limit, attempt.body)
            attempt.whole = True
            attempt.ledger.seal()

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
        # aiohttp repeats a GET once by itself, uncounted; how often is the retry policy's.
        session._retry_connection = False
        return session


async def _close(session: aiohttp.ClientSession) -> None:
    # What a peer reads no more can never be flushed, and must not keep anybody from closing.
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_FLUSH):
            await session.close()


_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
_PERMANENT = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch, aiohttp.InvalidURL)


class _Attempt:
    """What was seen of one attempt, and the conclusion from it."""

    def __init__(self, call: Call, redaction: Redaction) -> None:
        self.call = call
        self.ledger = Ledger()
        self.body = bytearray()
        self.whole = False
        self._redaction = redaction
        self._status: int | None = None
        self._content_type = ""
        self._retry_after: float | None = None
        self._problem = ""
        self._permanent = False
        if call.body is None:
            self.ledger.handed = Handed.ALL

    def begun(self, status: int, headers: Mapping[str, str]) -> None:
        """The status line and the headers of the answer are there."""
        self._status = status
        self._content_type = headers.get("Content-Type", "")
        self._retry_after = wait_asked_for(headers.get("Retry-After"), datetime.now(UTC))

    def failed(self, problem: str, permanent: bool = False, *, connected: bool = True) -> None:
        """The attempt ended without a whole answer."""
        self._problem = problem
        self._permanent = permanent
        if not connected and self.call.body is None:
            self.ledger.handed = Handed.NOTHING

    def conclude(self, retry_on_503: bool) -> Answer:
        """The answer, or the error that the evidence proves."""
        handed = self.ledger.seal()
        body = bytes(self.body)
        evidence = Evidence(
            handed=handed,
            status=self._status if self.whole else None,
            carries_result=self.whole and 400 <= (self._status or 0) < 500 and self.call.carries_result(body),
            permanent=self._permanent,
        )
        decision = decide(evidence, repeatable=self.call.repeatable, retry_on_503=retry_on_503)
        answer = Answer(
            status=self._status or 0,
            body=body,
            content_type=self._content_type,
            redaction=self._redaction.for_request(self.call.body or (), self.call.query),
        )
        if decision.verdict is Verdict.READ and not (self.call.repeatable and _is_no_json(body)):
            return answer
        raise self._error(decision, answer)

    def _error(self, decision: Decision, answer: Answer) -> CallFailed:
        if decision.verdict is Verdict.REFUSED:
            error = self.call.refusal(answer, self.call.operation)
        else:
            kind, problem = self._kind(decision.verdict)
            error = kind(
                problem,
                operation=self.call.operation,
                status=self._status,
                body=answer.excerpt() if self._status is not None else None,
            )
        error.retriable = decision.retry or decision.verdict is Verdict.READ
        if isinstance(error, TooManyRequests):
            error.retry_after = self._retry_after
        return error

    def _kind(self, verdict: Verdict) -> tuple[type[CallFailed], str]:
        if verdict is Verdict.UNSENT:
            return RequestNotSent, self._problem or "the service answered before it had the whole request"
        if verdict is Verdict.READ:
            return BadAnswer, "the answer is no JSON"
        if not self.whole:
            return OutcomeUnknown, self._problem
        if self._status is not None and self._status >= 500:
            return ServerFailed, "the service failed"
        return OutcomeUnknown, "the answer does not tell what became of the call"


async def _ids_in(call: Call, body: bytes) -> tuple[str, ...]:
    """The ids in a body that cannot be trusted; others have their turn while a long one is searched."""
    found: list[str] = []
    at = 0
    while at < len(body) and not call.repeatable:
        # Cut behind an object, so that no id is.
        end = body.find(b"}", at + _SEARCHED_A_STEP) + 1 or len(body)
        found += call.ids_in(body[at:end])
        at = end
        if at < len(body):
            await asyncio.sleep(0)
    return tuple(found)


def _too_late(call: Call) -> RequestNotSent:
    error = RequestNotSent("the client is closed", operation=call.operation, attempts=0)
    error.retriable = False
    return error


def _is_no_json(body: bytes) -> bool:
    text = body.strip(b"\xef\xbb\xbf \t\r\n")
    return not (text[:1] in {b"{", b"["} and text[-1:] in {b"}", b"]"})


def _described(error: Exception) -> tuple[str, bool]:
    """What happened, in words that hold no address, header or body; and whether no repeat can mend it."""
    permanent = isinstance(error, _PERMANENT)
    if isinstance(error, TooLong):
        return "the answer is longer than such an answer can be", permanent
    if isinstance(error, UnknownCoding):
        return "the answer is compressed in an unknown way", permanent
    kind = type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    why = f": {os.strerror(number)}" if isinstance(number, int) and number > 0 else ""
    return f"no whole answer ({kind}{why})", permanent


_USER_AGENT = (
    f"devino-async/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor} aiohttp/{aiohttp.__version__}"
)


def _socket_factory(send_buffer: int | None) -> Callable[[Any], socket.socket] | None:
    if send_buffer is None:
        return None

    def made(info: Any) -> socket.socket:
        family, kind, protocol, _, _ = info
        opened = socket.socket(family=family, type=kind, proto=protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        return opened

    return made
