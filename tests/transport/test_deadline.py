"""Deadlines: they end what takes too long, and an answer that is there wins over a timer that fired too late."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
import virtual_time

from devino_async import Accepted, DevinoClient, Message, Timeouts
from devino_async.transport.deadline import deadline

ANSWER = b'{"result": [{"code": "OK", "messageId": "1"}]}'
# One is read in one turn of the loop, the other in many.
ANSWERS = {"short": ANSWER, "long": ANSWER + b" " * 900_000}


def test_it_ends_what_takes_too_long() -> None:
    """After so many seconds the block ends with TimeoutError, and not before."""

    async def run() -> None:
        async with deadline(5.0):
            await asyncio.sleep(4.9)
        with pytest.raises(TimeoutError):
            async with deadline(5.0):
                await asyncio.sleep(60)
        assert virtual_time.now() == 9.9

    virtual_time.run(run())


def test_cancelling_is_not_a_timeout() -> None:
    """A task that is cancelled in the block ends as cancelled."""

    async def run() -> None:
        async def wait() -> None:
            async with deadline(5.0):
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual_time.run(run())


@pytest.fixture
def slow_service(request: pytest.FixtureRequest) -> Iterator[tuple[str, "Future[None]"]]:
    """A service in a thread, which tells when it has a request."""
    body = ANSWERS[request.param]
    arrived: Future[None] = Future()
    loop = asyncio.new_event_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        arrived.set_result(None)
        await asyncio.sleep(0.05)  # The client blocks its loop meanwhile.
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", arrived
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    server.close()
    loop.close()


@pytest.mark.parametrize("slow_service", ANSWERS, indirect=True)
async def test_a_blocked_loop_is_not_a_timeout(slow_service: tuple[str, "Future[None]"]) -> None:
    """An answer that came while the program blocked its loop beyond the time-out is read: the message is Accepted."""
    url, arrived = slow_service
    total = 0.15
    async with DevinoClient("key", base_url=url, timeouts=Timeouts(total=total)) as devino:
        sending = asyncio.create_task(devino.send(Message(sender="MyCompany", to="79000000001", text="x")))
        await asyncio.wrap_future(arrived)
        until = time.monotonic() + total + 0.25
        while time.monotonic() < until:
            pass  # The loop is blocked until long after the time-out.
        assert type(await sending) is Accepted
