"""A receiver that is a real process with a real SQLite file, killed in the middle: nothing answered 200 is lost."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import aiohttp
import pytest

from devino_async import DeliveryTracker, SQLiteStore, Status, new_token

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")

PROGRAM = """
import asyncio, sys
from aiohttp import web
from devino_async import DeliveryTracker, CallbackReceiver, SQLiteStore
from devino_async.contrib.aiohttp_web import endpoint

async def main():
    tracker = DeliveryTracker(SQLiteStore(sys.argv[1]))
    app = web.Application()
    app.router.add_route("*", "/{token}", endpoint(CallbackReceiver(token=sys.argv[2], on_status=tracker.on_status)))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
SENDERS = 8
KILLS = 3
ANSWERED_BEFORE_A_KILL = 150


class Life:
    """One life of the receiver, from its start to the signal."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, answered: set[str]) -> None:
        self.process = process
        self.url = url
        self.answered = answered
        self.enough = len(answered) + ANSWERED_BEFORE_A_KILL
        self.killed = False

    async def send(self, session: aiohttp.ClientSession, numbers: Iterable[int]) -> None:
        for number in numbers:
            ids = [f"{number}-{each}" for each in range(1 + number % 5)]
            events = [{"messageId": each, "ts": 1613404835977, "status": "DELIVERED"} for each in ids]
            try:
                async with session.post(self.url, data=json.dumps(events)) as response:
                    assert response.status == 200
                    self.answered.update(ids)
            except aiohttp.ClientConnectionError:
                return
            if len(self.answered) >= self.enough and not self.killed:
                # Once: another one could reap the process before asyncio does, which would then not know how it ended.
                self.killed = True
                self.process.send_signal(signal.SIGKILL)


async def test_what_was_answered_is_kept(tmp_path: Path) -> None:
    """After SIGKILL, again and again, the file holds every event whose request was answered 200."""
    path, token = tmp_path / "deliveries.db", new_token()
    answered: set[str] = set()
    numbers = iter(range(10**6))
    for _ in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(path), token, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        life = Life(process, f"http://127.0.0.1:{int(await process.stdout.readline())}/{token}", answered)
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(life.send(session, numbers) for _ in range(SENDERS)))
        assert await process.wait() == -signal.SIGKILL
        await process.communicate()
    assert len(answered) >= KILLS * ANSWERED_BEFORE_A_KILL
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        for each in answered:
            assert (await tracker.delivery(each)).status is Status.DELIVERED
