"""The README's apps as real processes that get a real SIGTERM in the middle of traffic."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CLIENTS = 20
BEFORE_SIGTERM = 200


def example(word: str) -> str:
    """The README's only example that holds this word."""
    [found] = [block for block in BLOCKS if word in block]
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def aiohttp_app(folder: Path, port: int) -> list[str]:
    (folder / "app.py").write_text(example("def make_app"), encoding="utf-8")
    run = f"import app; from aiohttp import web; web.run_app(app.make_app(), host='127.0.0.1', port={port})"
    return ["-c", run]


def fastapi_app(folder: Path, port: int) -> list[str]:
    (folder / "app.py").write_text(example("lifespan=lifespan"), encoding="utf-8")
    return ["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(port)]


WORKER_MAIN = """

async def main() -> None:
    number = 0

    async def take() -> Message | None:
        nonlocal number
        await asyncio.sleep(0)
        number += 1
        print(f"taken {number}", flush=True)
        return Message(sender="MyCompany", to=f"7900{number:07}", text="Hello")

    async def done(receipt: Receipt) -> None:
        print(f"done {type(receipt).__name__} {int(receipt.message.to[4:])}", flush=True)

    await work(take, done, at_once=50)


asyncio.run(main())
"""


@asynccontextmanager
async def running(arguments: list[str], folder: Path, service: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program, which is killed should the test leave it running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "DEVINO_BASE_URL": service.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=10**7,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def posted(service: Any) -> Counter[str]:
    """How often the service was sent each message."""
    return Counter(each["to"] for *_, body in service.requests for each in body["messages"])


class Traffic:
    """Clients of the app that ask for codes one after the other until it is gone."""

    def __init__(self, address: str, process: asyncio.subprocess.Process) -> None:
        self.address = address
        self.process = process
        self.outcomes: dict[str, str] = {}
        self.terminated = False
        self.after = 0

    async def answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.post(self.address, json={}):
                return True
        except aiohttp.ClientConnectionError:
            return False

    async def ask(self, session: aiohttp.ClientSession, numbers: Iterable[int]) -> None:
        for number in numbers:
            to = f"7900{number:07}"
            begun_after = self.terminated
            try:
                async with session.post(self.address, json={"to": to, "text": "Hello"}) as response:
                    self.outcomes[to] = (await response.json())["outcome"]
            except aiohttp.ClientConnectionError:
                return
            self.after += self.terminated and not begun_after
            if len(self.outcomes) >= BEFORE_SIGTERM and not self.terminated:
                self.terminated = True
                self.process.send_signal(signal.SIGTERM)

    async def flow(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not await self.answers(session):
                assert self.process.returncode is None
            numbers = iter(range(10**6))
            await asyncio.gather(*(self.ask(session, numbers) for _ in range(CLIENTS)))


@pytest.mark.parametrize("app", [aiohttp_app, fastapi_app])
async def test_a_web_app(app: Any, service: Any, tmp_path: Path) -> None:
    """SIGTERM in the middle of traffic: each request that was let in is answered, each message was sent once."""
    if app is fastapi_app:
        pytest.importorskip("uvicorn")
    port = free_port()
    async with running(app(tmp_path, port), tmp_path, service) as process:
        traffic = Traffic(f"http://127.0.0.1:{port}/codes", process)
        await traffic.flow()
        assert traffic.terminated
        output, _ = await process.communicate()
    assert process.returncode in {0, -signal.SIGTERM}, output.decode()
    assert set(traffic.outcomes.values()) == {"Accepted"}
    assert traffic.after > 0, "no request was under way when the signal came"
    assert posted(service) == Counter(traffic.outcomes.keys())


async def test_a_worker(service: Any, tmp_path: Path) -> None:
    """SIGTERM in the middle of work: each message that was taken is done, each was sent once."""
    (tmp_path / "worker.py").write_text(example("add_signal_handler") + WORKER_MAIN, encoding="utf-8")
    lines: list[str] = []
    async with running(["worker.py"], tmp_path, service) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            lines.append(line.decode().strip())
            if sum(each.startswith("done") for each in lines) == BEFORE_SIGTERM:
                process.send_signal(signal.SIGTERM)
        await process.wait()
    assert process.returncode == 0, lines[-20:]
    taken = {f"7900{int(each.split()[1]):07}" for each in lines if each.startswith("taken")}
    done = Counter(each.split()[1] for each in lines if each.startswith("done"))
    assert done == {"Accepted": len(taken)}
    assert posted(service) == Counter(taken)
