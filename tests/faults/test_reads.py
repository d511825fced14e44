"""Look-ups may be repeated: every passing fault on the way to their answer is met with another try."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fault_check import KEY, PATIENT, SHORT
from fault_script import End, How, Say, Script, Take, chunked, http
from fault_server import FaultServer
from reachable import reachable

from devino_async import AttemptStarted, CallFailed, DetailQuery, DevinoClient, RetryPolicy

pytestmark = pytest.mark.usefixtures("no_leaks")

BODIES = {
    "account": b'{"result": {"account": {"balance": 1.5}}}',
    "statuses": b'{"result": [{"smsId": "1", "status": "DELIVERED"}]}',
    "details": b'{"result": {"data": [{"messageId": "1"}], "more": false}}',
}


async def ask_account(client: DevinoClient) -> Any:
    return await client.account()


async def ask_statuses(client: DevinoClient) -> Any:
    return await client.statuses(["1"])


async def ask_details(client: DevinoClient) -> Any:
    return [row async for row in client.details(DetailQuery(message_ids=["1"]))]


CALLS: dict[str, Callable[[DevinoClient], Awaitable[Any]]] = {
    "account": ask_account,
    "statuses": ask_statuses,
    "details": ask_details,
}


def transient(body: bytes) -> dict[str, Script]:
    """Scripts that a second try can mend."""
    ends: tuple[How, ...] = ("fin", "rst", "stall")
    found: dict[str, Script] = {"rst at once": (End("rst"),), "fin at once": (End("fin"),)}
    for how in ends:
        found |= {
            f"{how} in the head": (Take(50), End(how)),
            f"{how} before the answer": (Take("request"), End(how)),
            f"{how} after the status line": (Take("request"), Say(b"HTTP/1.1 200 OK\r\n"), End(how)),
            f"{how} before the body": (Take("request"), Say(http(200, b"", length=100)), End(how)),
            f"{how} in the body": (Take("request"), Say(http(200, body[:-5], length=len(body))), End(how)),
            f"{how} in the chunks": (Take("request"), Say(chunked(body, end=b"")), End(how)),
        }
    found["eof one byte before the end"] = (Take("request"), Say(http(200, body[:-1], length=len(body))), End("eof"))
    found["HTML"] = (Take("request"), Say(http(200, "<html>")), End("eof"))
    found["nothing"] = (Take("request"), Say(http(200)), End("eof"))
    found["garbage"] = (Take("request"), Say(b"garbage\r\n\r\n"), End("fin"))
    for status in (408, 429, 500, 502, 503, 504, 520):
        found[str(status)] = (Take("request"), Say(http(status, "{}", "Retry-After: 0")), End("eof"))
    return found


FAULTS = [(name, fault, script) for name, body in BODIES.items() for fault, script in transient(body).items()]


async def asked(name: str, *scripts: Script, attempts: int, timeouts: Any) -> tuple[Any, int, FaultServer]:
    """The answer or the error of one look-up, and how many attempts were made."""
    events: list[Any] = []
    retry = RetryPolicy(attempts=attempts, backoff=0.0)
    async with (
        FaultServer(scripts) as server,
        reachable(
            DevinoClient(KEY, base_url=server.url, timeouts=timeouts, retry=retry, on_event=events.append)
        ) as client,
    ):
        try:
            answer = await CALLS[name](client)
        except CallFailed as error:
            answer = error
    return answer, sum(isinstance(event, AttemptStarted) for event in events), server


@pytest.mark.parametrize(("name", "fault", "script"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_passing_fault_costs_one_more_try(name: str, fault: str, script: Script) -> None:
    """A look-up that fails on the way, even within its answer, is asked again and answered."""
    good: Script = (Take("request"), Say(http(200, BODIES[name])))
    timeouts = SHORT if "stall" in fault else PATIENT
    answer, attempts, server = await asked(name, script, good, attempts=3, timeouts=timeouts)
    assert not isinstance(answer, CallFailed), answer
    assert answer
    assert attempts == len(server.connections) == 2


@pytest.mark.parametrize("name", ["account", "statuses", "details"])
@pytest.mark.parametrize("attempts", [1, 3])
async def test_tries_are_counted(name: str, attempts: int) -> None:
    """A look-up is tried as often as RetryPolicy says, and its error tells how often that was."""
    script: Script = (Take("request"), End("rst"))
    answer, tried, server = await asked(name, script, attempts=attempts, timeouts=PATIENT)
    assert isinstance(answer, CallFailed)
    assert tried == answer.attempts == len(server.connections) == len(server.requests) == attempts


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415])
async def test_a_refusal_is_final(name: str, status: int) -> None:
    """A look-up that the service refuses is not tried again."""
    script: Script = (Take("request"), Say(http(status, '{"description": "no"}')), End("eof"))
    answer, tried, _ = await asked(name, script, attempts=3, timeouts=PATIENT)
    assert isinstance(answer, CallFailed)
    assert answer.status == status
    assert tried == 1
