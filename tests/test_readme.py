"""The README's code, each block alone as in an empty file, run against the sandbox."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from loopback_service import Service, accept_all
from sybil import Sybil
from sybil.example import Example
from sybil.parsers.markdown import PythonCodeBlockParser

from devino_async import Accepted, Message

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in SHELL for line in block.splitlines() if line.startswith("devino ")]
EXAMPLES: list[Example] = list(
    Sybil(parsers=[PythonCodeBlockParser()], path=str(README.parent), pattern=README.name).parse(README).examples()
)
EVENT = json.dumps({"messageId": "1", "ts": 1613404835977, "status": "SENT"}).encode()


@pytest.fixture(autouse=True)
def at_the_sandbox(sandbox_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the README's code leaves to the environment, and a folder for its files."""
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    monkeypatch.chdir(tmp_path)
    # As openpyxl wrote it. Of its five rows one is on the stop list, and one has the number of another.
    shutil.copy(Path(__file__).parent / "clients.xlsx", tmp_path)
    (tmp_path / "stop.txt").write_text("# unsubscribed\n8 900 000-00-02\n", encoding="utf-8")


def run(example: Example) -> dict[str, Any]:
    """Run one block by itself and return its names."""
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(example.parsed, README.name, "exec", dont_inherit=True), names)
    return names


def run_block_with(word: str) -> dict[str, Any]:
    """Run the only block that holds this word and return its names."""
    [found] = [each for each in EXAMPLES if word in each.parsed]
    return run(found)


def end_of_thread(names: dict[str, Any]) -> None:
    """End the event loop that a block runs in a thread."""
    names["loop"].call_soon_threadsafe(names["loop"].stop)
    names["thread"].join()
    names["loop"].close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line-{example.line}")
def test_python(example: Example) -> None:
    """Every Python block of the README runs when it is copied alone into an empty file."""
    names = run(example)
    if "thread" in names:
        end_of_thread(names)


def test_from_a_spreadsheet(capsys: pytest.CaptureFixture[str]) -> None:
    """The README's spreadsheet in Python sends what its command sends: a message for each number that is left."""
    run_block_with("send_all(messages, campaign=")
    assert capsys.readouterr().out == "SendReport(accepted=3, rejected=0, not_sent=0, unconfirmed=0)\n"


def test_a_million_in_small() -> None:
    """The README's million, run with 40,000: one receipt each."""
    outcomes = asyncio.run(run_block_with("send_a_million")["send_a_million"](40_000))
    assert outcomes == {"Accepted": 40_000}


def test_from_any_thread() -> None:
    """The README's way for WSGI: messages from several threads, and a client that is closed on its own loop."""
    names = run_block_with("send_from_any_thread")
    receipts: list[object] = []

    def request(number: int) -> None:
        message = Message(sender="MyCompany", to=f"7900{number:07}", text="Hello")
        receipts.append(names["send_from_any_thread"](message))

    threads = [threading.Thread(target=request, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run_coroutine_threadsafe(names["client"].aclose(), names["loop"]).result()
    end_of_thread(names)
    assert [type(each) for each in receipts] == [Accepted] * 8


async def posted(url: str, token: str) -> list[int]:
    """The answers to a callback, with the right token and with a wrong one."""
    answers = []
    async with aiohttp.ClientSession() as session:
        for each in (token, token[:-1]):
            async with session.post(f"{url}/{each}", data=EVENT) as response:
                answers.append(response.status)
    return answers


async def test_receiving_with_aiohttp() -> None:
    """The README's receiver for aiohttp.web takes a callback, and the tracker has it in its file."""
    names = run_block_with("make_receiving_app")
    runner = web.AppRunner(names["make_receiving_app"]())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assert await posted(f"http://127.0.0.1:{runner.addresses[0][1]}/devino", names["token"]) == [200, 404]
    assert (await names["tracker"].delivery("1")).status == "SENT"
    assert Path("deliveries.db").exists()
    await runner.cleanup()


async def test_receiving_with_starlette() -> None:
    """The README's receiver for FastAPI and Starlette takes a callback, by its route and mounted."""
    names = run_block_with('add_route("/callbacks')
    server = uvicorn.Server(uvicorn.Config(names["receiving_app"], port=0, log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    there = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    for url in (f"{there}/devino", f"{there}/callbacks"):
        assert await posted(url, names["token"]) == [200, 404]
    server.should_exit = True
    await serving


async def refused(url: str) -> Any:
    """The problems in the answer to a message that is not valid."""
    async with aiohttp.ClientSession() as session, session.post(url, json={"to": "nobody", "text": ""}) as response:
        assert response.status == 422
        return await response.json()


async def test_invalid_messages_with_aiohttp() -> None:
    """The README's app for aiohttp.web answers 422 with every problem of a message."""
    runner = web.AppRunner(run_block_with("def make_app")["make_app"]())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    problems = await refused(f"http://127.0.0.1:{runner.addresses[0][1]}/codes")
    assert [each.partition(":")[0] for each in problems] == ["to", "text"]
    await runner.cleanup()


async def test_invalid_messages_with_fastapi() -> None:
    """The README's app for FastAPI answers 422 with every problem of a message."""
    app = run_block_with("lifespan=lifespan")["app"]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    problems = await refused(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/codes")
    assert [each.partition(":")[0] for each in problems["detail"]] == ["to", "text"]
    server.should_exit = True
    await serving


def program(word: str, path: Path) -> list[str]:
    """A real program with the only block that holds this word."""
    [found] = [each for each in EXAMPLES if word in each.parsed]
    source = "import sys\n" + found.parsed.replace("port=8080", "port=int(sys.argv[1])")
    path.write_text(source, encoding="utf-8")
    return [sys.executable, str(path)]


async def test_a_campaign_that_is_killed(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's campaign, killed in mid-request and started twice by cron: nobody gets it twice, nobody is left out.

    What was in flight at the kill is Unconfirmed for ever.
    """
    monkeypatch.setenv("DEVINO_BASE_URL", service.url)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        await go_on.wait()
        return await accept_all(request, body)

    service.answering = slow
    script = program("spring_sale", tmp_path / "campaign.py")
    killed = await asyncio.create_subprocess_exec(*script, cwd=tmp_path)
    await arrived.wait()
    killed.kill()
    await killed.wait()
    go_on.set()
    service.answering = accept_all
    both = [
        await asyncio.create_subprocess_exec(*script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE) for _ in range(2)
    ]
    said = [(await each.communicate())[0].decode() for each in both]
    assert "Counter({'Unconfirmed': 1000})\n" in said
    assert set(said) <= {"Counter({'Unconfirmed': 1000})\n", "another run is under way\n"}
    assert sum(len(body["messages"]) for _, _, _, body in service.requests) == 1_000


async def test_a_shop_that_is_killed(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's shop, killed between a request and its answer: its next process sends nothing twice."""
    monkeypatch.setenv("DEVINO_BASE_URL", service.url)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request, body: Any) -> web.StreamResponse:
        if body["messages"][0]["to"] == "79000000002":
            arrived.set()
            await go_on.wait()
        return await accept_all(request, body)

    service.answering = answer
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = [*program("make_shop", tmp_path / "shop.py"), str(port)]

    async def shipped(order: int, to: str = "") -> Any:
        there = f"http://127.0.0.1:{port}/shipped"
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.post(there, json={"id": order, "to": to or f"7900000000{order}"}) as response:
                        return (await response.json())["outcome"] if response.ok else response.status
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0)  # It is starting.

    shop = await asyncio.create_subprocess_exec(*script, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL)
    assert await shipped(1) == "Accepted"
    losing = asyncio.create_task(shipped(2))
    await arrived.wait()
    shop.kill()
    await shop.wait()
    losing.cancel()
    await asyncio.wait({losing})
    go_on.set()
    shop = await asyncio.create_subprocess_exec(*script, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL)
    assert [await shipped(order) for order in (1, 2, 3)] == ["Accepted", "Unconfirmed", "Accepted"]
    assert await shipped(1, to="79000000009") == 409
    shop.terminate()
    await shop.wait()
    assert [body["messages"][0]["to"][-1] for _, _, _, body in service.requests] == ["1", "2", "3"]


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
    set_up = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[{}]' && .venv/bin/"
    assert SHELL[0] == f"{set_up.format('cli')}devino demo\n"
    assert SHELL[1].startswith(f"{set_up.format('dev')}python -m pytest")
    assert SHELL[1].count("\n") == 1
    assert SHELL[2] == "pip install devino-async\n"


def test_it_stays_short() -> None:
    """A reader gets through it: under 810 lines, with the API docs linked once."""
    assert len(TEXT.splitlines()) < 810
    assert TEXT.count("https://docs.devino.online") == 1


def test_its_figures_are_measured() -> None:
    """Each figure of the comparison with aiohttp stands in the benchmarks' output, beside the machine that it is of."""
    results = "\n".join(
        path.read_text(encoding="utf-8") for path in (README.parent / "benchmarks/results").glob("*.txt")
    )
    section = TEXT.partition("## Why not plain aiohttp?")[2]
    figures = re.findall(r"(\d+(?:\.\d+)?)(?: ms| µs)", section)
    assert len(figures) == 4
    for figure in [*figures, *re.findall(r"(?:CPython|aiohttp) \d+\.\d+\.\d+", section)]:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", results), figure
