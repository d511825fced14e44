"""The sandbox itself: routes, authorization, start and stop. Each route's answer is in its own file."""

import asyncio
import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from .account import Account
from .bodies import json_in
from .callbacks import Callbacks
from .clock import Clock, SystemClock
from .details import Details
from .envelope import Refusal, refused, result
from .faults import CallbackFaults
from .loopback import is_loopback
from .sending import Sending
from .statistics import Statistics
from .statuses import Statuses
from .store import Store

__all__ = ["Sandbox"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_BODY = 256 * 2**20


class Sandbox:
    """A pretend Devino on loopback. `url` is its address once it runs, `requests` counts the requests by path.

    - `port`: 0 chooses a free one. `database`: ":memory:", or a file that is kept.
    - `api_key`, or `login` and `password`: the only accepted credentials. By default any well-formed ones are accepted.
    - `stage`: seconds that a message spends in each of ACCEPTED, ENROUTE and SENT before its last status.
    - `clock`: a ManualClock lets a test move the time.
    - `callback_faults`: deliberate duplicates, disorder, delay and loss of status callbacks.
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
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock or SystemClock()
        self._store = Store(database)
        self._sending = Sending(self._store, self._clock)
        self._callbacks = Callbacks(self._store, self._clock, stage, callback_faults)
        self._statuses = Statuses(self._store, self._clock, stage, round_ids)
        self._details = Details(self._store, self._clock, stage)
        self._statistics = Statistics(self._store, self._clock, stage)
        self._account = Account(self._store)
        self._allowed = _header(api_key, login, password)
        self._runner: web.AppRunner | None = None
        self._reporter: asyncio.Task[None] | None = None
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
        """Open the database and listen. Raises OSError for an unusable port, sqlite3.Error for an unusable database."""
        try:
            await self._store.open()
            await self._sending.resume()
            await self._listen()
        except BaseException:
            await self.stop()
            raise
        self._reporter = asyncio.create_task(self._callbacks.run(), name="sandbox-callbacks")

    async def _listen(self) -> None:
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"

    async def stop(self) -> None:
        """Stop listening and close the database. It may be called twice, or before `start`."""
        reporter, self._reporter = self._reporter, None
        if reporter is not None:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
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
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests[request.path] += 1
        try:
            self._authorize(request.headers.get("Authorization", ""))
            return await handler(request)
        except Refusal as refusal:
            return refused(refusal)
        except web.HTTPException as error:
            return refused(Refusal("unknown", request.path, error.reason, error.status))

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
        message = {
            "incomingMessageId": "3777714415805253122",
            "to": "MyCompany",
            "from": "79000000001",
            "text": "Incoming Message",
            "transactionId": "a7d76677f699",
            "prefix": "2135",
            "operator": "MTS",
            "countryName": "ru",
            "ts": str(round(self._clock.now() * 1000)),
        }
        reached = await self._callbacks.post(url, message | given)
        return result({"reached": reached})


def _header(api_key: str | None, login: str | None, password: str | None) -> str | None:
    if api_key is not None:
        return f"Key {api_key}"
    if login is None:
        return None
    return "Basic " + base64.b64encode(f"{login}:{password or ''}".encode()).decode()


def _is_login(credentials: str) -> bool:
    try:
        return b":" in base64.b64decode(credentials, validate=True)
    except ValueError:
        return False
