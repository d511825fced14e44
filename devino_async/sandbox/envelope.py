"""The envelope of an answer: a result, or a refusal with reasons."""

import json
from typing import Any

from aiohttp import web

__all__ = ["Refusal", "refused", "result"]


class Refusal(Exception):
    """A refused call, with the contents of its envelope."""

    def __init__(self, key: str, ref: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.key = key
        self.ref = ref
        self.message = message
        self.status = status


def result(value: Any) -> web.Response:
    """Return the answer to a call that was carried out."""
    answer = {"result": value}
    try:
        body = json.dumps(answer, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # The options of a message can hold half a surrogate pair, which only an escape can say.
        body = json.dumps(answer).encode()
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def refused(refusal: Refusal) -> web.Response:
    """Return the answer to a call that was refused."""
    reasons = [{"key": refusal.key, "ref": refusal.ref, "defaultMessage": refusal.message}]
    body = {"result": None, "reasons": reasons, "description": f"Key error: ({refusal.key})"}
    return web.json_response(body, status=refusal.status)
