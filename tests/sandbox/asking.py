"""Shared by the tests of the sandbox: a plain HTTP client for it, messages to send, and a receiver of callbacks."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from devino_async.sandbox import ManualClock, Sandbox

# The moment just before the scheduled time in the API docs' example.
START = datetime(2022, 9, 9, 8, 0, tzinfo=UTC)
WIRE = Path(__file__).parents[1] / "wire"


class Asking:
    """A sandbox with its own clock, and a session for requests to it."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.session = session

    async def ask(self, method: str, path: str, **named: Any) -> tuple[int, Any]:
        url = URL(self.sandbox.url + path, encoded=True)
        async with self.session.request(method, url, **named) as response:
            return response.status, await response.json()

    async def send(self, *messages: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        body = io.BytesIO(json.dumps({"messages": list(messages)}).encode())
        status, body = await self.ask("POST", f"/sms/messages{query}", data=body)
        assert status == 200, body
        return list(body["result"])

    async def statuses(self, *ids: str) -> dict[str, str]:
        status, body = await self.ask("POST", "/sms-stat/statuses/get-by-ids", json=list(ids))
        assert status == 200
        return {str(each["smsId"]): each["status"] for each in body["result"]}

    async def details(self, query: str) -> dict[str, Any]:
        status, body = await self.ask("GET", f"/sms-stat/detail?{query}")
        assert status == 200, body
        return dict(body["result"])

    async def counts(self, query: str = "", group: str = "NONE") -> dict[str, Any]:
        span = "startDate=2022-01-01T00:00:00&endDate=2039-12-31T23:59:59"
        status, body = await self.ask("GET", f"/sms-stat/statistics/of-group?{span}&groupBy={group}{query}")
        assert status == 200, body
        return dict(body["result"])


def message(to: str = "79000000001", **fields: Any) -> dict[str, Any]:
    return {"from": "MyCompany", "to": to, "text": "Hello", **fields}


class Receiver:
    """Receives callbacks on loopback."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.status = 200

    async def post(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.Response(status=self.status)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for body in self.bodies for event in body]
