"""Receiving what the service POSTs: status callbacks and incoming messages, whatever the web framework.

The request is checked and read here, your coroutine is awaited, and only then is 200 answered. What the events are is
protocol/callbacks.py's; what is known of a message after many of them, tracking's; frameworks are contrib's.

The token is part of the address, so access logs of servers and proxies in front of you hold it: keep them private, or
leave the address out of them. Nothing here logs it.
"""

import asyncio
import hmac
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import parse_qs

from .errors import ConfigurationError, InvalidCallback
from .protocol.callbacks import Events, IncomingMessage, StatusCallback, read

__all__ = ["MAX_BODY", "MAX_EVENTS", "Receiver", "new_token"]

_log = logging.getLogger("devino_async")

MAX_BODY = 256 * 1024
"""The longest body that is read, in bytes."""
MAX_EVENTS = 1_000
"""The most events in one body."""

# 32 random bytes are 43 characters of base64; others must be worth as much.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{43,512}", re.ASCII)
_METHOD = "POST"

T = TypeVar("T")
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def new_token() -> str:
    """A new token for a receiver's address: 32 random bytes, safe in URLs."""
    return secrets.token_urlsafe(32)


class Receiver:
    """Takes the POSTs of the service, for any framework by `handle` or `receive`, or as an ASGI application by itself.

    - `token`: the secret of the address, or a list of them while you change it. The path must end with one, or the
      query hold `token=`. Made by `new_token`; anything under 43 URL-safe characters is refused.
    - `on_status`, `on_incoming`: your coroutines, awaited with all events of a request at once, at most 1,000. Return
      when they are safe: 200 is answered after that. If one raises, 500 is answered, and a sender that repeats does.
      Events may come twice, late and in any order. A kind that has no coroutine is answered 200 and dropped.
    - `hook_timeout`: seconds that a coroutine may take; then it is cancelled and 503 answered.
    - `body_timeout`: seconds that a body may take to arrive; then 408.
    - `at_once`: requests that are read and handled at the same time; beyond it 503.

    Answered are 404 for a wrong or missing token, whatever else; 405 for anything but POST; 415 for a compressed body;
    413 over 256 KiB; 400 for a body that is no callback or holds over 1,000 events. Nothing proves who called beside
    the token: look up what matters with `statuses`. Raises ConfigurationError for tokens and options that cannot work.
    """

    def __init__(
        self,
        *,
        token: str | list[str] | tuple[str, ...],
        on_status: Callable[[Sequence[StatusCallback]], Awaitable[object]] | None = None,
        on_incoming: Callable[[Sequence[IncomingMessage]], Awaitable[object]] | None = None,
        hook_timeout: float = 30.0,
        body_timeout: float = 5.0,
        at_once: int = 256,
    ) -> None:
        self._tokens = [_digest(each) for each in _checked(token)]
        if on_status is None and on_incoming is None:
            raise ConfigurationError("on_status or on_incoming must be given")
        for name, hook in (("on_status", on_status), ("on_incoming", on_incoming)):
            if hook is not None and not callable(hook):
                raise ConfigurationError(f"{name} must be a coroutine function")
        for name, seconds in (("hook_timeout", hook_timeout), ("body_timeout", body_timeout)):
            if type(seconds) not in {int, float} or not 0 < seconds <= 3_600:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, up to 3,600")
        if type(at_once) is not int or at_once < 1:
            raise ConfigurationError("at_once must be a whole number of 1 or more")
        self._on_status = on_status
        self._on_incoming = on_incoming
        self._hook_timeout = hook_timeout
        self._body_timeout = body_timeout
        self._at_once = at_once
        self._under_way = 0
        self._closing = False
        self._hooks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Receiver(<{len(self._tokens)} tokens>)"

    # For frameworks

    async def handle(self, method: str, token: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Take a request whose body is read already; gives the status to answer and the body, which is empty."""

        async def whole() -> AsyncIterator[bytes]:
            yield body

        return await self.receive(method, token, headers, whole())

    async def receive(
        self, method: str, token: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Take a request and read its body, no further than the limits; gives the status to answer and an empty body.

        A caller that is cancelled leaves at once; a coroutine of yours that has begun is finished all the same.
        """
        status = self._refusal(method, token, headers)
        if status is None:
            self._under_way += 1
            try:
                status = await self._taken(chunks)
            finally:
                self._under_way -= 1
        if status != 200:
            _log.info("a callback was answered %d", status)
        return status, b""

    async def aclose(self, grace: float = 30.0) -> None:
        """Take no more, and wait up to `grace` seconds for coroutines of yours that have begun."""
        self._closing = True
        if self._hooks:
            _, late = await asyncio.wait(set(self._hooks), timeout=grace)
            for hook in late:
                hook.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # Inside

    def _refusal(self, method: str, token: str, headers: Mapping[str, str]) -> int | None:
        """The status of a request that need not be read."""
        named = {name.lower(): value.strip().lower() for name, value in headers.items()}
        length = named.get("content-length", "")
        refusals = (
            (not self._knows(token), 404),
            (method != _METHOD, 405),
            (named.get("content-encoding", "identity") not in {"", "identity"}, 415),
            (length.isdecimal() and (len(length) > 12 or int(length) > MAX_BODY), 413),
            (self._closing or self._under_way >= self._at_once, 503),
        )
        return next((status for refused, status in refusals if refused), None)

    def _knows(self, token: str) -> bool:
        given = _digest(token)
        known = False
        for each in self._tokens:
            # Never left early: the time must tell nothing.
            known |= hmac.compare_digest(given, each)
        return known

    async def _taken(self, chunks: AsyncIterator[bytes]) -> int:
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_BODY:
                        return 413
        except TimeoutError:
            return 408
        try:
            events = await _read(bytes(body))
        except InvalidCallback as error:
            _log.warning("%s", error)
            return 400
        return await self._told(events)

    async def _told(self, events: Events) -> int:
        if events.statuses and self._on_status is not None:
            work = _call(self._on_status, events.statuses)
        elif events.incoming and self._on_incoming is not None:
            work = _call(self._on_incoming, events.incoming)
        else:
            return 200
        hook = asyncio.create_task(work, name="devino-callback")
        self._hooks.add(hook)
        hook.add_done_callback(self._hooks.discard)
        # Waiting leaves the coroutine alone if the request is cancelled.
        await asyncio.wait({hook}, timeout=self._hook_timeout)
        if not hook.done():
            hook.cancel()
            return 503
        if hook.cancelled():
            return 503
        if (error := hook.exception()) is not None:
            # Its text may hold anything, so only the class is told.
            _log.error("the coroutine for callbacks raised %s", type(error).__name__)
            return 500
        return 200

    # As an ASGI application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The receiver as an ASGI application of its own, or mounted in another."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            status, body = await self.receive(scope["method"], token_in(scope), headers, _chunks(receive))
        except _Gone:
            return
        told = [(b"content-length", b"0")]
        told += [(b"allow", _METHOD.encode())] if status == 405 else []
        told += [(b"retry-after", b"5")] if status == 503 else []
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.aclose()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


class _Gone(Exception):
    """The sender left before its body was complete."""


def token_in(scope: Scope) -> str:
    """The token of an ASGI request: `token=` in the query, else the last part of the path."""
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return asked["token"][0] if "token" in asked else str(scope["path"]).rpartition("/")[2]


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _call(hook: Callable[[Sequence[T]], Awaitable[object]], events: Sequence[T]) -> None:
    await hook(events)


async def _read(body: bytes) -> Events:
    reading = read(body, MAX_EVENTS)
    while True:
        try:
            next(reading)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        await asyncio.sleep(0)


def _checked(given: object) -> list[str]:
    tokens = given if isinstance(given, list | tuple) else [given]
    right = [each for each in tokens if isinstance(each, str) and _TOKEN.fullmatch(each)]
    if not right or len(right) < len(tokens):
        raise ConfigurationError("token must be one or several texts of 43 to 512 URL-safe characters; see new_token()")
    return right


def _digest(token: object) -> bytes:
    """Of one length, so that neither length nor odd characters make a difference."""
    return sha256(str(token).encode("utf-8", "surrogatepass")).digest()
