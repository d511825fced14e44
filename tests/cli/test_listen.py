"""`devino listen` and `devino send --track` against the real sandbox: callbacks, incoming messages, final statuses."""

import json
import signal
import sys
import urllib.error
import urllib.request
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
