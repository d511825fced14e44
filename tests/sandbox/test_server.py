"""Credentials, unknown routes, beginning and end of a sandbox, and the file that it keeps."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asking import START, WIRE, Asking, Receiver, message

from devino_async.sandbox import ManualClock, Sandbox


@pytest.mark.parametrize(
    ("header", "status"),
    [("", 401), ("Key", 401), ("Key ", 401), ("Bearer x", 401), ("Basic !!", 401), ("Basic QWxhZGRpbjpvcGVu", 200)],
)
async def test_authorization(asking: Asking, header: str, status: int) -> None:
    """Only well-formed credentials of the two kinds are let in."""
    path = "/billing-api/companies/current/account"
    got, _ = await asking.ask("GET", path, headers={"Authorization": header})
    assert got == status


async def test_given_credentials_only() -> None:
    """With credentials of its own the sandbox lets no others in."""
    async with Sandbox(api_key="right") as sandbox, aiohttp.ClientSession() as session:
        for key, status in (("wrong", 401), ("right", 200)):
            url = f"{sandbox.url}/billing-api/companies/current/account"
            async with session.get(url, headers={"Authorization": f"Key {key}"}) as response:
                assert response.status == status


async def test_a_database_file_is_kept(tmp_path: Path) -> None:
    """What was sent to a sandbox with a file is there when the next one opens it, and ids go on rising."""
    ids = []
    for _ in range(2):
        async with Sandbox(database=str(tmp_path / "sms.db")) as sandbox:
            async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
                [item] = await Asking(sandbox, ManualClock(), session).send(message())
                ids.append(int(item["messageId"]))
                count = await sandbox.count()
    assert count == 2
    assert ids[1] > ids[0]


async def test_unknown_routes(asking: Asking) -> None:
    """Unknown paths and wrong methods are refused in the envelope, and all requests are counted."""
    assert (await asking.ask("GET", "/nonsense"))[0] == 404
    assert (await asking.ask("GET", "/sms/messages"))[0] == 405
    assert asking.sandbox.requests["/sms/messages"] == 1
