"""A client that synchronous code closes. The other kinds of event loops are in tests/plugin."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

import pytest
from loopback_service import Service

from devino_async import ClientClosed, Message
from devino_async.client.release import ReleasableClient

MESSAGE = Message(sender="MyCompany", to="79000000001", text="Hello")


def nowhere(work: Coroutine[Any, Any, Any]) -> NoReturn:
    raise AssertionError("no other event loop is needed")


async def test_on_the_loop_that_runs_here(service: Service) -> None:
    """A client whose loop runs in this very thread is closed by the loop, which is not blocked."""
    client = ReleasableClient("any-key", base_url=service.url)
    await client.send(MESSAGE)
    client.release(nowhere)
    await asyncio.sleep(0)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    with pytest.raises(ClientClosed):
        await client.send(MESSAGE)
