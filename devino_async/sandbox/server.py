"""The sandbox itself: routes, authorization, start and stop. Each route's answer is in its own file."""

import asyncio
import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from .account import Account
from .arrivals import Arrivals
from .bodies import json_in
from .callbacks import Callbacks
from .clock import Clock, SystemClock
from .control import Control
from .details import Details
from .envelope import Refusal, refused, result
from .faults import CallbackFaults
from .guard import check_host, check_origin, is_own_route
from .inbox import Inbox
from .keeping import Keeping
from .live import Live
from .loopback import is_loopback
from .page_files import add_page
from .records import Records, Repeated, SentMessage
from .replies import Replies, Reply, incoming
from .sending import Sending
from .statistics import Statistics
from .statuses import Statuses, sqlite_id
from .store import Store
from .troubles import Faults, troubled

__all__ = ["Sandbox"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_BODY = 256 * 2**20
# A body for a route of the sandbox itself is parsed in one turn of the event loop.
_MAX_OWN_BODY = 2**18
_NO_FAULTS = Faults()


class Sandbox:
    """A pretend Devino on loopback. `url` is its address once it runs, `requests` counts the requests by path.

    - `port`: 0 chooses a free one. `database`: ":memory:", or a file that is kept.
    - `api_key`, or `login` and `password`: the only accepted credentials. By default any well-formed ones are accepted.
    - `stage`: seconds that a message spends in each of ACCEPTED, ENROUTE and SENT before its last status.
    - `clock`: a ManualClock lets a test move the time.
    - `callback_faults`: deliberate duplicates, disorder, delay and loss of status callbacks.
    - `faults`: an attribute. Set its members to make answers and callbacks go wrong while the sandbox runs.
    - `incoming_url`: where `reply` POSTs to, if no message to that phone had a callbackUrl. It must be on loopback.
    - `keep`: how many messages are kept, the newest ones. By default all are kept.
    - `keep_alive`: False closes each connection after its answer.
    - `round_ids`: status answers hold ids rounded as by a JavaScript client, like the sample in the API docs.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        database: str = ":memory:",
        api_key: str | None = None,
        login: str | None = None,
        password: str | None = None,
        stage: float = 0.4,
        clock: Clock | None = None,
        round_ids: bool = False,
        callback_faults: CallbackFaults | None = None,
        incoming_url: str | None = None,
        keep: int | None = None,
        keep_alive: bool = True,
    ) -> None:
        self.faults = Faults(callbacks=callback_faults or CallbackFaults())
        self._host = host
        self._port = port
        self._keep_alive = keep_alive
        self._clock = clock or SystemClock()
        self._store = Store(database)
        self._arrivals = arrivals = Arrivals()
        self._sending = Sending(self._store, self._clock, arrivals)
        self._records = Records(self._store, self._clock, stage, arrivals)
        self._callbacks = Callbacks(self._store, self._clock, stage, self.faults, arrivals)
        self._statuses = Statuses(self._store, self._clock, stage, round_ids)
        self._details = Details(self._store, self._clock, stage)
        self._statistics = Statistics(self._store, self._clock, stage)
        self._account = Account(self._store)
        self._replies = Replies(self._store, self._clock, self._callbacks, incoming_url)
        self._control = Control(self._records, self._sending, self._replies, self.faults)
        self._inbox = Inbox(self._store, self._clock, stage)
        self._keeping = Keeping(self._records, arrivals, keep)
        self._live = Live(arrivals, self._snapshot)
        self._allowed = _header(api_key, login, password)
        self._runner: web.AppRunner | None = None
        self._running: list[asyncio.Task[None]] = []
        self.requests: Counter[str] = Counter()
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the database and listen. It starts once.

        Raises OSError for an unusable port, sqlite3.Error for an unusable database.
        """
        try:
            await self._store.open()
            await self._sending.resume()
            await self._listen()
        except BaseException:
            await self.stop()
            raise
        for name, run in (("callbacks", self._callbacks.run), ("live", self._live.run), ("keep", self._keeping.run)):
            self._running.append(asyncio.create_task(run(), name=f"sandbox-{name}"))

    async def _listen(self) -> None:
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        port = self._runner.addresses[0][1]
        # The address of all interfaces is not one to call. The SDK accepts plain http for this machine only.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - it is replaced
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Stop listening and close the database. It may be called twice, or before `start`."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._live.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        await self._callbacks.close()
        await self._store.close()

    async def count(self) -> int:
        """Return how many messages were accepted so far."""
        [(count,)] = await self._store.rows("SELECT count(*) FROM message")
        return int(count)

    @property
    def messages(self) -> tuple[SentMessage, ...]:
        """All accepted messages, in order. For tests: reading them blocks, and more than 10,000 are a RuntimeError."""
        return self._records.now()

    async def find(
        self, *, to: str | None = None, text: str | None = None, after: str | None = None, limit: int = 1_000
    ) -> tuple[SentMessage, ...]:
        """Return messages to a number, whose text holds `text`, behind the one with the id `after`, in order."""
        return tuple(await self._records.find(to=to, text=text, after=_number(after), limit=limit))

    async def wait_for(
        self, *, to: str | None = None, text: str | None = None, after: str | None = None, timeout: float = 5.0
    ) -> SentMessage:
        """Return the first message that `find` would return, as soon as it is accepted. Raises TimeoutError."""
        __tracebackhide__ = True  # pytest shows the line of the test instead.
        return await self._records.first(timeout, to=to, text=text, after=_number(after))

    async def repeated(self) -> tuple[Repeated, ...]:
        """Return the messages that were accepted more than once, at most a thousand of them."""
        return await self._records.repeated(1_000)

    def assert_nothing_sent_twice(self) -> None:
        """Raise NotSentOnce, an AssertionError, if a message was accepted twice: same sender, recipient and text."""
        __tracebackhide__ = True
        self._records.assert_nothing_sent_twice()

    async def reply(self, sender: str, text: str, *, to: str | None = None, url: str | None = None) -> Reply:
        """POST an incoming message from a phone to a receiver, and return what came of it. Raises ValueError.

        `to` is the sender of the last message to that phone by default, and `url` is its callbackUrl.
        """
        try:
            return await self._replies.send(sender, text, to, url)
        except Refusal as refusal:
            raise ValueError(f"{refusal.ref} {refusal}") from None
        finally:
            self._arrivals.notify()

    async def clear(self) -> None:
        """Forget all messages, replies, counts and faults."""
        await self._control.clear()
        self.faults.clear()
        self.requests.clear()
        self._arrivals.notify()

    @property
    def skipped_callbacks(self) -> int:
        """The number of accepted messages whose callbackUrl is outside loopback. Such a URL is never called."""
        return self._sending.skipped

    async def report(self) -> int:
        """Make the status callbacks that are due now. Return how many events reached their address."""
        return await self._callbacks.report()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._guard])
        app.router.add_post("/sms/messages", self._sending.post)
        app.router.add_post("/sms-stat/statuses/get-by-ids", self._statuses.post)
        app.router.add_get("/sms-stat/detail", self._details.get)
        app.router.add_get("/sms-stat/statistics/of-group", self._statistics.get)
        app.router.add_get("/billing-api/companies/current/account", self._account.get)
        app.router.add_post("/sandbox/incoming", self._incoming)
        self._control.add_to(app.router)
        self._inbox.add_to(app.router)
        app.router.add_post("/_sandbox/keep", self._keeping.post)
        app.router.add_get("/_sandbox/events", self._live.get)
        add_page(app.router)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._answer(request, handler)
        if not self._keep_alive:
            response.force_close()
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check_host(request, self._host)
            if is_own_route(request.path):
                check_origin(request)
                return await self._own(request, handler)
            self.requests[request.path] += 1
            self._authorize(request.headers.get("Authorization", ""))
            return await self._troubled(request, handler)
        except Refusal as refusal:
            return refused(refusal)
        except web.HTTPException as error:
            return refused(Refusal("unknown", request.path, error.reason, error.status))

    async def _troubled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.faults == _NO_FAULTS:
            return await handler(request)
        try:
            return await troubled(request, handler, self.faults)
        finally:
            # A fault of one request may be used up now, and every open inbox shows that.
            self._arrivals.notify()

    async def _own(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request of a test or of the inbox. What it changed is told to every open page."""
        if request.method == "GET":
            return await handler(request)
        try:
            return await handler(request.clone(client_max_size=_MAX_OWN_BODY))
        except web.HTTPRequestEntityTooLarge:
            raise Refusal("invalid", "", f"the body must have at most {_MAX_OWN_BODY:,} bytes", 413) from None
        finally:
            self._arrivals.notify()

    def _snapshot(self) -> dict[str, Any]:
        """Return what every event of the inbox holds."""
        counts = {name: self._sending.counts[name] for name in ("accepted", "rejected", "repeated")}
        seen = {"now": round(self._clock.now() * 1000), "counts": counts, "keep": self._keeping.keep}
        return seen | {"skippedCallbacks": self._sending.skipped, "faults": self.faults.as_json()}

    def _authorize(self, header: str) -> None:
        kind, _, credentials = header.partition(" ")
        known = (kind == "Key" and bool(credentials)) or (kind == "Basic" and _is_login(credentials))
        if not known or (self._allowed is not None and header != self._allowed):
            raise Refusal("forbidden", "Authorization", "unknown credentials", 401)

    async def _incoming(self, request: web.Request) -> web.Response:
        """POST an incoming message as asked by {"url": ..., "message": {...}}. The real Devino has no such route."""
        asked = await json_in(request)
        url, given = (asked.get("url"), asked.get("message") or {}) if isinstance(asked, dict) else (None, {})
        if not isinstance(url, str) or not is_loopback(url):
            raise Refusal("invalid", "url", "must be an http or https URL of a loopback address")
        if not isinstance(given, dict):
            raise Refusal("invalid", "message", "must be an object")
        reached = await self._callbacks.post(url, incoming(self._clock.now()) | given)
        return result({"reached": reached})


def _header(api_key: str | None, login: str | None, password: str | None) -> str | None:
    if api_key is not None:
        return f"Key {api_key}"
    if login is None:
        return None
    return "Basic " + base64.b64encode(f"{login}:{password or ''}".encode()).decode()


def _number(message_id: str | None) -> int | None:
    if message_id is None:
        return None
    number = sqlite_id(message_id)
    if number is None:
        raise ValueError("after must be the id of a message")
    return number


def _is_login(credentials: str) -> bool:
    try:
        return b":" in base64.b64decode(credentials, validate=True)
    except ValueError:
        return False
