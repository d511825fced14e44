"""The envelope around every answer: {"result": ...}, or {"result": null, "reasons": [...], "description": ...}.

The result itself is read by each endpoint's module.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import starmap
from typing import Any, TypeVar

from ...errors import BadAnswer, CallFailed, InvalidQuery, Reason, refusal
from ...exchange import Answer
from ...redaction import Redaction
from .converter import Mismatch, as_object
from .strict_json import Unreadable, decode

__all__ = [
    "bad_answer",
    "checked_id",
    "cleared",
    "is_refusal",
    "reason_texts_in",
    "reasons_from_body",
    "reasons_from_envelope",
    "refused",
    "refused_as_told",
    "result_of",
]

T = TypeVar("T")

_MAX_ID_LENGTH = 64
_REASONS_SHOWN = 5


def result_of(answer: Answer, operation: str, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of the answer's result. Raises Refused for a refused call, BadAnswer for all else."""
    outcome = _outcome_of(answer, operation, read)
    # Raised here, because the locals of _outcome_of hold the answer, and error trackers record locals.
    if isinstance(outcome, CallFailed):
        raise outcome
    return outcome


def _outcome_of(answer: Answer, operation: str, read: Callable[[Any], T]) -> T | CallFailed:
    problem: str
    try:
        envelope = as_object(decode(answer.body, lenient=True))
        if envelope.get("result") is not None:
            return read(envelope["result"])
        if is_refusal(envelope):
            return refused(answer, operation, reasons_from_envelope(envelope))
        problem = "the answer holds no result"
    except (Unreadable, Mismatch) as error:
        problem = f"the answer does not match the API docs: {error}"
    return bad_answer(answer, operation, problem)


def is_refusal(envelope: Mapping[str, Any]) -> bool:
    """Return whether an envelope gives reasons, or a description, instead of a result.

    A description alone counts if the result is given as null, but not if the result is missing.
    """
    if envelope.get("result") is not None:
        return False
    return bool(reasons_from_envelope(envelope)) or (
        "result" in envelope and isinstance(envelope.get("description"), str)
    )


def refused(answer: Answer, operation: str, reasons: tuple[Reason, ...]) -> CallFailed:
    """Return the error for a call that was refused as a whole.

    It quotes only those words of the service that may be shown.
    """
    named = answer.redaction.clear("; ".join(map(str, reasons[:_REASONS_SHOWN])))
    return refusal(answer.status)(
        f"the service refused the call: {named}" if named else "the service refused the call",
        operation=operation,
        attempts=answer.attempts,
        status=answer.status,
        body=answer.excerpt(),
        reasons=tuple(Reason(*cleared(answer.redaction, each.key, each.ref, each.default_message)) for each in reasons),
    )


def refused_as_told(answer: Answer, operation: str) -> CallFailed:
    """Return the error that `refused` makes, with the reasons in the answer's body."""
    return refused(answer, operation, reasons_from_body(answer.body))


def cleared(
    redaction: Redaction, key: str, ref: str | None, default_message: str | None
) -> tuple[str, str | None, str | None]:
    """Return the key, ref and default message of a reason, with credentials removed."""
    return (
        redaction.without_secrets(key) or "unknown",
        None if ref is None else redaction.without_secrets(ref),
        None if default_message is None else redaction.without_secrets(default_message),
    )


def bad_answer(
    answer: Answer, operation: str, problem: str, message_ids: tuple[str, ...] = (), *, excerpt: str | None = None
) -> BadAnswer:
    """Return the error for an answer that cannot be trusted. Ids that were found in it are kept as evidence.

    Making an excerpt is slow: pass it as `excerpt` when one answer needs several errors.
    """
    return BadAnswer(
        problem,
        operation=operation,
        attempts=answer.attempts,
        status=answer.status,
        body=answer.excerpt() if excerpt is None else excerpt,
        message_ids=message_ids,
    )


def reasons_from_body(body: bytes) -> tuple[Reason, ...]:
    """Return the `reasons` in a body, or an empty tuple if the body is not an envelope."""
    try:
        return reasons_from_envelope(as_object(decode(body)))
    except (Unreadable, Mismatch):
        return ()


def reasons_from_envelope(envelope: Mapping[str, Any]) -> tuple[Reason, ...]:
    """Return the `reasons` of a rejected message or a refused call, as far as they can be read."""
    return tuple(starmap(Reason, reason_texts_in(envelope)))


def reason_texts_in(envelope: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the key, ref and default message of each of the `reasons` that can be read."""
    listed = envelope.get("reasons")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            yield _text(entry.get("key")) or "unknown", _text(entry.get("ref")), _text(entry.get("defaultMessage"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def checked_id(value: object, ref: str) -> str:
    """Return an id as text. Raises InvalidQuery for anything but a str of letters and digits, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MAX_ID_LENGTH:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isalnum() and len(value) <= _MAX_ID_LENGTH:
        return value
    problem = (
        f"must be up to {_MAX_ID_LENGTH} letters or digits, as a str or a whole number, not this {type(value).__name__}"
    )
    raise InvalidQuery([Reason("invalid", ref, problem)])
