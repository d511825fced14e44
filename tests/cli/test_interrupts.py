"""Signals, nearly all in real processes: those that stop `devino send`, and the ends of other commands."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from devino_async.campaigns import SQLiteJournal

STOPPING = [
    pytest.param(number, 128 + number, id=number.name)
    for number in (signal.SIGINT, signal.SIGTERM, *([] if sys.platform == "win32" else [signal.SIGHUP]))
]


def begun(cli: Any, *arguments: Any) -> Any:
    """Start `devino send` with a thousand rows, and wait until it has results and waits for more rows."""
    process = cli.start("send", "-", "--sender", "MyCompany", "--batch-size", "1", "--json", *arguments)
    process.stdin.write("to,text\n" + "".join(f"7900000{number:04},x\n" for number in range(1_024)))
    process.stdin.flush()
    assert process.stdout.readline()
    return process


@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_signal(cli: Any, number: int, ends_in: int) -> None:
    """A signal stops reading, finishes what is in flight, and ends in 128 and its number.

    Every row that was read has its result.
    """
    process = begun(cli)
    # Standard input stays open: the command can only end by being interrupted.
    process.signal(number)
    rows = cli.lines(process.stdout.read())
    status, told = process.end()
    assert status == ends_in, told
    assert "finishing what is in flight" in told
    assert [row["line"] for row in rows] == list(range(3, len(rows) + 3))
    outcomes = [row["outcome"] for row in rows]
    accepted = outcomes.count("accepted")
    assert outcomes == ["accepted"] * accepted + ["not_sent"] * (len(rows) - accepted)
    assert f"{len(rows) + 1:,} rows: {accepted + 1:,} accepted" in told


@pytest.mark.parametrize("options", [(), ("--journal", "j", "--campaign", "c")], ids=["plain", "journal"])
def test_ctrl_c_before_anything_came(cli: Any, options: tuple[str, ...]) -> None:
    """Ctrl-C works while standard input has not even brought a header. There is no journal yet."""
    process = cli.start("send", "-", "--sender", "MyCompany", "--json", *options)
    # More blank lines than the pipe holds, so this returns only once the command is reading.
    process.stdin.write("\n" * 200_000)
    process.stdin.flush()
    process.signal(signal.SIGINT)
    status, told = process.end()
    assert status == 130, told
    assert "Traceback" not in told
    assert not [*cli.folder.iterdir()]


@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_second_signal(cli: Any, mute: Any, number: int, ends_in: int) -> None:
    """A second signal ends at once, even if what is in flight is never answered. The status is its own."""
    process = cli.start("send", cli.file(), DEVINO_BASE_URL=mute.url)
    assert mute.asked.wait(60)
    process.signal(signal.SIGINT)
    process.hear("again to end at once")
    process.signal(number)
    status, told = process.end()
    assert status == ends_in, told


@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_signal_while_checking(cli: Any, number: int, ends_in: int) -> None:
    """A signal during the first reading of --strict sends nothing."""
    path = cli.file("sender,to,text\n" + "MyCompany,oops,x\n" + "MyCompany,79000000001,x\n" * 300_000)
    process = cli.start("send", path, "--strict")
    process.hear("line 2: ")
    process.signal(number)
    status, told = process.end()
    assert status == ends_in, told
    assert "interrupted; nothing was sent" in told


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal ends the process")
@pytest.mark.usefixtures("in_its_folder")
@pytest.mark.parametrize(("look", "at"), [("campaigns", 1), ("campaigns", 2), ("check_not_forgotten", 1)])
def test_a_signal_between_checking_and_sending(
    cli: Any, counting: Any, look: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that comes while the journal is looked into, before anything is sent, sends nothing, as it says."""
    assert cli.run("send", cli.file(), "--limit", "1").exit_code == 0
    plain, looks = getattr(SQLiteJournal, look), []

    async def looked(journal: SQLiteJournal, *arguments: Any) -> Any:
        looks.append(look)
        if len(looks) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return await plain(journal, *arguments)

    monkeypatch.setattr(SQLiteJournal, look, looked)
    result = cli.run("send", "campaign.csv")
    assert "interrupted; nothing was sent" in result.stderr
    assert result.exit_code == 143
    assert counting.batches == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP")
def test_nohup(cli: Any) -> None:
    """Under `nohup`, which ignores SIGHUP, a closed terminal does not stop the sending."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begun(cli)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.signal(signal.SIGHUP)
    process.stdin.write("79000002000,x\n")
    process.stdin.close()
    assert cli.lines(process.stdout.read())[-1]["to"] == "79000002000"
    status, told = process.end()
    assert status == 0, told


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
def test_a_signal_while_tracking(cli: Any) -> None:
    """SIGTERM while statuses are awaited ends at once. The results and the counts are complete."""
    # The sandbox leaves such a number in SENT, so the tracking would go on for an hour.
    path = cli.file("sender,to,text\nMyCompany,79000000995,x\n")
    process = cli.start("send", path, "--json", "--track")
    assert json.loads(process.stdout.readline())["outcome"] == "accepted"
    process.signal(signal.SIGTERM)
    assert process.stdout.read() == ""
    status, told = process.end()
    assert status == 143, told
    assert "1 row: 1 accepted" in told


@pytest.fixture
def unreachable() -> Iterator[str]:
    """The address of a port that refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("journal", [["--no-journal"], []])
@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_signal_in_an_outage(cli: Any, unreachable: str, number: int, ends_in: int, journal: list[str]) -> None:
    """What waits for a service in trouble is not in flight: the first signal ends it at once, each row with its result.

    Why it waits is told once, without numbers or texts.
    """
    rows = "".join(f"MyCompany,7900000{number:04},secret\n" for number in range(1_000))
    path = cli.file("sender,to,text\n" + rows)
    process = cli.start("send", path, "--batch-size", 100, "--json", *journal, DEVINO_BASE_URL=unreachable)
    process.hear("the service cannot be reached (no complete answer (ClientConnectorError: Connection refused))")
    process.signal(number)
    rows = cli.lines(process.stdout.read())
    status, told = process.end()
    assert status == ends_in, told
    assert {row["outcome"] for row in rows} == {"not_sent"}
    assert [row["line"] for row in rows] == list(range(2, len(rows) + 2))
    assert f"{len(rows):,} rows: 0 accepted, {len(rows):,} not sent" in told
    assert told.count("cannot be reached") == 1
    assert "7900000" not in told
    assert "secret" not in told
    assert "the client" not in told


class _Failing(BaseHTTPRequestHandler):
    """Answers the first batch only once it is released, and all other requests with 502."""

    begun: threading.Event
    released: threading.Event

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        first = isinstance(body, dict) and body["messages"][0]["to"] == "79000000000"
        if first:
            self.begun.set()
            self.released.wait(60)
        else:
            self.begun.wait(60)
        results = [{"code": "OK", "messageId": each["to"]} for each in body["messages"]] if first else []
        answer = json.dumps({"result": results}).encode()
        self.send_response(200 if first else 502)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return


def test_in_flight_in_an_outage(cli: Any) -> None:
    """A signal in an outage still finishes what is in flight."""
    handler = type("Handler", (_Failing,), {"begun": threading.Event(), "released": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        path = cli.file("sender,to,text\n" + "".join(f"A,7900000{number:04},x\n" for number in range(1_000)))
        url = f"http://127.0.0.1:{server.server_port}"
        process = cli.start("send", path, "--batch-size", 100, "--json", DEVINO_BASE_URL=url)
        process.hear("the service is in trouble (HTTP 502: ")
        process.signal(signal.SIGTERM)
        process.hear("finishing what is in flight")
        handler.released.set()
        rows = cli.lines(process.stdout.read())
        status, told = process.end()
        server.shutdown()
        thread.join()
    assert status == 143, told
    outcomes = [row["outcome"] for row in rows]
    assert outcomes[:100] == ["accepted"] * 100
    assert set(outcomes[100:]) == {"unconfirmed", "not_sent"}
    assert [row["line"] for row in rows] == list(range(2, len(rows) + 2))


def test_a_stream_that_ends_early(cli: Any, counting: Any) -> None:
    """Every row that was read has its result, even where the service ends the stream in the middle of a run of rows."""
    path = cli.file("sender,to,text\n" + "".join(f"Unknown,7900000{number:04},x\n" for number in range(1_000)))
    result = cli.run("send", path, "--batch-size", 100, "--json")
    assert result.exit_code == 3
    lines = [row["line"] for row in cli.lines(result.stdout)]
    # A run has 512 rows, so all rows of the first run were read.
    assert lines == list(range(2, len(lines) + 2))
    assert len(lines) >= 512
