"""The envelope around every answer: {"result": ...}, or {"result": null, "reasons": [...], "description": ...}.

What stands in the result is the chapters'.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import BadAnswer, CallFailed, InvalidQuery, Reason, refusal
from ..exchange import Answer
from .converter import Mismatch
from .strict_json import DoubleKeys, Unreadable, decode

__all__ = ["bad_answer", "check_ids", "is_refusal", "reasons_in", "refused", "result_of"]

T = TypeVar("T")


def result_of(answer: Answer, operation: str, read: Callable[[Any], T]) -> T:
    """What `read` makes of the answer's result. Raises Refused for a refused call, BadAnswer for all else."""
    problem: str
    try:
        envelope = decode(answer.body)
        if not isinstance(envelope, dict) or isinstance(envelope, DoubleKeys):
            problem = "the answer is no envelope"
        elif envelope.get("result") is not None:
            return read(envelope["result"])
        elif is_refusal(envelope):
            raise refused(answer, operation, reasons_in(envelope))
        else:
            problem = "the answer holds no result"
    except (Unreadable, Mismatch) as error:
        problem = f"the answer breaks the page: {error}"
    raise bad_answer(answer, operation, problem)


def is_refusal(envelope: Mapping[str, Any]) -> bool:
    """Whether an envelope without a result says why there is none."""
    return bool(reasons_in(envelope)) or isinstance(envelope.get("description"), str)


def refused(answer: Answer, operation: str, reasons: tuple[Reason, ...]) -> CallFailed:
    """The error for a call that the service refused as a whole."""
    return refusal(answer.status)(
        "the service refused the call",
        operation=operation,
        attempts=answer.attempts,
        status=answer.status,
        body=answer.excerpt(),
        reasons=reasons,
    )


def bad_answer(answer: Answer, operation: str, problem: str, message_ids: tuple[str, ...] = ()) -> BadAnswer:
    """The error for an answer that cannot be trusted; ids that were found in it are kept as evidence."""
    return BadAnswer(
        problem,
        operation=operation,
        attempts=answer.attempts,
        status=answer.status,
        body=answer.excerpt(),
        message_ids=message_ids,
    )


def reasons_in(envelope: Mapping[str, Any]) -> tuple[Reason, ...]:
    """The `reasons` of a rejected message or a refused call, as far as they can be read."""
    listed = envelope.get("reasons")
    if not isinstance(listed, list):
        return ()
    return tuple(
        Reason(_text(entry.get("key")) or "unknown", _text(entry.get("ref")), _text(entry.get("defaultMessage")))
        for entry in listed
        if isinstance(entry, dict)
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def check_ids(ids: Sequence[object], ref: str) -> tuple[str, ...]:
    """Ids as text. Raises InvalidQuery naming the first that is neither text nor a whole number."""
    checked: list[str] = []
    for index, value in enumerate(ids):
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            checked.append(str(value))
        elif isinstance(value, str) and value.isascii() and value.isalnum() and len(value) <= 64:
            checked.append(value)
        else:
            problem = f"must be text of up to 64 letters or digits, or a whole number, not {type(value).__name__}"
            raise InvalidQuery([Reason("invalid", f"{ref}[{index}]", problem)])
    return tuple(checked)
