"""Endpoint: one address of the API, and what all calls to it have in common.

Each endpoint's module defines one, with the limits from the API docs beside it.
"""

from collections.abc import Callable
from typing import Any

from attrs import fields, frozen

from ...exchange import Admission, Call
from .envelope import refused_as_told

__all__ = ["Endpoint"]

_MEGABYTE = 1_000_000
# Fields that an endpoint does not set have the defaults of Call.
_call: Any = fields(Call)


@frozen(kw_only=True)
class Endpoint:
    """The name of the operation, and how its calls are sent.

    A decoded answer may have up to `max_answer_bytes` bytes, and `max_answer_bytes_per_message` more for each message
    that is sent. The other fields are described in Call.
    """

    operation: str
    method: str
    path: str
    repeatable: bool = True
    max_answer_bytes: int = 64 * _MEGABYTE
    max_answer_bytes_per_message: int = 0
    carries_result: Callable[[bytes], bool] = _call.carries_result.default
    ids_in: Callable[[bytes], tuple[str, ...]] = _call.ids_in.default

    def call(
        self,
        *,
        query: str = "",
        body: tuple[bytes, ...] | None = None,
        messages: int = 0,
        urgent: bool = False,
        admission: Admission | None = None,
    ) -> Call:
        """Return a call to this address."""
        return Call(
            operation=self.operation,
            method=self.method,
            path=self.path,
            query=query,
            body=body,
            repeatable=self.repeatable,
            urgent=urgent,
            admission=admission,
            messages=messages,
            answer_limit=self.max_answer_bytes + messages * self.max_answer_bytes_per_message,
            carries_result=self.carries_result,
            ids_in=self.ids_in,
            refusal=refused_as_told,
        )
