"""Shared by the tests of the command line: the command in this process and in one of its own, and its environment."""

import inspect
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from devino_async.cli import devino

GOOD = "sender,to,text\nMyCompany,79000000001,Привет\nMyCompany,+79000000002,Hello\n"
# click 8.1 mixes stderr into stdout unless this option says otherwise. Later versions do not know the option.
RUNNER_OPTIONS = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


class Process:
    """The command as a program of its own, with every warning an error. Its stderr is read at once."""

    def __init__(self, *arguments: Any, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "devino_async", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **environment},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdin, self.stdout = self._process.stdin, self._process.stdout
        self._told: list[str] = []
        self._new: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,))
        self._listener.start()

    def _listen(self, stderr: IO[str]) -> None:
        for line in stderr:
            self._told.append(line)
            self._new.put(line)

    def hear(self, words: str) -> None:
        """Wait until its stderr has these words."""
        while words not in self._new.get(timeout=60):
            pass

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end, with stdin open until then. Return its exit status and its stderr."""
        try:
            status = self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait(60)
            self._listener.join(60)
            for stream in (self.stdin, self.stdout, self._process.stderr):
                try:
                    stream and stream.close()
                except BrokenPipeError:
                    continue
        return status, "".join(self._told)


class Cli:
    """The command, in this process or in one of its own, and the files for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def shell(self, line: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        """Run a line of sh, where "$@" is the command with these arguments."""
        command = [sys.executable, "-W", "error", "-m", "devino_async", *map(str, arguments)]
        return subprocess.run(
            ["sh", "-c", line, "sh", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
            cwd=self.folder,
        )

    def run(self, *arguments: Any, given: str | bytes | None = None) -> Result:
        return CliRunner(**RUNNER_OPTIONS).invoke(devino, [str(each) for each in arguments], input=given)

    def start(self, *arguments: Any, **environment: str) -> Process:
        self.processes.append(Process(*arguments, **environment))
        return self.processes[-1]

    def file(self, text: str = GOOD, name: str = "campaign.csv", encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.write_text(text, encoding=encoding)
        return path

    def sent(self) -> list[str]:
        """Send two messages and return their ids."""
        result = self.run("send", self.file(), "--json")
        return [row["message_id"] for row in self.lines(result.stdout)]

    @staticmethod
    def lines(text: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in text.splitlines()]


class Mute:
    """A service that reads one whole request and never answers: it keeps silent, or closes the connection."""

    def __init__(self, *, hangs_up: bool) -> None:
        self._hangs_up = hangs_up
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connection: socket.socket | None = None
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        try:
            self._connection, _ = self._listening.accept()
        except OSError:
            return
        taken = b""
        while not (head := taken.partition(b"\r\n\r\n"))[1]:
            taken += self._connection.recv(65_536)
        length = int(re.findall(rb"(?i)content-length: *([0-9]+)", head[0])[0])
        while len(taken) < len(head[0]) + 4 + length:
            taken += self._connection.recv(65_536)
        self.asked.set()
        if self._hangs_up:
            self._connection.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._listening.close()
        if self._connection is not None:
            self._connection.close()


def _rejected(reason: dict[str, str]) -> dict[str, Any]:
    return {"code": "REJECTED", "messageId": None, "reasons": [reason]}


class Counting:
    """A service that counts what it was sent, and rejects every message of the sender Unknown.

    It answers all but the POSTs after the first `answers`. Those wait until `answer_all` is called. Messages beyond
    the first `affords` are rejected for the balance. A `#` in `refusal` is the place of a message. Look-ups of statuses
    say DELIVERED, once `tells` is set.
    """

    def __init__(self) -> None:
        self.sent: Counter[tuple[str, str]] = Counter()
        self.batches: list[int] = []
        self.rows: list[dict[str, Any]] = []
        self.answers = self.affords = sys.maxsize
        # POSTs that begin with this recipient or a higher one are held, in whatever order they come.
        self.held_from = "8"
        self.refusal = {"key": "not.available", "ref": "from", "defaultMessage": "no such sender"}
        self.tells = threading.Event()
        self.tells.set()
        self.looked_up: list[list[str]] = []
        self.spent = 0
        self._holding = threading.Semaphore(0)
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        # A client that was killed is no error of this server.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def twice(self) -> list[tuple[str, str]]:
        return [message for message, count in self.sent.items() if count > 1]

    def wait_until_held(self, count: int) -> None:
        """Return when so many POSTs wait for their answer."""
        for _ in range(count):
            assert self._holding.acquire(timeout=60)

    def answer_all(self) -> None:
        self.answers, self.held_from = sys.maxsize, "8"
        self._released.set()
        self.tells.set()

    def close(self) -> None:
        self.answer_all()
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()

    def _answer(self, messages: list[dict[str, Any]]) -> bytes:
        with self._lock:
            self.sent.update((each["to"], each["text"]) for each in messages)
            self.batches.append(len(messages))
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
            poor = [number >= self.affords for number in range(self.spent, self.spent + len(messages))]
            self.spent += len(messages)
            self.rows += [
                {
                    "messageId": f"1{each['to']}",
                    "recipient": each["to"],
                    "sourceAddress": each["from"],
                    "text": each["text"],
                    "sentDateTime": now,
                }
                for each, is_poor in zip(messages, poor, strict=True)
                if each["from"] != "Unknown" and not is_poor
            ]
            is_held = len(self.batches) > self.answers or messages[0]["to"] >= self.held_from
        if is_held:
            self._holding.release()
            self._released.wait(60)
        too_dear = _rejected({"key": "balance.not.enough", "defaultMessage": "top up the balance"})
        results = [
            too_dear
            if is_poor
            else _rejected({name: value.replace("#", str(place)) for name, value in self.refusal.items()})
            if each["from"] == "Unknown"
            else {"code": "OK", "messageId": f"1{each['to']}"}
            for place, (each, is_poor) in enumerate(zip(messages, poor, strict=True))
        ]
        return json.dumps({"result": results}).encode()

    def _statuses(self, ids: list[str]) -> bytes:
        with self._lock:
            self.looked_up.append([str(each) for each in ids])
        self._holding.release()
        self.tells.wait(60)
        rows = [{"smsId": each, "status": "DELIVERED", "statusDateTime": "2026-11-28 10:00:00"} for each in ids]
        return json.dumps({"result": rows}).encode()

    def _page(self, query: dict[str, list[str]]) -> bytes:
        """A page of the details, of all messages or those with the ids that are asked for."""
        ids, offset, limit = query.get("messageIds"), int(query["offset"][0]), int(query["limit"][0])
        with self._lock:
            rows = [each for each in self.rows if ids is None or each["messageId"] in ids]
        page = {"data": rows[offset : offset + limit], "total": len(rows), "more": len(rows) > offset + limit}
        return json.dumps({"result": page}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        counting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._send(counting._statuses(body) if isinstance(body, list) else counting._answer(body["messages"]))

            def do_GET(self) -> None:
                self._send(counting._page(parse_qs(urlsplit(self.path).query)))

            def _send(self, answer: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return

        return Handler


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """The service that the command sends to."""
    made = Counting()
    monkeypatch.setenv("DEVINO_BASE_URL", made.url)
    yield made
    made.close()


@pytest.fixture(params=[False])
def mute(request: pytest.FixtureRequest) -> Iterator[Mute]:
    made = Mute(hangs_up=request.param)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def environment(sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    monkeypatch.setenv("DEVINO_API_KEY", "any-key")
    for name in (
        "DEVINO_LOGIN",
        "DEVINO_PASSWORD",
        "DEVINO_PROXY",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "DEVINO_JOURNAL",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path)
    yield made
    for process in made.processes:
        process.signal(9)
        process.end()


@pytest.fixture
def rows() -> str:
    """A file of 300 messages, 30 of which the service rejects."""
    senders = ("Unknown" if number % 10 == 9 else "MyCompany" for number in range(300))
    return "sender,to,text\n" + "".join(
        f"{sender},7900{number:07},secret words\n" for number, sender in enumerate(senders)
    )


@pytest.fixture
def in_its_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands without a path look into the current folder."""
    monkeypatch.chdir(cli.folder)


@pytest.fixture
def finished(cli: Cli, counting: Counting, rows: str) -> str:
    """The name of a finished campaign of 300 messages, 30 of them rejected."""
    cli.file(rows)
    assert cli.run("send", "campaign.csv", "--batch-size", "100").exit_code == 1
    return f"campaign.csv@{counting.url[7:]}"


@pytest.fixture
def killed(cli: Cli, counting: Counting, rows: str, in_its_folder: None) -> None:
    """A campaign of which 100 messages were answered, 100 were in flight at a kill, and 100 never began."""
    if sys.platform == "win32":
        pytest.skip("needs SIGKILL")
    counting.answers = 1
    process = cli.start("send", cli.file(rows), "--batch-size", "100", "--in-flight", "1", "--output", "r.csv")
    counting.wait_until_held(1)
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
