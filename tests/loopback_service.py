"""A small real HTTP service on loopback. The fixture `service` of conftest.py starts it."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Answering = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


class Service:
    """Answers every request as the test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answering: Answering = accept_all
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        return await self.answering(request, body)


async def accept_all(request: web.Request, body: Any) -> web.StreamResponse:
    """Every message is accepted; its id is its recipient. Look-ups, such as probes, find nothing."""
    if "messages" not in body:
        return web.json_response({"result": []})
    return web.json_response({"result": [{"code": "OK", "messageId": each["to"]} for each in body["messages"]]})
