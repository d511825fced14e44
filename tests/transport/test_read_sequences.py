"""Look-ups over short sequences of statuses and exceptions, with aioresponses in place of aiohttp's wire.

Sends are not tested here: their evidence is the wire itself, which only a real server has.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses

from devino_async import Account, DevinoClient, OutcomeUnknown, RequestNotSent, RetryPolicy, ServerFailed

URL = "https://api.devino.online/billing-api/companies/current/account"
GOOD = {"result": {"account": {"balance": 10.25}}}


class Adapted(ClientResponse):
    """aioresponses 0.7.9 does not give the `stream_writer` that aiohttp 3.14 wants."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, stream_writer=SimpleNamespace(output_size=0), **named)


@pytest.fixture
def service() -> Iterator[aioresponses]:
    with patch("aioresponses.core.ClientResponse", Adapted), aioresponses() as made:
        yield made


async def ask() -> Account:
    async with DevinoClient("key", retry=RetryPolicy(attempts=3, backoff=0.0)) as devino:
        return await devino.account()


@pytest.mark.parametrize(
    "troubles",
    [
        [],
        [{"status": 500}],
        [{"status": 503}, {"status": 429, "headers": {"Retry-After": "0"}}],
        [{"exception": aiohttp.ServerDisconnectedError()}],
        [{"exception": aiohttp.ClientOSError(104, "reset")}, {"exception": TimeoutError()}],
        [{"exception": aiohttp.ClientPayloadError()}, {"status": 200, "body": "<html>"}],
        [{"exception": RuntimeError("a resolver answered nothing")}],
    ],
)
async def test_what_passes_is_retried(service: aioresponses, troubles: list[dict[str, Any]]) -> None:
    """A look-up is made again after trouble of any kind that may pass, up to its attempts."""
    for trouble in troubles:
        service.get(URL, **trouble)
    service.get(URL, payload=GOOD)
    account = await ask()
    assert str(account.balance) == "10.25"
    assert sum(map(len, service.requests.values())) == len(troubles) + 1


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        ({"status": 502}, ServerFailed),
        ({"exception": aiohttp.ServerDisconnectedError()}, OutcomeUnknown),
        ({"exception": aiohttp.ConnectionTimeoutError()}, RequestNotSent),
    ],
)
async def test_what_stays_is_raised(service: aioresponses, trouble: dict[str, Any], error: type) -> None:
    """When the attempts run out, the error says how many there were and holds no aiohttp object."""
    service.get(URL, repeat=True, **trouble)
    with pytest.raises(error) as caught:
        await ask()
    assert caught.value.attempts == 3
    assert caught.value.__context__ is caught.value.__cause__ is None
