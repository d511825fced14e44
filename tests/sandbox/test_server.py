"""Credentials, unknown routes, start and stop of a sandbox, and its database file."""

import base64
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from asking import START, Asking, Receiver, message

from devino_async.sandbox import ManualClock, Sandbox


@pytest.mark.parametrize(
    ("header", "status"),
    [("", 401), ("Key", 401), ("Key ", 401), ("Bearer x", 401), ("Basic !!", 401), ("Basic QWxhZGRpbjpvcGVu", 200)],
)
async def test_authorization(asking: Asking, header: str, status: int) -> None:
    """Only well-formed credentials of the two kinds are accepted."""
    path = "/billing-api/companies/current/account"
    got, _ = await asking.ask("GET", path, headers={"Authorization": header})
    assert got == status


async def test_given_credentials_only() -> None:
    """A sandbox with its own credentials accepts no others."""
    async with Sandbox(api_key="right") as sandbox, aiohttp.ClientSession() as session:
        for key, status in (("wrong", 401), ("right", 200)):
            url = f"{sandbox.url}/billing-api/companies/current/account"
            async with session.get(url, headers={"Authorization": f"Key {key}"}) as response:
                assert response.status == status


async def test_a_database_file_is_kept(tmp_path: Path) -> None:
    """Messages in a database file are there when the next sandbox opens it, and ids go on rising."""
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


async def test_login_and_password() -> None:
    """A sandbox with its own login accepts that one, and no key."""
    async with Sandbox(login="me", password="s:e") as sandbox, aiohttp.ClientSession() as session:
        right = "Basic " + base64.b64encode(b"me:s:e").decode()
        for header, status in ((right, 200), ("Basic bWU6bm8=", 401), ("Key me", 401), ("Basic \u00e9", 401)):
            url = f"{sandbox.url}/billing-api/companies/current/account"
            async with session.get(url, headers={"Authorization": header}) as response:
                assert response.status == status


async def test_a_port_that_is_taken() -> None:
    """A sandbox that cannot listen raises and leaves nothing open. Stopping it, even twice, does no harm."""
    async with Sandbox() as first:
        second = Sandbox(port=int(first.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        await second.stop()
        await second.stop()


@pytest.mark.parametrize("made", ["text", "other"])
async def test_a_file_that_is_no_database_of_ours(tmp_path: Path, made: str) -> None:
    """A file of another schema is refused, and left as it was."""
    path = tmp_path / "sms.db"
    if made == "text":
        path.write_text("this is no database, and never was one" * 30)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE message (id)")
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError):
        await Sandbox(database=str(path)).start()
    assert path.read_bytes() == before


async def test_callbacks_go_on_after_a_restart(tmp_path: Path, receiver: tuple[Receiver, str]) -> None:
    """With a database file, the next sandbox reports exactly the events that were not reported before."""
    made, url = receiver
    for _ in range(2):
        clock = ManualClock(START + timedelta(seconds=10 * len(made.bodies)))
        async with Sandbox(database=str(tmp_path / "sms.db"), clock=clock, stage=10) as sandbox:
            async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
                if not made.bodies:
                    await Asking(sandbox, clock, session).send(message(callbackUrl=url))
                await sandbox.report()
    assert [event["status"] for event in made.events] == ["ACCEPTED", "ENROUTE"]
