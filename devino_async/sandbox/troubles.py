"""Faults that a test or the inbox switches on while the sandbox runs, and what they do to an answer.

Faults of callbacks are drawn in faults.py.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from attrs import asdict, define, evolve, field, fields, setters

from .envelope import Refusal, refused
from .faults import CallbackFaults

__all__ = ["SEND", "Faults", "lose_answer", "troubled"]

SEND = "/sms/messages"
_LOOK_UPS = {"/sms-stat/statuses/get-by-ids", "/sms-stat/detail"}
_MAX_LATENCY = 60.0
_WIRE_NAMES = {
    "latency": "latency",
    "too_many_requests": "tooManyRequests",
    "unavailable": "unavailable",
    "lost_answer": "lostAnswer",
    "cut_answer": "cutAnswer",
    "malformed_rows": "malformedRows",
    "callbacks": "callbacks",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _seconds(_: Any, attribute: Any, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MAX_LATENCY:
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 to {_MAX_LATENCY:.0f}")


def _times(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{attribute.name} must be true, false, or a number of requests")


def _callbacks(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, CallbackFaults):
        raise ValueError(f"{attribute.name} must be CallbackFaults")


@define(kw_only=True, on_setattr=setters.validate)
class Faults:
    """What goes wrong. Set an attribute, and it takes effect at the next request. Raises ValueError for a bad value.

    The faults of answers are False, True, or for how many requests they last. A fault of another kind of request does
    not use them up.

    - `latency`: seconds, 0 to 60, before each answer.
    - `too_many_requests`: 429 with `Retry-After: 1`. `unavailable`: 503. In both cases nothing is accepted.
    - `lost_answer`: the messages of a send are accepted, then the connection closes.
    - `cut_answer`: the same, after half of the answer.
    - `malformed_rows`: the first row of an answer to `statuses` or `details` cannot be read.
    - `callbacks`: duplicates, loss, delay and disorder of status callbacks.
    """

    latency: float = field(default=0.0, validator=_seconds)
    too_many_requests: bool | int = field(default=False, validator=_times)
    unavailable: bool | int = field(default=False, validator=_times)
    lost_answer: bool | int = field(default=False, validator=_times)
    cut_answer: bool | int = field(default=False, validator=_times)
    malformed_rows: bool | int = field(default=False, validator=_times)
    callbacks: CallbackFaults = field(factory=CallbackFaults, validator=_callbacks)

    def clear(self) -> None:
        """Switch all faults off."""
        self._become(Faults())

    def as_json(self) -> dict[str, Any]:
        """Return the faults as `/_sandbox/faults` gives them."""
        return {_WIRE_NAMES[name]: value for name, value in asdict(self).items()}

    def set_from(self, asked: Any) -> None:
        """Set the members that a JSON object holds, all or none. Raises Refusal."""
        if not isinstance(asked, dict):
            raise Refusal("invalid", "", "the body must be an object of faults")
        names = {wire: name for name, wire in _WIRE_NAMES.items()}
        if unknown := asked.keys() - names.keys():
            raise Refusal("invalid", min(unknown), f"must be one of {', '.join(names)}")
        given = {names[wire]: value for wire, value in asked.items()}
        try:
            if "callbacks" in given:
                given["callbacks"] = evolve(self.callbacks, **given["callbacks"])
            changed = evolve(self, **given)
        except (ValueError, TypeError) as error:
            raise Refusal("invalid", "", str(error)) from None
        self._become(changed)

    def _become(self, other: "Faults") -> None:
        for each in fields(Faults):
            setattr(self, each.name, getattr(other, each.name))

    def take(self, name: str) -> bool:
        """Return whether a fault befalls this request, and count it."""
        left = getattr(self, name)
        if left is not True and left:
            setattr(self, name, left - 1)
        return bool(left)


async def troubled(request: web.Request, handler: Handler, faults: Faults) -> web.StreamResponse:
    """Answer a request of the API with the faults that are switched on."""
    if faults.latency:
        await asyncio.sleep(faults.latency)
    if faults.take("too_many_requests"):
        response = refused(Refusal("unknown", request.path, "too many requests", 429))
        response.headers["Retry-After"] = "1"
        return response
    if faults.take("unavailable"):
        return refused(Refusal("unknown", request.path, "the service is unavailable", 503))
    answer = await handler(request)
    if isinstance(answer, web.Response) and answer.status == 200:
        return await _spoilt(request, answer, faults)
    return answer


async def _spoilt(request: web.Request, answer: web.Response, faults: Faults) -> web.StreamResponse:
    if request.path == SEND:
        if faults.take("lost_answer"):
            return lose_answer(request)
        if faults.take("cut_answer"):
            return await _cut(request, answer)
    elif request.path in _LOOK_UPS and faults.take("malformed_rows"):
        return _malformed(answer)
    return answer


def lose_answer(request: web.Request) -> web.Response:
    """Close the connection, so that no answer goes out. aiohttp drops what is returned."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body
    assert isinstance(body, bytes | bytearray)  # noqa: S101 - all answers of the API are bytes
    half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await half.prepare(request)
    await half.write(bytes(body[: len(body) // 2]))
    if request.transport is not None:
        # What was written leaves first, then the connection closes.
        request.transport.close()
    return half


def _malformed(answer: web.Response) -> web.Response:
    body = json.loads(answer.text or "")
    rows = body["result"] if isinstance(body["result"], list) else body["result"]["data"]
    if rows:
        rows[0] = "not a row"
    return web.json_response(body)
