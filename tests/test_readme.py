"""The README's code, run as it stands against the sandbox."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from django.conf import settings
from django.test import AsyncRequestFactory
from sybil import Sybil
from sybil.example import Example
from sybil.parsers.markdown import PythonCodeBlockParser

README = Path(__file__).parents[1] / "README.md"
SHELL = re.findall(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in SHELL[2:] for line in block.splitlines()]
EXAMPLES: list[Example] = list(
    Sybil(parsers=[PythonCodeBlockParser()], path=str(README.parent), pattern=README.name).parse(README).examples()
)
NAMESPACE: dict[str, Any] = {"__name__": "readme"}


@pytest.mark.filterwarnings("ignore:unclosed DevinoClient:ResourceWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line-{example.line}")
def test_python(example: Example, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python example of the README runs, with the ones before it."""
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    example.document.namespace.update(NAMESPACE)
    example.evaluate()
    NAMESPACE.update(example.document.namespace)


def test_a_million_in_small(sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's million, run with 40,000: one receipt each."""
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    outcomes = asyncio.run(NAMESPACE["send_a_million"](40_000))
    assert sum(outcomes.values()) == 40_000
    assert outcomes["NotSent"] == outcomes["Unconfirmed"] == 0


async def test_receiving(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The README's receivers take a callback in each framework, and the tracker has it in its file."""
    monkeypatch.chdir(tmp_path)
    token, event = NAMESPACE["token"], {"messageId": "1", "ts": 1613404835977, "status": "SENT"}
    sent = json.dumps(event).encode()
    config = uvicorn.Config(NAMESPACE["receiving_app"], port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    runner = web.AppRunner(NAMESPACE["make_receiving_app"]())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here = f"http://127.0.0.1:{runner.addresses[0][1]}/devino"
    there = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        for url in (here, f"{there}/devino", f"{there}/callbacks"):
            async with session.post(f"{url}/{token}", data=sent) as response:
                assert response.status == 200
            async with session.post(f"{url}/{token[:-1]}", data=sent) as response:
                assert response.status == 404
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x")
    request = AsyncRequestFactory().post("/", sent, content_type="application/json")
    [route] = NAMESPACE["urlpatterns"]
    assert (await route.callback(request, token=token)).status_code == 200
    assert (await NAMESPACE["tracker"].delivery("1")).status == "SENT"
    server.should_exit = True
    await serving
    await runner.cleanup()


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, sandbox_url: str, tmp_path: Path) -> None:
    """Every command line of the README works as it stands."""
    rows = ["sender,to,text", *(f"MyCompany,7900000{number:04},Привет {number}" for number in range(1000, 1100))]
    (tmp_path / "campaign.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "ids.txt").write_text("3701172084729885952\n3701172084729885953\n", encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DEVINO_API_KEY": "any-key", "DEVINO_BASE_URL": sandbox_url}
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_two_commands_come_first() -> None:
    """The first command sets up and runs the main job, the second sets up and passes the tests."""
    assert SHELL[0].strip().endswith("devino demo")
    assert "-m pytest" in SHELL[1]
    assert len(SHELL[0].splitlines()) == len(SHELL[1].splitlines()) == 1
