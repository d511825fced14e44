"""A real proxy that demands a password, as a process of its own, between a client and a service."""

import asyncio
import importlib.util
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from aiohttp import web

from devino_async import Accepted, DevinoClient, Message, NotSent, PoolOptions, RequestNotSent, RetryPolicy

MESSAGE = Message(sender="MyCompany", to="79000000001", text="Hello")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
async def proxy() -> AsyncIterator[str]:
    """The host and port of the proxy, which lets in user:proxy-secret."""
    if importlib.util.find_spec("proxy") is None:
        pytest.skip("proxy.py is not installed")
    port = free_port()
    options = ["--hostname=127.0.0.1", f"--port={port}", "--basic-auth=user:proxy-secret", "--log-level=ERROR"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", *options, "--num-workers=1", "--num-acceptors=1"
    )
    while not await listens(port):
        assert process.returncode is None
    yield f"127.0.0.1:{port}"
    process.terminate()
    await process.wait()


@pytest.fixture(params=["https", "http"])
async def reached(
    request: pytest.FixtureRequest, service: Any
) -> AsyncIterator[tuple[Any, str, ssl.SSLContext | None]]:
    """The service, its address, and the TLS context that trusts it. A proxy sees no request that goes over TLS."""
    if request.param == "http":
        yield service, service.url, None
        return
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    runner = web.ServerRunner(web.Server(service.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
    yield service, f"https://127.0.0.1:{runner.addresses[0][1]}", trusting
    await runner.cleanup()


async def test_a_password(proxy: str, reached: Any) -> None:
    """With its password in `proxy=` a send goes through the proxy, and the service sees no word of the password."""
    service, address, context = reached
    pool = PoolOptions(proxy=f"http://user:proxy-secret@{proxy}", ssl_context=context)
    async with DevinoClient("key", base_url=address, pool=pool) as devino:
        assert type(await devino.send(MESSAGE)) is Accepted
    [(_, _, headers, body)] = service.requests
    assert [each["to"] for each in body["messages"]] == [MESSAGE.to]
    assert "Proxy-Authorization" not in headers


@pytest.mark.parametrize("credentials", ["", "user:wrong@"])
async def test_no_password(proxy: str, reached: Any, credentials: str) -> None:
    """Without its password, or with a wrong one, a send is NotSent at once: 407 is permanent, and its own reason.

    So is a stream, which ends with that error.
    """
    service, address, context = reached
    pool = PoolOptions(proxy=f"http://{credentials}{proxy}", ssl_context=context)
    soon = RetryPolicy(deadline=1.0, stream_deadline=1.0)  # So that what is repeated ends, and fails this test.
    async with DevinoClient("key", base_url=address, pool=pool, retry=soon) as devino:
        receipt = await devino.send(MESSAGE)
        assert isinstance(receipt, NotSent)
        with pytest.raises(RequestNotSent) as of_stream:
            await devino.send_all([MESSAGE])
        with pytest.raises(RequestNotSent) as of_look_up:
            await devino.account()
    for error in (receipt.error, of_stream.value, of_look_up.value):
        assert isinstance(error, RequestNotSent)
        assert error.attempts == 1
        assert error.permanent
        assert "the proxy answered 407" in str(error)
    assert service.requests == []
