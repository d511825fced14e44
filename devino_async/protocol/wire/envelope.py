"""The envelope around every answer: {"result": ...}, or {"result": null, "reasons": [...], "description": ...}.

What stands in the result is the chapters'.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import starmap
from typing import Any, TypeVar

from ...errors import BadAnswer, InvalidQuery, Reason
from ...exchange import Answer
from .converter import Mismatch, as_object
from .strict_json import Unreadable, decode

__all__ = ["bad_answer", "checked_id", "is_refusal", "reason_texts_in", "reasons_in", "reasons_of", "result_of"]

T = TypeVar("T")

_LONGEST_ID = 64


def result_of(answer: Answer, operation: str, read: Callable[[Any], T]) -> T:
    """What `read` makes of the answer's result. Raises Refused for a refused call, BadAnswer for all else."""
    problem: str
    try:
        envelope = as_object(decode(answer.body))
        if envelope.get("result") is not None:
            return read(envelope["result"])
        if is_refusal(envelope):
            raise answer.refused(operation, reasons_in(envelope))
        problem = "the answer holds no result"
    except (Unreadable, Mismatch) as error:
        problem = f"the answer breaks the page: {error}"
    raise bad_answer(answer, operation, problem)


def is_refusal(envelope: Mapping[str, Any]) -> bool:
    """Whether an envelope has no result and says why; without reasons, the result must really be null."""
    if envelope.get("result") is not None:
        return False
    return bool(reasons_in(envelope)) or ("result" in envelope and isinstance(envelope.get("description"), str))


def reasons_of(body: bytes) -> tuple[Reason, ...]:
    """The `reasons` in a body that may be an envelope."""
    try:
        return reasons_in(as_object(decode(body)))
    except (Unreadable, Mismatch):
        return ()


def bad_answer(
    answer: Answer, operation: str, problem: str, message_ids: tuple[str, ...] = (), *, excerpt: str | None = None
) -> BadAnswer:
    """The error for an answer that cannot be trusted; ids that were found in it are kept as evidence.

    Whoever needs several errors for one answer gives its `excerpt`, which takes long to make.
    """
    return BadAnswer(
        problem,
        operation=operation,
        attempts=answer.attempts,
        status=answer.status,
        body=answer.excerpt() if excerpt is None else excerpt,
        message_ids=message_ids,
    )


def reasons_in(envelope: Mapping[str, Any]) -> tuple[Reason, ...]:
    """The `reasons` of a rejected message or a refused call, as far as they can be read."""
    return tuple(starmap(Reason, reason_texts_in(envelope)))


def reason_texts_in(envelope: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """The same as texts: key, ref and default message of each."""
    listed = envelope.get("reasons")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            yield _text(entry.get("key")) or "unknown", _text(entry.get("ref")), _text(entry.get("defaultMessage"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def checked_id(value: object, ref: str) -> str:
    """An id as text. Raises InvalidQuery for what is neither text of letters and digits nor a whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_LONGEST_ID:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isalnum() and len(value) <= _LONGEST_ID:
        return value
    problem = (
        f"must be text of up to {_LONGEST_ID} letters or digits, or such a number, not this {type(value).__name__}"
    )
    raise InvalidQuery([Reason("invalid", ref, problem)])
