"""Gate: bounds on connections without a valid token, under `serving` and under a real half-request attack."""

import asyncio
import errno
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from web_servers import EVENT, TOKEN, Seen

from devino_async import ConfigurationError
from devino_async.contrib.aiohttp_web import serving
from devino_async.webhooks.gate import OncePerMinute

HALF = b"POST / HTTP/1.1\r\nHost: x\r\n"
BODY = json.dumps(EVENT).encode()


async def connect(address: str, sent: bytes = HALF) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of the connection, and say whether nothing had come."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def post(address: str, **options: Any) -> int:
    async with aiohttp.ClientSession() as session, session.post(f"{address}/{TOKEN}", data=BODY, **options) as answer:
        return answer.status


@asynccontextmanager
async def half_requests(address: str, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    made: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        while len(made) < count:
            made.append(await connect(address))
        yield [reader for reader, _ in made]
    finally:
        for _, writer in made:
            writer.close()


OTHER = b"POST /" + b"x" * 43 + b" HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    "sent", [b"", HALF, HALF + b"\r\n", OTHER], ids=["nothing", "half", "no token", "another token"]
)
async def test_header_timeout(sent: bytes) -> None:
    """A connection that has sent no valid token in time is closed, whatever else it has sent."""
    async with serving(Seen().receiver(), header_timeout=0.05) as address:
        reader, writer = await connect(address, sent)
        try:
            async with asyncio.timeout(30):
                await ended(reader)
        finally:
            writer.close()


async def test_a_slow_body_with_a_valid_token() -> None:
    """Once the token has come, header_timeout and the bound on connections hold no more."""
    seen = Seen()
    async with serving(seen.receiver(), header_timeout=0.05, max_unauthenticated=1) as address:
        head = f"POST /{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
        reader, writer = await connect(address, head.encode() + BODY[:10])
        async with half_requests(address, 3) as attackers:
            await asyncio.gather(*map(ended, attackers))
        writer.write(BODY[10:])
        assert b" 200 " in await reader.readline()
        writer.close()
    assert seen.calls == 1


async def test_the_oldest_gives_way() -> None:
    """Beyond the bound the oldest connection without a token is closed for a new one, and good callbacks are served."""
    async with serving(Seen().receiver(), max_unauthenticated=5) as address:
        async with half_requests(address, 8) as attackers:
            assert await asyncio.gather(*map(ended, attackers[:3])) == [True] * 3
            assert await post(address) == 200
            assert not attackers[-1].at_eof()


async def test_half_request_attack() -> None:
    """Hundreds of half requests that come all the time do not keep a good callback from being answered."""
    async with serving(Seen().receiver(), max_unauthenticated=20) as address:

        async def attack() -> None:
            async with half_requests(address, 60):
                await over.wait()

        over = asyncio.Event()
        attackers = [asyncio.create_task(attack()) for _ in range(5)]
        statuses = [await post(address) for _ in range(30)]
        over.set()
        await asyncio.gather(*attackers)
    assert statuses == [200] * 30


async def test_no_free_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    """Where the process has no free descriptors there is one line, and connections without a token make room."""
    async with serving(Seen().receiver()) as address:
        async with half_requests(address, 4) as attackers:
            await asyncio.sleep(0)
            for _ in range(3):
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "accept", "socket": 1, "exception": OSError(errno.EMFILE, "")}
                )
            assert await asyncio.gather(*map(ended, attackers[:3])) == [True] * 3
            assert not attackers[3].at_eof()
    [said] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "no free descriptors" in said


async def test_errors_of_others() -> None:
    """The event loop's other errors go where they went before, and the handler is given back at the end."""
    loop = asyncio.get_running_loop()
    told: list[Any] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(context["message"])

    loop.set_exception_handler(handler)
    async with serving(Seen().receiver()):
        loop.call_exception_handler({"message": "other"})
        loop.call_exception_handler({"message": "accept", "socket": 1, "exception": OSError(errno.EMFILE, "")})
    assert told == ["other"]
    assert loop.get_exception_handler() is handler


async def test_requests_that_are_not_http(caplog: pytest.LogCaptureFixture) -> None:
    """Requests that are not HTTP give one line a minute, without their content and without a traceback."""
    async with serving(Seen().receiver()) as address:
        for _ in range(5):
            reader, writer = await connect(address, b"sesame 79000000001\r\n\r\n")
            await reader.read()
            writer.close()
    assert len(caplog.records) <= 1
    assert "sesame" not in caplog.text
    assert "Traceback" not in caplog.text


def test_once_per_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A warning is logged at most once a minute, with the number of those that were passed over."""
    now = 5.0
    warnings = OncePerMinute(lambda: now)
    for moment in (5.0, 6.0, 64.9, 65.0, 66.0):
        now = moment
        warnings.say("full")
    assert [record.getMessage() for record in caplog.records] == ["full", "full (2 more since the last line)"]


@pytest.mark.parametrize("wrong", [{"header_timeout": 0}, {"max_unauthenticated": 0}, {"max_unauthenticated": 1.5}])
async def test_bounds_that_cannot_work(wrong: dict[str, Any]) -> None:
    """Bounds that cannot work are refused by an error that names them."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        async with serving(Seen().receiver(), **wrong):
            pass
