"""CallbackReceiver: status callbacks and incoming messages over HTTP, with any web framework.

A request is checked and read here, then your coroutine is awaited, and only then is the answer 200. Events are defined
in protocol/callbacks.py. What many events together say about a message is in tracking/. Frameworks are in contrib/.

The token is part of the address, so the access logs of your servers and proxies contain it. Keep the logs private, or
leave the address out of them (`uvicorn --no-access-log`, aiohttp's `access_log=None`). Nothing here logs it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from traceback import walk_tb
from typing import TypeVar

from ..checks import OneLoop, require_callable, require_number
from ..errors import ConfigurationError, InvalidCallback
from ..events import ItemsUnread, OnEvent, guarded
from ..flow.steps import in_steps
from ..protocol.callbacks import Events, IncomingMessage, StatusCallback, read, unread_in
from ..redaction import forgets_arguments
from . import asgi
from .tokens import Tokens

__all__ = ["MAX_BODY", "MAX_EVENTS", "MAX_WAITING", "CallbackReceiver"]

_log = logging.getLogger("devino_async")

MAX_BODY = 256 * 1024
"""The longest body that is read, in bytes."""
MAX_EVENTS = 1_000
"""The maximum number of events in one call of your coroutine."""
MAX_WAITING = 1_000
"""The maximum number of requests that wait, with unread bodies, until one in flight has ended."""

_MAX_SECONDS = 3_600
_AFTER_CANCEL = 5.0  # how many seconds aclose() waits for your coroutine to end after cancelling it
_HEADERS = {405: {"Allow": "POST"}, 503: {"Retry-After": "5"}}

T = TypeVar("T")
_Call = Callable[[], Awaitable[None]]
_Hook = Callable[[Sequence[T]], Awaitable[object]]
Hooks = _Hook[T] | Sequence[_Hook[T]]


@forgets_arguments
class CallbackReceiver:
    """Answer the service's POST requests, in any framework through `handle` or `receive`, or as an ASGI application.

    - `token`: the secret in the address, or a list of secrets while you replace one. The path must end with one, or
      the query must have it as `token=`. Make it with `new_token()`. A token that cannot hold 32 random bytes in
      URL-safe characters is refused.
    - `on_status`, `on_incoming`: your coroutines, one or a list, such as `[tracker.on_status, journal.on_status]`.
      All in a list are called, one after the other, even if one of them raises. Each gets all its events of a request
      at once, so one commit saves them. If there are more than 1,000, they come in calls of 1,000. Return after the
      commit: the answer is 200 when all have returned. If one raises, the answer is 500, and the sender may retry.
      Events may come twice, late and in any order. If events have no coroutine, the answer is still 200, because a
      retry would not help. They are dropped with a warning. Unreadable events beside readable ones are dropped too.
    - `on_event`: called with ItemsUnread(operation="callback") for each body with unreadable events, whether or
      not it holds readable ones too. It must be quick. An error in it is logged and changes no answer.
    - `hook_timeout`: seconds that the coroutines of a request may take. After that they are cancelled, and the answer
      is 503. If the sender disconnects, they still run to their end within this time.
    - `body_timeout`: seconds that a body may take to arrive. After that the answer is 408.
    - `concurrency`: how many requests may be in flight, which means read and handled at the same time. Up to 1,000 more
      wait unread, for `hook_timeout` at most. All others get 503 with Retry-After.

    The answer to a wrong or missing token is 404, whatever else is wrong. It is 405 to any method but POST, 415 to a
    compressed body, 413 to a body over 256 KiB, and 400 to a body without a readable event. Only the token identifies
    the sender, so confirm what matters with `statuses`. Raises ConfigurationError for weak tokens, for options that
    cannot work, and for a call on a second event loop. Under WSGI, run one loop in a thread and wait for
    `asyncio.run_coroutine_threadsafe(receiver.handle(...), loop).result()`.
    """

    def __init__(
        self,
        *,
        token: str | list[str] | tuple[str, ...],
        on_status: Hooks[StatusCallback] | None = None,
        on_incoming: Hooks[IncomingMessage] | None = None,
        on_event: OnEvent | None = None,
        hook_timeout: float = 30.0,
        body_timeout: float = 5.0,
        concurrency: int = 100,
    ) -> None:
        self._tokens = Tokens(token)
        self._on_status = _hooks("on_status", on_status)
        self._on_incoming = _hooks("on_incoming", on_incoming)
        require_callable("on_event", on_event)
        if not self._on_status and not self._on_incoming:
            raise ConfigurationError("on_status or on_incoming must be given")
        require_number("hook_timeout", hook_timeout, above=True, maximum=_MAX_SECONDS, unit="seconds")
        require_number("body_timeout", body_timeout, above=True, maximum=_MAX_SECONDS, unit="seconds")
        require_number("concurrency", concurrency, minimum=1, whole=True)
        self._on_event = on_event
        self._hook_timeout = hook_timeout
        self._body_timeout = body_timeout
        self._in_flight = asyncio.Semaphore(concurrency)
        self._waiting = 0
        self._closing = False
        self._hooks: set[asyncio.Task[None]] = set()
        self._loop = OneLoop("receiver")

    def __repr__(self) -> str:
        return f"CallbackReceiver(<{len(self._tokens)} tokens>)"

    # For frameworks

    async def handle(self, method: str, token: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Handle a request whose body has been read already. Return the status and an empty body.

        The headers of the answer are those that `headers_for` returns for the status.
        """

        async def whole() -> AsyncGenerator[bytes, None]:
            yield body

        async with aclosing(whole()) as chunks:
            return await self.receive(method, token, headers, chunks)

    async def receive(
        self, method: str, token: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Handle a request and read its body, but not beyond the limits. Return the status and an empty body.

        An exception from `chunks` is raised to the caller. If the caller is cancelled, this stops at once, but your
        coroutine, if it has begun, still runs to its end.
        """
        self._loop.check(asyncio.get_running_loop())
        status = self._refusal(method, token, headers)
        if status is None:
            status = await self._handled(chunks)
        if status != 200:
            _log.info("a callback was answered %d", status)
        return status, b""

    def lets_in(self, token: str) -> bool:
        """Return whether this is one of the receiver's tokens. A server may then give its sender more time."""
        return token in self._tokens

    def headers_for(self, status: int) -> dict[str, str]:
        """Return the headers that belong to the status from `handle` or `receive`."""
        return dict(_HEADERS.get(status, {}))

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve as an ASGI application of its own, or mounted in another."""
        await asgi.serve(self, scope, receive, send)

    async def aclose(self, grace: float = 30.0) -> None:
        """Refuse new requests, wait up to `grace` seconds for your coroutines that have begun, then cancel the rest."""
        self._closing = True
        if self._hooks:
            _, late = await asyncio.wait(set(self._hooks), timeout=grace)
            for hook in late:
                hook.cancel()
            if late:
                await asyncio.wait(late, timeout=_AFTER_CANCEL)

    # Inside

    def _refusal(self, method: str, token: str, headers: Mapping[str, str]) -> int | None:
        """Return the status for a request that is refused without reading its body, else None."""
        # A header may come twice, and the server in front may use either one. So all of them are checked.
        named = [(name.lower(), value.strip().lower()) for name, value in headers.items()]
        lengths = [value for name, value in named if name == "content-length" and value.isdecimal()]
        encodings = {value for name, value in named if name == "content-encoding"}
        refusals = (
            (token not in self._tokens, 404),
            (method != "POST", 405),
            (not encodings <= {"", "identity"}, 415),
            (any(len(length) > 12 or int(length) > MAX_BODY for length in lengths), 413),
            (self._closing, 503),
        )
        return next((status for refused, status in refusals if refused), None)

    async def _handled(self, chunks: AsyncIterator[bytes]) -> int:
        if not await self._let_in():
            return 503
        hook = None
        try:
            hook = self._begin(await self._events(chunks))
        except _Refused as refused:
            return refused.status
        finally:
            # A hook that has begun stays in flight until it ends, even if its sender leaves. Otherwise senders that
            # leave early could run more hooks at once than `concurrency` allows.
            if hook is None:
                self._in_flight.release()
        return 200 if hook is None else await self._outcome(hook)

    async def _let_in(self) -> bool:
        """Count the request as in flight, after a wait if necessary. Return False if it would wait for too long.

        If too many requests are waiting already, this returns False at once.
        """
        if not self._in_flight.locked():
            return await self._in_flight.acquire()
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(self._hook_timeout):
                return await self._in_flight.acquire()
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
            events = await in_steps(read(bytes(body)))
        except InvalidCallback as error:
            _log.warning("a callback: %s", error)
            raise _Refused(400) from None
        if events.unread:
            _log.warning("a callback: %s", unread_in(events))
            if self._on_event is not None:
                guarded(self._on_event, ItemsUnread(operation="callback", count=events.unread))
            if not events.statuses and not events.incoming:
                raise _Refused(400)
        return events

    def _begin(self, events: Events) -> "asyncio.Task[None] | None":
        """Start your coroutines in a task that outlives a cancelled request. Return None if there are none to call."""
        if self._closing:
            raise _Refused(503)
        calls = [*_calls(self._on_status, events.statuses), *_calls(self._on_incoming, events.incoming)]
        if not calls:
            return None
        hook = asyncio.create_task(_all_of(calls), name="devino-callback")
        timer = asyncio.get_running_loop().call_later(self._hook_timeout, hook.cancel)
        self._hooks.add(hook)
        hook.add_done_callback(partial(self._ended, timer))
        return hook

    def _ended(self, timer: asyncio.TimerHandle, hook: "asyncio.Task[None]") -> None:
        timer.cancel()
        self._hooks.discard(hook)
        self._in_flight.release()
        if hook.cancelled():
            _log.error("the coroutine for callbacks was cancelled, by hook_timeout or by aclose()")
        elif (error := hook.exception()) is not None:
            # Only the error's class and place are logged, because its text may hold anything.
            _log.error("the coroutine for callbacks raised %s in %s", type(error).__name__, _place_of(error))

    async def _outcome(self, hook: "asyncio.Task[None]") -> int:
        # asyncio.wait does not cancel the hook when the request is cancelled.
        await asyncio.wait({hook}, timeout=self._hook_timeout)
        # A hook that returned although it was cancelled may have left work undone.
        if not hook.done() or hook.cancelled() or hook.cancelling():
            return 503
        return 200 if hook.exception() is None else 500


class _Refused(Exception):
    """The request is answered with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


def _hooks(name: str, given: Hooks[T] | None) -> tuple[_Hook[T], ...]:
    hooks = tuple(given) if isinstance(given, list | tuple) else () if given is None else (given,)
    for each in hooks:
        require_callable(name, each)
    if None in hooks:
        raise ConfigurationError(f"{name} must hold coroutines only")
    return hooks


def _calls(hooks: Sequence[_Hook[T]], events: Sequence[T]) -> list[_Call]:
    """Return the calls that pass the events to your coroutines, or an empty list if there is nothing to call."""
    if events and not hooks:
        _log.warning("no coroutine for events like %s: %d dropped", type(events[0]).__name__, len(events))
    return [partial(_in_runs, hook, events) for hook in hooks if events]


async def _in_runs(hook: Callable[[Sequence[T]], Awaitable[object]], events: Sequence[T]) -> None:
    # The hook is called inside a coroutine of ours. So if a hook raises when it is called, or does not return an
    # awaitable, its task fails as it does after any other error.
    for start in range(0, len(events), MAX_EVENTS):
        await hook(events[start : start + MAX_EVENTS])


async def _all_of(calls: list[_Call]) -> None:
    """Await all calls, one after the other, and raise the first error after the last one has ended."""
    failure: Exception | None = None
    for call in calls:
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - raised below
            # An error with one kind of events must not stop the other kind.
            failure = failure or error
    if failure is not None:
        raise failure


def _place_of(error: BaseException) -> str:
    *_, (frame, line) = walk_tb(error.__traceback__)
    return f"{frame.f_code.co_filename}:{line}"
