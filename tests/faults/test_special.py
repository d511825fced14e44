"""Faults that need more than a script: other origins, proxies, names, backlogs, pooled connections, 503 by wish."""

import asyncio
import socket
import sys
from typing import Any

import pytest
from certs import Certificates
from fault_check import KEY, PATIENT, SHORT, TWICE, Row, check, messages, run, sent, settled, unsound
from fault_script import GOOD, End, Pause, Say, Script, Sip, Take, http, ok
from fault_server import FaultServer
from reachable import untroubled

from devino_async import (
    Accepted,
    AttemptStarted,
    DevinoClient,
    Message,
    NotSent,
    PoolOptions,
    RetryPolicy,
    SendReport,
    Timeouts,
    Unconfirmed,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


LOST: Script = (Take("request"), Say(http(503, "{}")), End("eof"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_another_origin_gets_nothing(status: int, certificates: Certificates) -> None:
    """A redirect is not followed: recipients, texts and the key stay with the origin that was named."""
    async with FaultServer((GOOD,)) as other:
        answer = http(status, "", f"Location: {other.url}/sms/messages")
        row = Row(name="", scripts=((Take("request"), Say(answer), End("eof")),), verdict=Unconfirmed)
        check(row, await run(row, certificates))
        assert other.connections == []


async def test_proxies_and_netrc_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, certificates: Certificates
) -> None:
    """The environment cannot send messages elsewhere, nor change the credentials."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    async with FaultServer((GOOD,)) as trap:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, trap.url)
            monkeypatch.setenv(name.lower(), trap.url)
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        row = Row(name="", scripts=(GOOD,), verdict=Accepted)
        outcome = await run(row, certificates)
        check(row, outcome)
        assert trap.connections == []
    assert f"Authorization: Key {KEY}".encode() in outcome.server.posts[0].head


@pytest.mark.parametrize("found", [socket.gaierror(-2, "unknown"), OSError(5, "no resolver"), RuntimeError("?"), []])
async def test_names_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    """A name that cannot be looked up is NotSent, whatever the resolver raises or answers."""

    async def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        if isinstance(found, list):
            return found
        raise found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with untroubled(DevinoClient(KEY, base_url="https://devino.test", timeouts=PATIENT, retry=TWICE)) as client:
        receipt = await client.send(messages(1)[0])
    assert isinstance(receipt, NotSent)
    assert receipt.error.attempts == 2


async def test_a_full_backlog() -> None:
    """A connection that is never established ends by the connect time-out, NotSent, and is tried again."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        timeouts = Timeouts(connect=0.2, read=20.0)
        try:
            async with untroubled(DevinoClient(KEY, base_url=url, timeouts=timeouts, retry=TWICE)) as client:
                receipt = await client.send(messages(1)[0])
        finally:
            for each in waiting:
                each.close()
    assert isinstance(receipt, NotSent)
    assert receipt.error.attempts == 2


async def test_a_slow_reader(certificates: Certificates) -> None:
    """An upload that creeps on is ended by the total time-out, and is NotSent as its end never left."""
    row = Row(
        name="", scripts=((Sip(2_000, 0.02),),), verdict=NotSent, tries=2, count=2000, long=True,
        timeouts=Timeouts(connect=5.0, read=5.0, total=0.5),
    )  # fmt: skip
    check(row, await run(row, certificates))


async def two_sends(server: FaultServer, *, reuse: bool, timeouts: Timeouts = PATIENT) -> list[str]:
    """Send two messages one after the other on one client; what is unsound about it."""
    pair = messages(2)
    pool = PoolOptions(reuse_connections=reuse)
    async with untroubled(DevinoClient(KEY, base_url=server.url, timeouts=timeouts, retry=TWICE, pool=pool)) as client:
        receipts = [await client.send(pair[0])]
        await settled(server)
        await settled(server)
        receipts.append(await client.send(pair[1]))
    await settled(server)
    return unsound(receipts, server.posts, pair)


LEFT_OVER = Say(http(200, '{"result": [{"code": "OK", "messageId": "1"}]}'))
STRAY: Script = (Take("request"), Say(ok), Pause(15), LEFT_OVER, End("stall"))
LATE: Script = (Take("request"), Say(ok), Take("request"), End("rst"))
CLOSING: Script = (Take("request"), Say(ok), End("fin"))


@pytest.mark.parametrize("script", [STRAY, LATE, CLOSING])
async def test_fresh_connections_know_no_stray_answers(script: Script) -> None:
    """By default each send has a connection of its own, so that nothing left over can be taken for its answer."""
    async with FaultServer((script, GOOD)) as server:
        assert await two_sends(server, reuse=False) == []
        assert len(server.connections) == 2


@pytest.mark.parametrize("script", [LATE, CLOSING, (*GOOD, *GOOD)])
async def test_pooled_connections_stay_sound_when_they_are_cut(script: Script) -> None:
    """A pooled connection that is cut costs certainty and not soundness."""
    async with FaultServer((script, GOOD)) as server:
        assert await two_sends(server, reuse=True) == []


@pytest.mark.xfail(
    sys.version_info >= (3, 12), strict=True, reason="the price of reuse_connections, which PoolOptions tells"
)
async def test_a_stray_answer_on_a_pooled_connection() -> None:
    """With pooled connections an answer left over is taken for that of the next send: this is why reuse is off.

    Before Python 3.12, where aiohttp does not write eagerly, it is there before the first byte and proves itself stray.
    """
    async with FaultServer((STRAY, GOOD)) as server:
        assert await two_sends(server, reuse=True, timeouts=SHORT) == []


async def with_503_allowed(*scripts: Script, retry: RetryPolicy | None = None) -> tuple[Any, FaultServer, int]:
    events: list[Any] = []
    policy = retry or RetryPolicy(attempts=2, backoff=0.0, retry_on_503=True)
    async with FaultServer(scripts) as server:
        async with untroubled(
            DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, retry=policy, on_event=events.append)
        ) as client:
            receipt = await client.send(messages(1)[0])
        await settled(server)
    return receipt, server, sum(isinstance(each, AttemptStarted) for each in events)


async def test_503_is_repeated_by_wish() -> None:
    """With `retry_on_503` a 503 is tried again; two of them are Unconfirmed."""
    receipt, _, attempts = await with_503_allowed(LOST)
    assert isinstance(receipt, Unconfirmed)
    assert attempts == 2
    receipt, _, attempts = await with_503_allowed(LOST, GOOD)
    assert isinstance(receipt, Accepted)
    assert attempts == 2


@pytest.mark.parametrize(
    "second",
    [
        (Take("request"), Say(http(400), refuses=True), End("eof")),
        (Take("request"), Say(http(429, "", "Retry-After: 0"), refuses=True), End("eof")),
    ],
)
async def test_what_follows_a_503_does_not_undo_it(second: Script) -> None:
    """A message that a 503 left open stays Unconfirmed, though the attempt after it was proved unsent or refused."""
    receipt, server, _ = await with_503_allowed(LOST, second)
    assert server.posts[0].complete
    assert isinstance(receipt, Unconfirmed), receipt


async def test_a_deadline_after_a_503_proves_nothing() -> None:
    """When the deadline ends the retries after a 503, the message is Unconfirmed and not NotSent."""
    policy = RetryPolicy(attempts=5, deadline=0.0, backoff=10.0, retry_on_503=True)
    receipt, server, _ = await with_503_allowed(LOST, retry=policy)
    assert server.posts[0].complete
    assert isinstance(receipt, Unconfirmed), receipt


async def test_closing_after_a_503_proves_nothing() -> None:
    """When closing ends the wait after a 503, the message is Unconfirmed and not NotSent."""
    policy = RetryPolicy(attempts=5, backoff=1_000.0, max_backoff=1_000.0, deadline=10_000.0, retry_on_503=True)
    waiting = asyncio.Event()

    def seen(event: Any) -> None:
        if not isinstance(event, AttemptStarted):
            waiting.set()

    async with FaultServer((LOST,)) as server:
        client = untroubled(DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, retry=policy, on_event=seen))
        task = asyncio.create_task(client.send(messages(1)[0]))
        await waiting.wait()
        await client.aclose(grace=0)
        receipt = await task
    assert isinstance(receipt, Unconfirmed), receipt


async def test_a_description_alone_is_no_refusal(certificates: Certificates) -> None:
    """A 2xx that holds some description and neither a result nor reasons says nothing about the messages."""
    answer = http(202, '{"description": "queued for processing"}')
    row = Row(name="", scripts=((Take("request"), Say(answer), End("eof")),), verdict=Unconfirmed)
    check(row, await run(row, certificates))


async def test_one_429_holds_every_send(certificates: Certificates) -> None:
    """After a 429 no other task of the client sends either; one that would have to wait too long gives up at once."""
    script: Script = (Take("request"), Say(http(429, "{}", "Retry-After: 86400"), refuses=True), End("eof"))
    async with FaultServer((script, GOOD)) as server:
        async with untroubled(DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, retry=TWICE)) as client:
            first, second = [await client.send(each) for each in messages(2)]
        assert len(server.connections) == 1
    assert isinstance(first, NotSent)
    assert isinstance(second, NotSent)
    assert second.error.attempts == 0


async def test_closing_waits_for_no_peer_that_reads_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept connection whose peer answered early and reads no more cannot keep aclose from returning."""
    monkeypatch.setattr("devino_async.transport.pool._MAX_FLUSH", 0.01)
    script = (Take(25_000), Say(http(503, "x")), End("stall"))
    pool = PoolOptions(reuse_connections=True, send_buffer=4_096)
    texts = [Message(sender="Lab", to=f"7900{number:07}", text="я" * 1_000) for number in range(36)]
    async with FaultServer((script,)) as server:
        once = RetryPolicy(attempts=1)
        devino = untroubled(DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, retry=once, pool=pool))
        report = SendReport.of(await sent(devino, texts))
        async with asyncio.timeout(30):
            await devino.aclose(grace=0)
    assert report.total == len(report.unconfirmed) + len(report.not_sent) == len(texts)
