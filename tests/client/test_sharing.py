"""One client shared by many callers, over real HTTP: shared POSTs, lanes, flush, closing, loops, forks, connections."""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from devino_async import (
    Accepted,
    ClientClosed,
    ConfigurationError,
    DevinoClient,
    Limits,
    Message,
    NotSent,
    OutboxFull,
    OutboxOptions,
    PoolOptions,
    Priority,
    Receipt,
    RetryPolicy,
    Unconfirmed,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


def message(number: int = 0, priority: Priority | None = None) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text=f"Привет {number}", priority=priority)


def client(service: Any, **options: Any) -> DevinoClient:
    return DevinoClient("key", base_url=service.url, **options)


def accepted(body: Any) -> web.Response:
    return web.json_response({"result": [{"code": "OK", "messageId": each["to"]} for each in body["messages"]]})


class Gate:
    """Lets requests be answered when the test opens it, and chosen ones at once."""

    def __init__(self, service: Any, at_once: Callable[[Any], bool] = lambda body: False) -> None:
        self.open = asyncio.Event()
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()
        self.at_once = at_once
        service.answering = self.answer

    async def answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        self.arrived.put_nowait(body)
        if not self.at_once(body):
            await self.open.wait()
        return accepted(body)


def send_all_of(devino: DevinoClient, numbers: range, **options: Any) -> "list[asyncio.Task[Receipt]]":
    return [asyncio.create_task(devino.send(message(number), **options)) for number in numbers]


async def test_concurrent_sends_share_posts(service: Any) -> None:
    """2,000 concurrent sends need only a few POSTs, and each caller has exactly its own receipt."""
    gate = Gate(service)
    async with client(service, limits=Limits(in_flight=2)) as devino:
        first = send_all_of(devino, range(1))
        await gate.arrived.get()
        others = send_all_of(devino, range(1, 2_000))
        await gate.arrived.get()
        gate.open.set()
        receipts = await asyncio.gather(*first, *others)
    assert [receipt.message_id for receipt in receipts if isinstance(receipt, Accepted)] == [
        message(number).to for number in range(2_000)
    ]
    assert len(service.requests) <= 3
    assert sum(len(body["messages"]) for *_, body in service.requests) == 2_000


async def test_what_is_asked_of_a_post_never_mixes(service: Any) -> None:
    """Messages sent with different options go in different POSTs, each with its own query."""
    async with client(service) as devino:
        tasks = [
            asyncio.create_task(
                devino.send(message(number), include_segment_id=number % 2 == 0, shorten_url=number > 4)
            )
            for number in range(8)
        ]
        await asyncio.gather(*tasks)
    asked = {
        int(each["to"][4:]): path.partition("?")[2]
        for _, path, _, body in service.requests
        for each in body["messages"]
    }
    assert asked == {
        0: "includeSegmentId=true",
        1: "",
        2: "includeSegmentId=true",
        3: "",
        4: "includeSegmentId=true",
        5: "shortenUrl=true",
        6: "includeSegmentId=true&shortenUrl=true",
        7: "shortenUrl=true",
    }
    assert len(service.requests) == 4


@pytest.mark.parametrize("priority", [Priority.HIGH, Priority.REALTIME])
async def test_urgent_messages_pass_a_stalled_campaign(service: Any, priority: Priority) -> None:
    """While a stalled campaign is all that may be in flight in its lane, an urgent message is sent and answered."""
    gate = Gate(service, at_once=lambda body: body["messages"][0].get("priority") == priority)
    async with client(service, limits=Limits(in_flight=2)) as devino:
        campaign = asyncio.create_task(devino.send_all(map(message, range(9)), batch_size=1))
        waiting = asyncio.create_task(devino.send(message(50)))
        await gate.arrived.get(), await gate.arrived.get()
        receipt = await devino.send(message(99, priority))
        assert type(receipt) is Accepted
        assert not campaign.done()
        assert not waiting.done()
        gate.open.set()
        assert (await campaign).total == 9
        await waiting


async def test_an_urgent_answer_is_not_read_behind_a_campaign_s(service: Any) -> None:
    """The answer to an urgent message is read at once, however many results of a campaign are being read."""
    async with client(service) as devino:
        turns = devino._dispatch._turns
        # Long work is done in turn. While the turn is another's, a campaign stands still, and nothing urgent does.
        turns._busy = True
        campaign = asyncio.create_task(devino.send_all(map(message, range(10)), batch_size=1))
        async with asyncio.timeout(30):
            assert type(await devino.send(message(99, Priority.REALTIME))) is Accepted
            assert not campaign.done()
        turns._call_next()
        assert len((await campaign).accepted) == 10


async def test_flush_sends_what_lingers(service: Any) -> None:
    """A long linger keeps messages back until flush, which returns when they have their receipts."""
    async with client(service, outbox=OutboxOptions(linger=3_600)) as devino:
        tasks = send_all_of(devino, range(5))
        await asyncio.sleep(0)
        assert service.requests == []
        await devino.flush()
        assert all(task.done() for task in tasks)
        assert len(service.requests) == 1


async def test_flush_of_nothing_and_after_closing(service: Any) -> None:
    """Flushing with nothing to send does nothing. A closed client raises ClientClosed."""
    devino = client(service)
    await devino.flush()
    await devino.aclose()
    with pytest.raises(ClientClosed):
        await devino.flush()
    with pytest.raises(ClientClosed):
        await devino.send(message())
    assert service.requests == []


async def test_closing_sends_what_waits(service: Any) -> None:
    """Closing lets what waits leave within the grace, linger or not, and every caller gets a receipt."""
    devino = client(service, outbox=OutboxOptions(linger=3_600), limits=Limits(in_flight=1))
    tasks = send_all_of(devino, range(5))
    await asyncio.sleep(0)
    report = await devino.aclose()
    assert report.unconfirmed == ()
    assert [type(receipt) for receipt in await asyncio.gather(*tasks)] == [Accepted] * 5
    assert len(service.requests) == 1


async def test_closing_without_grace(service: Any) -> None:
    """What waits when the grace is over was never sent and is NotSent. What is on its way is Unconfirmed."""
    gate = Gate(service)
    devino = client(service, limits=Limits(in_flight=1))
    in_flight = send_all_of(devino, range(1))
    await gate.arrived.get()
    waiting = send_all_of(devino, range(1, 4))
    await asyncio.sleep(0)
    report = await devino.aclose(grace=0)
    assert [type(receipt) for receipt in await asyncio.gather(*waiting)] == [NotSent] * 3
    assert [await task for task in in_flight] == list(report.unconfirmed)
    assert len(service.requests) == 1
    gate.open.set()


async def test_a_full_outbox_by_option(service: Any) -> None:
    """With when_full="refuse" a send beyond the capacity is refused with a clear error, and the others are sent."""
    gate = Gate(service)
    options = OutboxOptions(capacity=2, when_full="refuse")
    async with client(service, limits=Limits(in_flight=1), outbox=options) as devino:
        first = send_all_of(devino, range(1))
        await gate.arrived.get()
        waiting = send_all_of(devino, range(1, 3))
        await asyncio.sleep(0)
        with pytest.raises(OutboxFull):
            await devino.send(message(9))
        gate.open.set()
        await asyncio.gather(*first, *waiting)
    assert sum(len(body["messages"]) for *_, body in service.requests) == 3


async def test_callers_that_give_up_while_the_service_stalls(service: Any) -> None:
    """While the service stalls, callers with a time-out of their own return at once. Each message is reported once."""
    gate = Gate(service)
    unclaimed: list[Receipt] = []
    async with client(service, limits=Limits(in_flight=1), on_unclaimed=unclaimed.extend) as devino:
        first = send_all_of(devino, range(1))
        await gate.arrived.get()
        for number in range(1, 200):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await devino.send(message(number))
        assert len(devino._outboxes.of(message())._buffer) == 0
        gate.open.set()
        await asyncio.gather(*first)
    assert [(type(each), each.message) for each in unclaimed] == [(NotSent, message(n)) for n in range(1, 200)]
    assert len(service.requests) == 1


def _in_the_child(devino: DevinoClient, told: Any) -> None:
    try:
        asyncio.run(devino.account())
    except ConfigurationError as error:
        told.send(str(error))
    finally:
        # Without the parent's clean-up, which is not the child's to do.
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_fork_is_detected(service: Any) -> None:
    """A client that was used before a fork says so in the child, instead of sharing sockets with the parent."""
    async with client(service) as devino:
        await devino.send(message())
        here, there = multiprocessing.Pipe()
        child = os.fork()
        if child == 0:
            asyncio.events._set_running_loop(None)
            _in_the_child(devino, there)
        there.close()
        assert "fork" in await asyncio.to_thread(here.recv)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert type(await devino.send(message(1))) is Accepted


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """A forwarding HTTP proxy that answers by itself and notes what it was asked, and by whom."""
    asked: list[tuple[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append((request.raw_path, request.headers.get("Proxy-Authorization", "")))
        return accepted(await request.json())

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_a_proxy() -> None:
    """With a proxy everything goes through it, its credentials to it alone. Neither shows in any repr."""
    async with proxy() as (address, asked):
        options = PoolOptions(proxy=f"http://user:proxy-secret@{address}")
        async with DevinoClient("key", base_url="http://127.0.0.1:9", pool=options) as devino:
            assert type(await devino.send(message())) is Accepted
            assert "proxy-secret" not in repr(devino) + repr(options)
    [(target, authorization)] = asked
    assert target == "http://127.0.0.1:9/sms/messages"
    assert authorization.startswith("Basic ")


async def test_the_environment_s_proxy_is_not_asked(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables such as HTTP_PROXY change nothing."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with client(service) as devino:
        assert type(await devino.send(message())) is Accepted


async def test_a_local_address(service: Any) -> None:
    """Connections come from the address that was given."""
    peers: list[str] = []

    async def noting(request: web.Request, body: Any) -> web.StreamResponse:
        peers.append(request.transport.get_extra_info("peername")[0])  # type: ignore[union-attr]
        return accepted(body)

    service.answering = noting
    async with client(service, pool=PoolOptions(local_address="127.0.0.2")) as devino:
        assert type(await devino.send(message())) is Accepted
    assert peers == ["127.0.0.2"]


async def test_connections_are_bounded(service: Any) -> None:
    """No lane has more connections at once than PoolOptions.connections, whatever in_flight allows."""
    gate = Gate(service)
    async with client(service, limits=Limits(in_flight=4), pool=PoolOptions(connections=2)) as devino:
        sending = asyncio.create_task(devino.send_all(map(message, range(6)), batch_size=1))
        await gate.arrived.get(), await gate.arrived.get()
        # Another lane has connections of its own.
        gate.at_once = lambda body: body["messages"][0].get("priority") == "HIGH"
        await devino.send(message(9, Priority.HIGH))
        await gate.arrived.get()
        assert gate.arrived.empty()
        gate.open.set()
        assert len((await sending).accepted) == 6


async def test_connections_bound_what_is_in_flight(service: Any) -> None:
    """Where there are fewer connections than `in_flight` allows, sends gather. None waits for a connection in vain."""
    gate = Gate(service)
    async with client(service, limits=Limits(in_flight=4), pool=PoolOptions(connections=1)) as devino:
        first = send_all_of(devino, range(1))
        await gate.arrived.get()
        others = []
        for number in range(1, 6):
            others += send_all_of(devino, range(number, number + 1))
            await asyncio.sleep(0)
        gate.open.set()
        assert {type(receipt) for receipt in await asyncio.gather(*first, *others)} == {Accepted}
        assert len((await gate.arrived.get())["messages"]) == 5


async def test_closing_tells_of_all_unconfirmed(service: Any) -> None:
    """The report of closing holds what a readable answer leaves unconfirmed too, and nothing from before."""
    odd = {"code": "HM", "messageId": "7"}

    arrived, go = asyncio.Event(), asyncio.Event()

    async def doubtful(request: web.Request, body: Any) -> web.StreamResponse:
        if request.path != "/sms/messages":
            return web.json_response({"result": []})  # The breaker's probe.
        if body["messages"][0]["to"] == message(2).to:
            arrived.set()
            await go.wait()
        return web.json_response({"result": [odd] * len(body["messages"])})

    service.answering = doubtful
    devino = client(service)
    assert type(await devino.send(message(1))) is Unconfirmed
    [late] = send_all_of(devino, range(2, 3))
    await arrived.wait()
    asyncio.get_running_loop().call_soon(go.set)
    report = await devino.aclose()
    assert [each.message for each in report.unconfirmed] == [message(2)]
    assert type(await late) is Unconfirmed
    for wrong in (None, -1, float("nan"), "5"):
        with pytest.raises(ConfigurationError, match="grace"):
            await devino.aclose(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("reuse", [False, True])
async def test_connections_are_reused_only_by_option(service: Any, reuse: bool) -> None:
    """Each send has a connection of its own. With reuse_connections=True sends that follow share one."""
    ports: list[int] = []

    async def noting(request: web.Request, body: Any) -> web.StreamResponse:
        ports.append(request.transport.get_extra_info("peername")[1])  # type: ignore[union-attr]
        return accepted(body)

    service.answering = noting
    pool = PoolOptions(reuse_connections=reuse)
    async with client(service, pool=pool, retry=RetryPolicy(attempts=1)) as devino:
        for number in range(3):
            assert type(await devino.send(message(number))) is Accepted
    assert len(set(ports)) == (1 if reuse else 3)
