"""Events: what happens on the way is told to `on_event` and the logger, without anything secret or personal."""

import logging
from typing import Any

import pytest
from aiohttp import web

from devino_async import (
    Accepted,
    AttemptStarted,
    BatchFinished,
    BatchUnconfirmed,
    ClientEvent,
    DevinoClient,
    LaneChanged,
    LaneHeld,
    Message,
    RetryPolicy,
    RetryScheduled,
    ServerFailed,
    TooManyRequests,
    Unconfirmed,
)

MESSAGE = Message(sender="MyCompany", to="79000004567", text="the secret text")
QUICK = RetryPolicy(attempts=3, backoff=0.0)


def client(service: Any, on_event: Any) -> DevinoClient:
    return DevinoClient("secret-key", base_url=service.url, retry=QUICK, on_event=on_event)


async def test_a_retried_send(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt, each retry with its reason and wait, and the end of the batch are told in order."""
    answers = iter([429, 200])

    async def second_time(request: web.Request, body: Any) -> web.StreamResponse:
        if next(answers) == 429:
            return web.json_response({}, status=429, headers={"Retry-After": "0"})
        return web.json_response({"result": [{"code": "OK", "messageId": "1"}]})

    service.answering = second_time
    events: list[ClientEvent] = []
    with caplog.at_level(logging.DEBUG, "devino_async"):
        async with client(service, events.append) as devino:
            assert isinstance(await devino.send(MESSAGE), Accepted)
    first, held, retry, second, finished = events
    assert held == LaneHeld(lane="bulk", operation="send", wait=0.05, asked=0.0)
    assert isinstance(first, AttemptStarted)
    assert isinstance(second, AttemptStarted)
    assert (first.operation, first.attempt, first.messages, second.attempt) == ("send", 1, 1, 2)
    assert isinstance(retry, RetryScheduled)
    assert (type(retry.error), retry.attempt, retry.wait) == (TooManyRequests, 1, 0.0)
    assert finished == BatchFinished(messages=1, accepted=1, rejected=0, not_sent=0, unconfirmed=0)
    assert len([record for record in caplog.records if record.name == "devino_async"]) == 5
    for secret in ("secret", "79000004567"):
        assert secret not in caplog.text + repr(events)


async def test_an_unconfirmed_batch(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A batch that nobody can tell of is told as a warning, with its error."""

    async def failing(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response({}, status=502)

    service.answering = failing
    events: list[ClientEvent] = []
    async with client(service, events.append) as devino:
        await devino.send(MESSAGE)
    [unconfirmed] = [event for event in events if isinstance(event, BatchUnconfirmed)]
    assert unconfirmed.messages == 1
    assert isinstance(unconfirmed.error, ServerFailed)
    [opened] = [event for event in events if isinstance(event, LaneChanged)]
    assert (opened.lane, opened.state) == ("bulk", "open")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


async def test_hooks_that_raise(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a hook of the user's changes no outcome; only its class is logged."""

    def broken(event: ClientEvent) -> None:
        raise ValueError("79000004567")

    async with client(service, broken) as devino:
        assert isinstance(await devino.send(MESSAGE), Accepted)
    assert "a hook raised ValueError" in caplog.text
    assert "79000004567" not in caplog.text


@pytest.mark.parametrize("many", [False, True])
async def test_a_logger_that_raises(service: Any, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    """A logger of the user's that cannot even say whether it listens changes no outcome."""

    def broken(level: int) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(logging.getLogger("devino_async"), "isEnabledFor", broken)
    async with client(service, None) as devino:
        if many:
            assert len((await devino.send_all([MESSAGE])).accepted) == 1
        else:
            assert isinstance(await devino.send(MESSAGE), Accepted)


async def test_no_hook(service: Any) -> None:
    """Without a hook everything works the same."""

    async def failing(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response({}, status=500)

    service.answering = failing
    async with client(service, None) as devino:
        assert isinstance(await devino.send(MESSAGE), Unconfirmed)
