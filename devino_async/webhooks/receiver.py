"""Receiving what the service POSTs: status callbacks and incoming messages, whatever the web framework.

The request is checked and read here, your coroutine is awaited, and only then is 200 answered. What the events are is
protocol/callbacks.py's; what is known of a message after many of them, tracking's; frameworks are contrib's.

The token is part of the address, so access logs of servers and proxies in front of you hold it: keep them private, or
leave the address out of them (`uvicorn --no-access-log`, aiohttp's `access_log=None`). Nothing here logs it.
"""

import asyncio
import hmac
import logging
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from hashlib import sha256
from traceback import walk_tb
from typing import Any, TypeVar
from urllib.parse import parse_qs

from ..errors import ConfigurationError, InvalidCallback
from ..protocol.callbacks import Events, IncomingMessage, StatusCallback, read

__all__ = ["MAX_BODY", "MAX_EVENTS", "CallbackReceiver", "headers_for", "new_token", "token_of"]

_log = logging.getLogger("devino_async")

MAX_BODY = 256 * 1024
"""The longest body that is read, in bytes."""
MAX_EVENTS = 1_000
"""The most events in one body."""

# 32 random bytes are 43 characters of base64, or 64 hexadecimal digits.
_TOKEN = re.compile(r"(?![0-9A-Fa-f]{0,63}\Z)[A-Za-z0-9._~-]{43,512}", re.ASCII)
_AFTER_CANCEL = 5.0  # seconds that a coroutine of yours has to end once aclose() has cancelled it

T = TypeVar("T")
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def new_token() -> str:
    """A new token for a receiver's address: 32 random bytes, safe in URLs."""
    return secrets.token_urlsafe(32)


def token_of(path: str, query: str) -> str:
    """The token of an address: `token=` in its query, still encoded, else the last part of its path, decoded."""
    return parse_qs(query).get("token", [path.rpartition("/")[2]])[0]


def headers_for(status: int) -> dict[str, str]:
    """The headers that belong to the status that `handle` or `receive` gave."""
    return {405: {"Allow": "POST"}, 503: {"Retry-After": "5"}}.get(status, {})


class CallbackReceiver:
    """Takes the POSTs of the service, for any framework by `handle` or `receive`, or as an ASGI application by itself.

    - `token`: the secret of the address, or a list of them while you change it. The path must end with one, or the
      query hold `token=`. Made by `new_token`; what cannot hold 32 random bytes in URL-safe characters is refused.
    - `on_status`, `on_incoming`: your coroutines, awaited with all events of a request at once, at most 1,000, so that
      one commit makes them safe. Return when they are: 200 is answered after that. If one raises, 500 is answered, and
      a sender that repeats does. Events may come twice, late and in any order. A kind that has no coroutine is answered
      200 and dropped with a warning: nobody shall repeat for ever what nobody wants.
    - `hook_timeout`: seconds that a coroutine may take; then it is cancelled and 503 answered. It holds for one whose
      sender has left too, which is finished all the same.
    - `body_timeout`: seconds that a body may take to arrive; then 408.
    - `concurrency`: requests that are read and handled at the same time. Beyond it up to `queue` wait, unread and for
      `hook_timeout` at most; beyond that 503 with Retry-After.

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
        concurrency: int = 100,
        queue: int = 1_000,
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
        for name, number, least in (("concurrency", concurrency, 1), ("queue", queue, 0)):
            if type(number) is not int or number < least:
                raise ConfigurationError(f"{name} must be a whole number of {least} or more")
        self._on_status = on_status
        self._on_incoming = on_incoming
        self._hook_timeout = hook_timeout
        self._body_timeout = body_timeout
        self._places = asyncio.Semaphore(concurrency)
        self._queue = queue
        self._waiting = 0
        self._closing = False
        self._hooks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"CallbackReceiver(<{len(self._tokens)} tokens>)"

    # For frameworks

    async def handle(self, method: str, token: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Take a request whose body is read; gives the status, whose headers `headers_for` has, and an empty body."""

        async def whole() -> AsyncGenerator[bytes, None]:
            yield body

        async with aclosing(whole()) as chunks:
            return await self.receive(method, token, headers, chunks)

    async def receive(
        self, method: str, token: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Take a request and read its body, no further than the limits; gives the status to answer and an empty body.

        What `chunks` raises is raised here. A caller that is cancelled leaves at once; a coroutine of yours that has
        begun is finished all the same.
        """
        status = self._refusal(method, token, headers)
        if status is None:
            status = await self._taken(chunks)
        if status != 200:
            _log.info("a callback was answered %d", status)
        return status, b""

    async def aclose(self, grace: float = 30.0) -> None:
        """Take no more, and wait up to `grace` seconds for coroutines of yours that have begun; then cancel them."""
        self._closing = True
        if self._hooks:
            _, late = await asyncio.wait(set(self._hooks), timeout=grace)
            for hook in late:
                hook.cancel()
            if late:
                await asyncio.wait(late, timeout=_AFTER_CANCEL)

    # Inside

    def _refusal(self, method: str, token: str, headers: Mapping[str, str]) -> int | None:
        """The status of a request that need not be read."""
        # A header may come twice, and who reads the body may believe either.
        named = [(name.lower(), value.strip().lower()) for name, value in headers.items()]
        lengths = [value for name, value in named if name == "content-length" and value.isdecimal()]
        encodings = {value for name, value in named if name == "content-encoding"}
        refusals = (
            (not self._knows(token), 404),
            (method != "POST", 405),
            (not encodings <= {"", "identity"}, 415),
            (any(len(length) > 12 or int(length) > MAX_BODY for length in lengths), 413),
            (self._closing, 503),
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
        if not await self._place():
            return 503
        hook = None
        try:
            hook = self._begin(await self._events(chunks))
        except _Refused as refused:
            return refused.status
        finally:
            # A coroutine that has begun keeps the place until it ends, whether its sender waits or not.
            if hook is None:
                self._places.release()
        return 200 if hook is None else await self._outcome(hook)

    async def _place(self) -> bool:
        """Whether the request got a place; where all are taken it waits for its turn."""
        if not self._places.locked():
            return await self._places.acquire()
        if self._waiting >= self._queue:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(self._hook_timeout):
                return await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    async def _events(self, chunks: AsyncIterator[bytes]) -> Events:
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise _Refused(413)
        except TimeoutError:
            raise _Refused(408) from None
        try:
            return await _read(bytes(body))
        except InvalidCallback as error:
            _log.warning("%s", error)
        raise _Refused(400)

    def _begin(self, events: Events) -> "asyncio.Task[None] | None":
        """Your coroutine for these events, as a task that no leaving sender cancels; None if there is none."""
        if self._closing:
            raise _Refused(503)
        if events.statuses and self._on_status is not None:
            work = _call(self._on_status, events.statuses)
        elif events.incoming and self._on_incoming is not None:
            work = _call(self._on_incoming, events.incoming)
        else:
            if dropped := events.statuses or events.incoming:
                _log.warning("no coroutine takes events like %s: %d dropped", type(dropped[0]).__name__, len(dropped))
            return None
        hook = asyncio.create_task(work, name="devino-callback")
        timer = asyncio.get_running_loop().call_later(self._hook_timeout, hook.cancel)
        self._hooks.add(hook)
        hook.add_done_callback(partial(self._ended, timer))
        return hook

    def _ended(self, timer: asyncio.TimerHandle, hook: "asyncio.Task[None]") -> None:
        timer.cancel()
        self._hooks.discard(hook)
        self._places.release()
        if hook.cancelled():
            _log.error("the coroutine for callbacks was cancelled, by hook_timeout or by aclose()")
        elif (error := hook.exception()) is not None:
            # Its text may hold anything, so only its class and place are told.
            _log.error("the coroutine for callbacks raised %s in %s", type(error).__name__, _place_of(error))

    async def _outcome(self, hook: "asyncio.Task[None]") -> int:
        # Waiting leaves the coroutine alone if the request is cancelled.
        await asyncio.wait({hook}, timeout=self._hook_timeout)
        # One that returned although it was cancelled may have left work undone.
        if not hook.done() or hook.cancelled() or hook.cancelling():
            return 503
        return 200 if hook.exception() is None else 500

    # As an ASGI application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The receiver as an ASGI application of its own, or mounted in another."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise NotImplementedError(f"ASGI scopes of type {scope['type']}")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[str, str] = {}
        for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]):
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        token = token_of(scope["path"], scope.get("query_string", b"").decode("latin-1"))
        try:
            async with aclosing(_chunks(receive)) as chunks:
                status, body = await self.receive(scope["method"], token, headers, chunks)
        except _Gone:
            return
        told = {"Content-Length": "0", **headers_for(status)}
        if status in {408, 413} and scope.get("http_version", "").startswith("1"):
            told["Connection"] = "close"  # The rest of the body may be on its way for ever.
        start = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        with suppress(OSError):  # The sender left.
            await send({"type": "http.response.start", "status": status, "headers": start})
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


class _Refused(Exception):
    """The request is answered with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


async def _chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
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


def _place_of(error: BaseException) -> str:
    *_, (frame, line) = walk_tb(error.__traceback__)
    return f"{frame.f_code.co_filename}:{line}"


def _checked(given: object) -> list[str]:
    tokens = given if isinstance(given, list | tuple) else [given]
    right = [each for each in tokens if isinstance(each, str) and _TOKEN.fullmatch(each)]
    if not right or len(right) < len(tokens):
        raise ConfigurationError("token must be one or several texts that new_token() made, or as strong and URL-safe")
    return right


def _digest(token: object) -> bytes:
    """Of one length, so that neither length nor odd characters make a difference."""
    return sha256(str(token).encode("utf-8", "surrogatepass")).digest()
