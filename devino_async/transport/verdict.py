"""One decision: what one attempt proves, and whether that makes another one safe and useful.

Pure. The class of an exception plays no part. The evidence comes from the ledger and the answer. attempt.py turns the
decision into an answer or an error, and retry.py acts on it.
"""

from enum import Enum

from attrs import frozen

from .ledger import Handed

__all__ = ["Decision", "Evidence", "Verdict", "decide"]


class Verdict(Enum):
    """What is known of a request."""

    READ = "the answer speaks for itself"
    REFUSED = "the service refused the call and processed nothing"
    UNSENT = "the service cannot have processed the call"
    UNCONFIRMED = "the service may have processed the call"


@frozen(kw_only=True)
class Evidence:
    """The facts of one attempt.

    `status` is that of a complete answer, or None if none came. `carries_result` says whether the body of a 4xx answer
    reports on single messages. `permanent` marks a failure that no repeat can fix, such as a wrong certificate.
    """

    handed: Handed
    status: int | None = None
    carries_result: bool = False
    permanent: bool = False


@frozen
class Decision:
    """The verdict, and whether the call may be made again."""

    verdict: Verdict
    retry: bool


# A real answer with one of these statuses says that nothing was processed. 409 and 425 do not say that.
_REFUSING = frozenset({400, 401, 403, 404, 405, 408, 411, 413, 415, 417, 429, 431})
_TRANSIENT_REFUSALS = frozenset({408, 429})


def decide(evidence: Evidence, *, repeatable: bool) -> Decision:
    """Return the decision for a call that may be repeated freely (a look-up) or not (a send)."""
    if repeatable:
        return _decide_look_up(evidence)
    if evidence.handed is not Handed.ALL and not _refuses(evidence.status):
        return Decision(Verdict.UNSENT, retry=not evidence.permanent)
    if evidence.status is None:
        return Decision(Verdict.UNCONFIRMED, retry=False)
    if _succeeds(evidence.status) or (_refuses(evidence.status) and evidence.carries_result):
        return Decision(Verdict.READ, retry=False)
    if _refuses(evidence.status):
        return Decision(Verdict.REFUSED, retry=evidence.status in _TRANSIENT_REFUSALS)
    return Decision(Verdict.UNCONFIRMED, retry=False)


def _decide_look_up(evidence: Evidence) -> Decision:
    if evidence.status is None:
        verdict = Verdict.UNCONFIRMED if evidence.handed is Handed.ALL else Verdict.UNSENT
        return Decision(verdict, retry=not evidence.permanent)
    if _succeeds(evidence.status):
        return Decision(Verdict.READ, retry=False)
    if 400 <= evidence.status < 500:
        return Decision(Verdict.REFUSED, retry=evidence.status in _TRANSIENT_REFUSALS)
    return Decision(Verdict.UNCONFIRMED, retry=evidence.status >= 500)


def _succeeds(status: int) -> bool:
    return 200 <= status < 300


def _refuses(status: int | None) -> bool:
    return status in _REFUSING
