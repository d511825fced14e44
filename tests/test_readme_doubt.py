"""The README's chapter about messages in doubt: its commands, run as they stand after a real kill, and their output."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from loopback_service import Service

from devino_async.campaigns.watching import JournalView, NotNow
from devino_async.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COUNT, BATCH = 20_000, 8_000
_ADDRESS = re.compile(r"127\.0\.0\.1:\d+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def steps(heading: str) -> list[tuple[str, str]]:
    """The commands in the blocks of a chapter, each with the output that is shown below it."""
    chapter = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```console\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    found = [each.partition("\n") for each in "".join(blocks).split("$ ")[1:]]
    return [(command, output) for command, _, output in found]


def plain(text: str) -> str:
    """Output with one port and one moment for all, and without the spaces at the ends of lines."""
    text = _MOMENT.sub("2026-11-28 10:00:00", _ADDRESS.sub("127.0.0.1:8025", text))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def fits(shown: str, said: str) -> bool:
    """Whether output is as shown. A line of three dots in it stands for any lines."""
    pattern = re.escape(plain(shown)).replace(r"\.\.\.", r"[^$]*?")
    return re.fullmatch(pattern, plain(said)) is not None


class Relay:
    """Stands before a sandbox. It passes on all but the answers to sends after the first, and loses the smallest."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self._session = session
        self.is_bad = True
        self._good_again = asyncio.Event()

    async def answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        is_send = isinstance(body, dict) and "messages" in body
        if is_send and self.is_bad and len(body["messages"]) < BATCH:
            await self._good_again.wait()
            return web.Response(status=503)
        url = self.sandbox.url + request.path_qs
        headers = {"Authorization": request.headers["Authorization"]}
        async with self._session.request(request.method, url, json=body, headers=headers) as got:
            answer = await got.read()
        if is_send and self.is_bad and body["messages"][0]["to"] != "79000000000":
            await self._good_again.wait()
        return web.Response(body=answer, status=got.status, content_type="application/json")

    def recover(self) -> None:
        self.is_bad = False
        self._good_again.set()


@pytest.fixture
async def relay(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Relay]:
    rows = "".join(f"MyCompany,7900{number:07},Spring sale: 20 % off until Sunday\n" for number in range(COUNT))
    (tmp_path / "campaign.csv").write_text(f"sender,to,text\n{rows}", encoding="utf-8")
    monkeypatch.setenv("DEVINO_API_KEY", "any-key")
    monkeypatch.setenv("DEVINO_BASE_URL", service.url)
    async with Sandbox(stage=1e-6) as sandbox, aiohttp.ClientSession() as session:
        made = Relay(sandbox, session)
        service.answering = made.answer
        yield made
        made.recover()


async def started(command: str, folder: Path) -> asyncio.subprocess.Process:
    words = shlex.split(command.partition("  #")[0])
    assert words[0] == "devino"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devino_async",
        *words[1:],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def until_accepted(journal: Path, count: int) -> None:
    """Wait until the journal has so many accepted messages, and all others are in flight."""
    view = JournalView(journal)
    async with asyncio.timeout(60):
        while True:
            try:
                [seen] = await asyncio.to_thread(view.look) or [None]
            except NotNow:
                seen = None
            if seen is not None and (seen.state.accepted, seen.state.messages) == (count, COUNT):
                return


async def test_unconfirmed_step_by_step(relay: Relay, tmp_path: Path) -> None:
    """A run is killed with two requests in flight, one of which arrived. The commands settle and forget it, as shown.

    By then everybody has got one message.
    """
    [(send, shown), *others] = [*steps("What to do with Unconfirmed"), *steps("What is stored about people")]
    killed = await started(send, tmp_path)
    await until_accepted(tmp_path / "campaign.csv.journal", BATCH)
    killed.kill()
    said = (await killed.communicate())[0].decode()
    assert fits(shown, f"{said}Killed")
    relay.recover()
    for command, shown in others:
        process = await started(command, tmp_path)
        said = (await process.communicate())[0].decode()
        if "SHOW_README" in os.environ:
            print(f"$ {command}\n{plain(said)}")  # Shown with `pytest -s`, for a new text.
        else:
            assert fits(shown, said), said
    assert await relay.sandbox.count() == COUNT
