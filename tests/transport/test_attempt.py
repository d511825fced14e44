"""One attempt: which answer or error its evidence becomes. Nothing is sent: the facts are noted by hand."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from devino_async.errors import (
    BadAnswer,
    CallFailed,
    OutcomeUnknown,
    Refused,
    RequestNotSent,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
)
from devino_async.exchange import Answer, Call
from devino_async.redaction import Redaction
from devino_async.transport.answers import TooLong
from devino_async.transport.attempt import Attempt
from devino_async.transport.ledger import Handed


def ids_in(body: bytes) -> tuple[str, ...]:
    return tuple(part.split(b'"')[0].decode() for part in body.split(b'"id":"')[1:])


SEND = Call(operation="send", method="POST", path="/", body=(b"{}",), repeatable=False, ids_in=ids_in)
LOOK_UP = Call(operation="account", method="GET", path="/")
HTML, JSON = b"<html>", b'{"result": []}'


def attempted(
    call: Call,
    status: int | None = None,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] = {},
    handed: Handed = Handed.ALL,
    error: Exception | None = None,
) -> Attempt:
    attempt = Attempt(call, Redaction(("secret",)))
    attempt.ledger.handed = handed
    if status is not None:
        attempt.begun(status, headers)
    attempt.body += body
    if error is not None:
        attempt.failed(error)
    elif status is not None:
        attempt.finished()
    return attempt


def failure(*given: Any, **named: Any) -> CallFailed:
    outcome = attempted(*given, **named).outcome()
    assert isinstance(outcome, CallFailed)
    return outcome


@pytest.mark.parametrize(
    ("call", "status", "body", "kind", "retriable"),
    [
        (SEND, 401, HTML, Unauthorized, False),
        (SEND, 404, HTML, Refused, False),
        (SEND, 408, HTML, Refused, True),
        (SEND, 429, HTML, TooManyRequests, True),
        (SEND, 500, JSON, ServerFailed, False),
        (SEND, 503, JSON, ServerFailed, False),
        (SEND, 302, b"", OutcomeUnknown, False),
        (SEND, 409, JSON, OutcomeUnknown, False),
        (LOOK_UP, 403, JSON, Refused, False),
        (LOOK_UP, 429, b"", TooManyRequests, True),
        (LOOK_UP, 503, HTML, ServerFailed, True),
        (LOOK_UP, 302, b"", OutcomeUnknown, False),
        (LOOK_UP, 200, HTML, BadAnswer, True),
        (LOOK_UP, 200, b"", BadAnswer, True),
    ],
)
def test_a_whole_answer_that_fails(call: Call, status: int, body: bytes, kind: type, retriable: bool) -> None:
    """Each status becomes its error, which says whether another attempt is safe."""
    error = failure(call, status, body)
    assert isinstance(error, kind)
    assert (error.operation, error.status, error.retriable) == (call.operation, status, retriable)
    assert error.body is not None


@pytest.mark.parametrize(
    ("call", "body"), [(SEND, JSON), (SEND, HTML), (LOOK_UP, JSON), (LOOK_UP, b"\xef\xbb\xbf [] ")]
)
def test_a_whole_answer(call: Call, body: bytes) -> None:
    """A 2xx answer is given as it came. Only of a look-up is it asked that it looks like JSON."""
    answer = attempted(call, 200, body, headers={"Content-Type": "x/y"}).outcome()
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.content_type) == (200, body, "x/y")


def test_the_wait_that_the_service_asks_for() -> None:
    """Retry-After of a 429 stands on its error."""
    error = failure(SEND, 429, headers={"Retry-After": "7"})
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == 7.0


@pytest.mark.parametrize("error", [OSError(104, "reset"), TimeoutError(), aiohttp.ClientPayloadError(), TooLong()])
@pytest.mark.parametrize("status", [None, 200, 400])
def test_the_ledger_decides_and_not_the_error(error: Exception, status: int | None) -> None:
    """Without a whole answer a send is unsent exactly while the ledger says so, whatever was raised."""
    for handed in (Handed.NOTHING, Handed.SOME):
        assert isinstance(failure(SEND, status, handed=handed, error=error), RequestNotSent)
    assert type(failure(SEND, status, JSON, handed=Handed.ALL, error=error)) is OutcomeUnknown


def test_a_look_up_that_never_connected() -> None:
    """A look-up has no body to count, so only an error of connecting says that it was not sent."""
    refused: Any = aiohttp.ConnectionTimeoutError()
    assert type(failure(LOOK_UP, error=refused)) is RequestNotSent
    assert type(failure(LOOK_UP, error=TimeoutError())) is OutcomeUnknown


def test_a_failure_that_no_repeat_can_mend() -> None:
    """A wrong address stays wrong: not sent, and not retriable."""
    error = failure(SEND, handed=Handed.NOTHING, error=aiohttp.InvalidURL("https://secret/"))
    assert isinstance(error, RequestNotSent)
    assert not error.retriable
    assert "secret" not in repr(error)


@pytest.mark.parametrize(("handed", "kind"), [(Handed.SOME, RequestNotSent), (Handed.ALL, OutcomeUnknown)])
def test_closing(handed: Handed, kind: type) -> None:
    """What closing cut short is judged by the ledger too, and is never retriable."""
    attempt = attempted(SEND, handed=handed)
    attempt.cut_short()
    outcome = attempt.outcome()
    assert type(outcome) is kind
    assert not outcome.retriable


def test_a_verdict_seals_the_ledger() -> None:
    """Once there is an outcome nothing more of the body may leave, or the outcome would become untrue."""
    attempt = attempted(SEND, handed=Handed.SOME)
    attempt.outcome()
    assert attempt.ledger.sealed


async def test_ids_of_a_long_answer() -> None:
    """All ids are found in an answer that is searched in steps, and others run meanwhile."""
    body = b"[" + b",".join(b'{"id":"%d"}' % number for number in range(40_000)) + b"]"
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await attempted(SEND, 200, body).ids() == tuple(map(str, range(40_000)))
    counting.cancel()
    assert turns > 3


async def test_a_cancelled_search_for_ids() -> None:
    """Closing during the search loses no id."""
    body = b"[" + b",".join(b'{"id":"%d"}' % number for number in range(40_000)) + b"]"
    searching = asyncio.create_task(attempted(SEND, 200, body).ids())
    await asyncio.sleep(0)
    searching.cancel()
    assert len(await searching) == 40_000


async def test_look_ups_are_not_searched() -> None:
    """Ids in the answer to a look-up are evidence of nothing."""
    assert await attempted(LOOK_UP, 500, b'{"id":"1"}').ids() == ()
