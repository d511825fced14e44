"""Why a connection failed, in the words of TLS and of the name look-up, and where the next one goes."""

import asyncio
import socket
import ssl
from typing import Any

import aiohttp
import pytest
import trustme

from devino_async import ConfigurationError, DevinoClient, PoolOptions, RequestNotSent, RetryPolicy
from devino_async.exchange import Call
from devino_async.redaction import Redaction
from devino_async.transport.attempt import Attempt

READ = Call(operation="account", method="GET", path="/")


async def failed_tls(context: ssl.SSLContext, client: ssl.SSLContext | None = None) -> str:
    """What a look-up says of a server with this TLS context."""

    def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    once = RetryPolicy(attempts=1)
    async with DevinoClient(
        "key", base_url=f"https://127.0.0.1:{port}", retry=once, pool=PoolOptions(ssl_context=client)
    ) as devino:
        with pytest.raises(RequestNotSent) as caught:
            await devino.account()
    server.close()
    return str(caught.value)


async def test_an_untrusted_certificate() -> None:
    """An untrusted certificate is told by TLS's own words, and not by an errno from another table."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    said = await failed_tls(context)
    assert "unable to get local issuer certificate" in said
    assert "not permitted" not in said


async def test_another_host_s_certificate() -> None:
    """So is a certificate for another host."""
    authority = trustme.CA()
    context, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("devino.test").configure_cert(context)
    authority.configure_trust(client)
    assert "certificate is not valid for" in await failed_tls(context, client)


def test_an_unknown_name() -> None:
    """A host name that is not known is said to be that."""
    attempt = Attempt(READ, Redaction())
    key: Any = aiohttp.client_reqrep.ConnectionKey("devino.test", 443, True, True, None, None, None)
    attempt.failed(aiohttp.ClientConnectorDNSError(key, socket.gaierror(-2, "Name or service not known")))
    assert "the host name is not known" in str(attempt.outcome())


async def test_a_service_that_moved(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed connection the name is looked up anew: a service that moved is found at its new address."""

    async def account(request: aiohttp.web.Request, body: Any) -> aiohttp.web.StreamResponse:
        return aiohttp.web.json_response({"result": {"account": {"balance": 1}}})

    service.answering = account
    port = int(service.url.rpartition(":")[2])
    addresses = iter(["127.0.0.2", "127.0.0.1"])

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(addresses), port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with DevinoClient("key", base_url=f"http://localhost:{port}", retry=RetryPolicy(backoff=0.0)) as devino:
        assert (await devino.account()).balance == 1


def test_socks_is_refused_by_name() -> None:
    """A SOCKS proxy is refused with a word of its own, as people try it."""
    with pytest.raises(ConfigurationError, match="SOCKS proxies are not supported"):
        PoolOptions(proxy="socks5://127.0.0.1:1080")
