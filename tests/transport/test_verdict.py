"""The decision table of sends and look-ups, row by row."""

import pytest

from devino_async.transport.ledger import Handed
from devino_async.transport.verdict import Decision, Evidence, Verdict, decide

REFUSING = [400, 401, 403, 404, 405, 408, 411, 413, 415, 417, 429, 431]
TELLING_NOTHING = [100, 199, 301, 302, 303, 304, 307, 308, 402, 409, 418, 422, 425, 499, 500, 502, 503, 504, 520, 599]


@pytest.mark.parametrize("handed", [Handed.NOTHING, Handed.SOME])
@pytest.mark.parametrize("status", [None, 200, 201, *TELLING_NOTHING])
def test_an_incomplete_send_is_unsent(handed: Handed, status: int | None) -> None:
    """While the last slice was not handed over, the service cannot hold the call: NotSent, retry."""
    evidence = Evidence(handed=handed, status=status)
    assert decide(evidence, repeatable=False) == Decision(Verdict.UNSENT, retry=True)


def test_a_permanent_failure_is_not_retried() -> None:
    """A wrong certificate stays wrong: NotSent, no retry."""
    for repeatable in (False, True):
        decision = decide(Evidence(handed=Handed.NOTHING, permanent=True), repeatable=repeatable)
        assert decision == Decision(Verdict.UNSENT, retry=False)


@pytest.mark.parametrize("handed", list(Handed))
@pytest.mark.parametrize("status", REFUSING)
def test_a_real_refusal(handed: Handed, status: int) -> None:
    """A real 4xx of the table says that nothing was processed. Only 408 and 429 are worth another attempt."""
    decision = decide(Evidence(handed=handed, status=status), repeatable=False)
    assert decision == Decision(Verdict.REFUSED, retry=status in {408, 429})


@pytest.mark.parametrize("status", REFUSING)
def test_a_refusal_that_speaks_of_messages_is_read(status: int) -> None:
    """A 4xx whose body answers for single messages is read, and never repeated."""
    evidence = Evidence(handed=Handed.ALL, status=status, carries_result=True)
    assert decide(evidence, repeatable=False) == Decision(Verdict.READ, retry=False)


def test_whole_body_and_no_answer() -> None:
    """The whole body was handed over and no answer came: Unconfirmed, never repeated, whatever the failure was."""
    for permanent in (False, True):
        decision = decide(Evidence(handed=Handed.ALL, permanent=permanent), repeatable=False)
        assert decision == Decision(Verdict.UNCONFIRMED, retry=False)


@pytest.mark.parametrize("status", TELLING_NOTHING)
@pytest.mark.parametrize("carries_result", [False, True])
def test_statuses_that_prove_nothing(status: int, carries_result: bool) -> None:
    """5xx, 3xx, 409, 425 and unknown statuses prove nothing: Unconfirmed, never repeated."""
    evidence = Evidence(handed=Handed.ALL, status=status, carries_result=carries_result)
    assert decide(evidence, repeatable=False) == Decision(Verdict.UNCONFIRMED, retry=False)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_is_read(status: int) -> None:
    """A 2xx answer speaks for itself: the chapter reads it."""
    for repeatable in (False, True):
        decision = decide(Evidence(handed=Handed.ALL, status=status), repeatable=repeatable)
        assert decision == Decision(Verdict.READ, retry=False)


@pytest.mark.parametrize(
    ("status", "retry"),
    [(None, True), (400, False), (401, False), (403, False), (404, False), (408, True), (409, False), (429, True)]
    + [(500, True), (502, True), (503, True), (504, True), (301, False), (307, False)],
)
@pytest.mark.parametrize("handed", list(Handed))
def test_look_ups_are_retried_widely(status: int | None, retry: bool, handed: Handed) -> None:
    """Look-ups cost nothing: connection trouble, 408, 429 and 5xx are retried, other 4xx and redirects are not."""
    assert decide(Evidence(handed=handed, status=status), repeatable=True).retry is retry
