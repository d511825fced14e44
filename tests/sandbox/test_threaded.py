"""SandboxThread, used by code without an event loop and by code on one. `python -m devino_async.sandbox` too."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Receiver

from devino_async.sandbox import SandboxThread
from devino_async.sandbox.__main__ import main

URL = "http://127.0.0.1:9/"


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    with SandboxThread() as running:
        yield running


def send(url: str, to: str = "79000000001", **fields: Any) -> None:
    """Send by the standard library, as code without the SDK."""
    body = json.dumps({"messages": [{"from": "MyCompany", "to": to, "text": "Hello", **fields}]}).encode()
    request = urllib.request.Request(f"{url}/sms/messages", body, {"Authorization": "Key any"})
    urllib.request.urlopen(request).close()


def test_its_methods_block(sandbox: SandboxThread) -> None:
    """Code without an event loop sends, waits, reads, replies and clears."""
    send(sandbox.url)
    assert sandbox.wait_for(to="79000000001", text="ell") == sandbox.messages[0]
    assert sandbox.find(to="79000000002") == sandbox.find(after=sandbox.messages[0].message_id) == ()
    assert sandbox.reply("79000000001", "STOP", url=URL).reached is False
    send(sandbox.url)
    assert [len(each.message_ids) for each in sandbox.repeated()] == [2]
    with pytest.raises(AssertionError, match="2 times to 7900"):
        sandbox.assert_nothing_sent_twice()
    assert sandbox.requests["/sms/messages"] == 2
    sandbox.faults.unavailable = True
    sandbox.clear()
    assert (sandbox.messages, sandbox.faults.unavailable, sandbox.requests) == ((), False, {})


async def test_nothing_waits_on_an_event_loop(sandbox: SandboxThread, receiver: tuple[Receiver, str]) -> None:
    """On an event loop a wait that would block is refused at once. The async methods wait, and a receiver answers."""
    _, url = receiver
    with pytest.raises(RuntimeError, match="wait_for_async"):
        sandbox.wait_for()
    with pytest.raises(RuntimeError, match="reply_async"):
        sandbox.reply("79000000001", "STOP")
    waiting = asyncio.create_task(sandbox.wait_for_async())
    await asyncio.to_thread(send, sandbox.url, callbackUrl=url)
    assert await waiting == sandbox.wait_for()
    assert (await sandbox.reply_async("79000000001", "STOP")).reached


async def test_a_wait_can_be_cancelled(sandbox: SandboxThread) -> None:
    """A cancelled wait ends at once, and the sandbox goes on."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await sandbox.wait_for_async(timeout=60)
    await asyncio.to_thread(send, sandbox.url)
    assert await sandbox.wait_for_async()


def test_it_starts_once() -> None:
    """A sandbox that was stopped says that it cannot start again, and leaves no thread."""
    stopped = SandboxThread()
    stopped.start()
    stopped.stop()
    with pytest.raises(RuntimeError, match="make a new one"):
        stopped.start()
    stopped.stop()
    assert "devino-sandbox" not in {thread.name for thread in threading.enumerate()}


def test_start_and_stop() -> None:
    """A sandbox that cannot start raises. Stopping twice, or what never ran, does no harm, and nothing runs then."""
    never = SandboxThread()
    never.stop()
    with SandboxThread() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            SandboxThread(port=port).start()
    first.stop()
    for each in (never, first):
        with pytest.raises(RuntimeError, match="not running"):
            each.find()
        with pytest.raises(RuntimeError, match="not running"):
            _ = each.messages


def test_too_many_to_read_at_once(sandbox: SandboxThread) -> None:
    """More than 10,000 messages are not read at once, and `find` gives pages of them."""
    messages = [{"from": "MyCompany", "to": "79000000001", "text": str(n)} for n in range(10_001)]
    body = json.dumps({"messages": messages}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{sandbox.url}/sms/messages", body, {"Authorization": "Key any"})
    ).close()
    with pytest.raises(RuntimeError, match="find"):
        _ = sandbox.messages
    first = sandbox.find()
    assert len(first) == 1_000
    assert sandbox.find(after=first[-1].message_id, limit=1)[0].text == "1000"
    with pytest.raises(ValueError, match="after"):
        sandbox.find(after="x")


def test_values_show_no_secrets(sandbox: SandboxThread) -> None:
    """What a value or an error shows has masked numbers and no text."""
    send(sandbox.url, options={"secret": "Hello"})
    send(sandbox.url)
    reply = sandbox.reply("79000000001", "Hello", url=URL)
    with pytest.raises(TimeoutError) as late:
        sandbox.wait_for(to="79000000009", text="Hello again", timeout=0)
    shown = " ".join(map(repr, (sandbox, sandbox.messages, sandbox.repeated(), reply, late.value)))
    assert "Hello" not in shown
    assert not re.search(r"79\d{9}", shown)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_as_a_module(tmp_path: Path, stop: signal.Signals) -> None:
    """`python -m devino_async.sandbox` prints its address, keeps a database, and ends with 0 at a signal.

    As in a container, it listens on all interfaces. The address that it prints is one of this machine.
    """
    command = [sys.executable, "-m", "devino_async.sandbox", "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(
        [*command, "--database", str(tmp_path / "sms.db"), "--keep", "2"], stdout=subprocess.PIPE, text=True
    ) as made:
        assert made.stdout is not None
        url = made.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        send(url)
        with urllib.request.urlopen(f"{url}/_sandbox/messages?wait=5") as answer:
            assert len(json.load(answer)["result"]["messages"]) == 1
        with urllib.request.urlopen(f"{url}/_sandbox/events") as answer:
            assert json.loads(answer.readline().removeprefix(b"data: "))["keep"] == 2
        made.send_signal(stop)
        assert made.wait(30) == 0
    assert (tmp_path / "sms.db").exists()


def test_a_module_that_cannot_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A taken port and an unusable database end with 2 and a sentence. The help has the magic recipients."""
    with SandboxThread() as taken:
        assert main(["--port", taken.url.rpartition(":")[2]]) == 2
    assert main(["--port", "0", "--database", str(tmp_path)]) == 2
    for wrong in (["--port", "70000"], ["--keep", "0"], ["--help"]):
        with pytest.raises(SystemExit):
            main(wrong)
    said = capsys.readouterr()
    assert "cannot listen on 127.0.0.1" in said.err
    assert "cannot use the database" in said.err
    assert "...9990004" in said.out
