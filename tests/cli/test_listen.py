"""`devino listen` and `devino send --track` against the real sandbox: callbacks, incoming messages, final statuses."""

import json
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from devino_async import DeliveryTracker, SQLiteStore, Status, new_token

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")

EVENTS = [
    {"messageId": "1", "ts": 1613404835977, "status": "SENT", "errorCode": 0},
    {"messageId": "1", "ts": 1613404836977, "status": "REJECTED", "errorCode": 2005, "channel": "sms"},
]
INCOMING = {"incomingMessageId": "5", "to": "MyCompany", "from": "79000000001", "text": "STOP", "ts": "1587721283000"}


def post(url: str, body: Any) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_listening_in_json(cli: Any) -> None:
    """The first line is the address with its token, then every event is a line. Ctrl-C ends it in 0."""
    process = cli.start("listen", "--port", "0", "--json")
    url = json.loads(process.stdout.readline())["url"]
    assert post(url, EVENTS) == 200
    assert post(url, INCOMING) == 200
    assert post(url[:-1] + "-", EVENTS) == 404
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert [(each.get("status"), each.get("error_code")) for each in lines] == [
        ("SENT", 0),
        ("REJECTED", 2005),
        (None, None),
    ]
    assert lines[1]["channel"] == "sms"
    assert lines[1]["timestamp"] == "2021-02-15T16:00:36.977000+00:00"
    assert (lines[2]["sender"], lines[2]["text"]) == ("79000000001", "STOP")
    process.signal(signal.SIGINT)
    status, told = process.end()
    assert status == 0
    assert "Traceback" not in told


async def test_listening_for_people_and_for_a_file(cli: Any, tmp_path: Path) -> None:
    """Without --json events are lines for people. With --database they are stored before they are answered."""
    token, path = new_token(), tmp_path / "deliveries.db"
    process = cli.start(
        *("listen", "--port", "0", "--database", path, "--public", "https://sms.example.com/"),
        DEVINO_CALLBACK_TOKEN=token,
    )
    process.hear(f"https://sms.example.com/{token}")
    process.signal(signal.SIGTERM)
    assert process.end()[0] == 0
    process = cli.start("listen", "--port", "0", "--database", path, "--token", token)
    url = ""
    while token not in url:
        url = process._new.get(timeout=60).strip()
    assert post(url, [*EVENTS, {**EVENTS[0], "status": "PONDERED\x1b[2J"}]) == 200
    assert post(url, INCOMING) == 200
    lines = [process.stdout.readline().strip() for _ in range(4)]
    assert lines[1] == "2021-02-15 16:00:36  1  REJECTED  error 2005"
    assert "\x1b" not in lines[2]
    assert lines[3].endswith("from 79000000001 to MyCompany: STOP")
    process.signal(signal.SIGTERM)
    process.end()
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        assert (await tracker.delivery("1")).status is Status.REJECTED


def half_request(url: str) -> socket.socket:
    host, port = url.split("/")[2].split(":")
    made = socket.create_connection((host, int(port)), timeout=60)
    made.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
    return made


@pytest.mark.parametrize("bound", ["20", "100000"])
def test_half_requests(cli: Any, bound: str) -> None:
    """Hundreds of half requests neither keep good callbacks out nor fill stderr, also where descriptors run out."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process cannot be set here")
    process = cli.start("listen", "--port", "0", "--json", "--max-unauthenticated", bound)
    url = json.loads(process.stdout.readline())["url"]
    if bound != "20":
        resource.prlimit(process._process.pid, resource.RLIMIT_NOFILE, (40, 40))
    made = []
    try:
        for number in range(300 if bound == "20" else 120):
            made.append(half_request(url))
            if number % 30 == 29:
                assert post(url, EVENTS) == 200
    finally:
        for each in made:
            each.close()
    process.signal(signal.SIGINT)
    status, told = process.end()
    assert status == 0
    assert told.count("no free descriptors") == (bound != "20")
    assert len(told.splitlines()) < 8


def test_header_timeout(cli: Any) -> None:
    """--header-timeout closes a connection that has sent no token by then."""
    process = cli.start("listen", "--port", "0", "--json", "--header-timeout", "0.05")
    url = json.loads(process.stdout.readline())["url"]
    with half_request(url) as attacker:
        with suppress(ConnectionResetError):
            assert attacker.recv(1) == b""
    process.signal(signal.SIGINT)
    assert process.end()[0] == 0


def test_odd_events_are_told(cli: Any) -> None:
    """Events that cannot be read are counted on stderr, and the others are printed."""
    process = cli.start("listen", "--port", "0", "--json")
    url = json.loads(process.stdout.readline())["url"]
    assert post(f"{url}/", [{**EVENTS[0], "status": None}, EVENTS[1]]) == 200
    assert json.loads(process.stdout.readline())["status"] == "REJECTED"
    process.hear("1 of 2 events cannot be read")
    process.signal(signal.SIGINT)
    assert process.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--token", "short"], "token must be"), (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1:0")],
)
def test_what_cannot_be_listened_on(cli: Any, arguments: list[str], told: str) -> None:
    """A weak token, or an address of another machine, ends in 2 and says why."""
    result = cli.run("listen", "--port", "0", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_tracking(cli: Any) -> None:
    """--track waits until the statuses are final and counts them. Results are written as without it."""
    rows = ["sender,to,text", *(f"MyCompany,7900000{number:04},Hello" for number in (1, 2, 991, 993))]
    result = cli.run("send", cli.file("\n".join(rows)), "--json", "--track")
    assert result.exit_code == 0, result.output
    assert len(cli.lines(result.stdout)) == 4
    counts = {line.split()[0]: line.split()[1] for line in result.stderr.splitlines() if len(line.split()) == 2}
    assert counts == {"DELIVERED": "2", "UNDELIVERABLE": "1", "REJECTED": "1"}


def test_tracking_has_an_end(cli: Any) -> None:
    """Messages that are not final at the end of the time are counted, and do not change the exit status."""
    result = cli.run("send", cli.file("sender,to,text\nMyCompany,79000000995,Hello\n"), "--track", "--track-for", "0")
    assert result.exit_code == 0, result.output
    assert "1 are not final yet" in result.stderr


@pytest.mark.parametrize(
    ("failing", "status", "words"),
    [
        ("all", 3, "the statuses of 501 messages could not be looked up: statuses failed"),
        ("one", 1, "the statuses of 500 messages could not be looked up: statuses failed"),
        ("row", 1, "items in answers that could not be read in full: 1\n1 are not final yet"),
        ("date", 0, "items in answers that could not be read in full: 1\n"),
    ],
)
def test_tracking_says_what_failed(
    cli: Any, monkeypatch: pytest.MonkeyPatch, failing: str, status: int, words: str
) -> None:
    """--track names the error of look-ups that failed. It exits 3 where none was answered, 1 where some were not.

    Rows that could not be read are counted. If one leaves a message without a status, the exit status is 1.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.startswith("/sms/messages"):
                result: Any = [{"code": "OK", "messageId": each["to"]} for each in body["messages"]]
            elif failing == "all" or (failing == "one" and "79000000000" in body):
                result = "odd"
            else:
                result = [{"smsId": each, "status": "DELIVERED"} for each in body]
                if failing in {"row", "date"} and "79000000000" in body:
                    result[0] |= {"status": None} if failing == "row" else {"statusDateTime": "soon"}
            answer = json.dumps({"result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Keep stderr clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("DEVINO_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        rows = ["sender,to,text", *(f"MyCompany,7900{number:07},Hello" for number in range(501))]
        result = cli.run("send", cli.file("\n".join(rows)), "--json", "--track", "--track-for", "0")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.exit_code == status, result.output
    assert words in result.stderr
