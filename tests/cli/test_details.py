"""`devino details` against the real sandbox and services that fail: its rows, its files, and its exit status."""

import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

ALWAYS = ["--from", "2020-01-01", "--to", "2090-01-01T10:00:00"]


def test_details(cli: Any) -> None:
    """Detail rows come as a table, CSV or JSON lines, to stdout or a file, at most --max-rows of them."""
    ids = cli.sent()
    arguments = ["details", "--message-id", ids[0], "--message-id", ids[1]]
    table = cli.run(*arguments)
    assert table.exit_code == 0, table.output
    assert len(table.stdout.splitlines()) == 3
    rows = cli.lines(cli.run(*arguments, "--json").stdout)
    assert [row["message_id"] for row in rows] == ids
    assert rows[0]["text"] == "Привет"
    assert rows[0]["price"] == "2.35"
    output = cli.folder / "details.csv"
    cli.run(*arguments, "--format", "csv", "--output", output, "--field", "PRICE", "--field", "MESSAGE_ID")
    assert output.read_text(encoding="utf-8").splitlines() == ["price,message_id", f"2.35,{ids[0]}", f"2.35,{ids[1]}"]
    order = ["--order", "desc", "--order-field", "MESSAGE_ID", "--page-size", "7"]
    [last] = cli.lines(cli.run("details", *ALWAYS, *order, "--json", "--max-rows", "1").stdout)
    assert int(last["message_id"]) >= int(ids[1])


def test_details_without_rows(cli: Any) -> None:
    """A query without rows ends in 0, and a CSV still has its header."""
    result = cli.run("details", "--task-id", "987654", "--format", "csv", "--field", "STATUS")
    assert (result.exit_code, result.stdout) == (0, "status\n")


def test_details_of_many(cli: Any) -> None:
    """A table shows the first hundred rows and says so. CSV and JSON lines give all, page by page."""
    text = "sender,to,text\n" + "".join(f"MyCompany,7900{number:07},tabled\n" for number in range(250))
    assert cli.run("send", cli.file(text)).exit_code == 0
    arguments = ["details", *ALWAYS, "--search", "tabled", "--page-size", "60", "--count"]
    table = cli.run(*arguments)
    assert len(table.stdout.splitlines()) == 101
    assert "these are the first 100 rows" in table.stderr
    assert "250 rows match" in table.stderr
    assert len(cli.run(*arguments, "--format", "csv").stdout.splitlines()) == 251
    assert len(cli.run(*arguments, "--json", "--offset", "200").stdout.splitlines()) == 50


def test_details_replace_only_what_they_may(cli: Any) -> None:
    """--overwrite replaces a file. A file that is empty, or is not a regular one, needs no leave."""
    [first, _] = cli.sent()
    for arguments in (["--output", cli.file("older", "a.jsonl"), "--overwrite"], ["--output", cli.file("", "b.jsonl")]):
        result = cli.run("details", "--message-id", first, "--json", *arguments)
        assert result.exit_code == 0, result.output
        assert [row["message_id"] for row in cli.lines(arguments[1].read_text(encoding="utf-8"))] == [first]
    assert cli.run("details", "--message-id", first, "--output", os.devnull).exit_code == 0


def test_a_mistake_keeps_the_older_file(cli: Any) -> None:
    """Even with --overwrite, a query that cannot be asked leaves the older file as it is."""
    older = cli.file("older", "older.csv")
    result = cli.run("details", "--task-id", "1", "--field", "COLOUR", "--output", older, "--overwrite")
    assert result.exit_code == 2
    assert older.read_text() == "older"


def test_formulas_in_details(cli: Any) -> None:
    """A text that a spreadsheet would take as a formula is written as text in CSV, and as it is in JSON lines."""
    rows = "sender,to,text\nMyCompany,79000000001,=1+1\n"
    [sent] = cli.lines(cli.run("send", cli.file(rows), "--json").stdout)
    arguments = ["details", "--message-id", sent["message_id"], "--field", "TEXT"]
    assert cli.run(*arguments, "--format", "csv").stdout.splitlines() == ["text", "'=1+1"]
    assert cli.lines(cli.run(*arguments, "--json").stdout) == [{"text": "=1+1"}]


class _Capped(BaseHTTPRequestHandler):
    """Three rows a page, and a total that is never reached."""

    def do_GET(self) -> None:
        begin = int(re.findall(r"offset=([0-9]+)", self.path)[0])
        rows = ",".join(f'{{"messageId": "{number}"}}' for number in range(begin, min(begin + 3, 6)))
        more = "true" if begin < 3 else "false"
        body = f'{{"result": {{"data": [{rows}], "size": 3, "more": {more}, "total": 9}}}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.mark.parametrize("service", [_Capped], indirect=True)
@pytest.mark.parametrize("offset", [0, 3])
def test_details_short_of_their_total(cli: Any, service: str, offset: int) -> None:
    """Rows that do not come to the service's total end in 1 and say so. They are written all the same."""
    arguments = ["details", "--task-id", "1", "--count", "--page-size", "3", "--base-url", service, "--json"]
    result = cli.run(*arguments, "--offset", offset)
    assert [row["message_id"] for row in cli.lines(result.stdout)] == [str(number) for number in range(offset, 6)]
    assert result.exit_code == 1
    assert "the service counted 9 rows, but gave 6: rows are missing, or new ones came" in result.stderr
    # A walk that was asked to stop before the end says nothing of the total.
    assert cli.run(*arguments, "--max-rows", "2").exit_code == 0


class _Odd(BaseHTTPRequestHandler):
    """One row with a cell that cannot be read, beside a total of 0, and one status without an id."""

    def do_GET(self) -> None:
        self._answer(b'{"result": {"data": [{"messageId": "1", "countryId": []}], "more": false, "total": 0}}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"result": [{"status": "SENT"}, {"smsId": "1", "status": "SENT"}]}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.mark.parametrize("service", [_Odd], indirect=True)
@pytest.mark.parametrize("command", [["details", "--task-id", "1"], ["status", "1"]])
def test_items_that_cannot_be_read(cli: Any, service: str, command: list[str]) -> None:
    """What could not be read is said on stderr, and all else is given. A total that was not asked for may be 0."""
    result = cli.run(*command, "--base-url", service, "--json")
    assert [row["message_id"] for row in cli.lines(result.stdout)] == ["1"]
    assert result.exit_code == 0
    assert "items in answers that could not be read in full: 1" in result.stderr


@pytest.mark.parametrize("service", [_Odd], indirect=True)
def test_a_status_that_cannot_be_read(cli: Any, service: str) -> None:
    """An id whose row may have come, but could not be read, is not said to be unknown to the service."""
    result = cli.run("status", "1", "2", "--base-url", service, "--json")
    assert "2: no status that could be read" in result.stderr
    assert "does not know" not in result.stderr


class _Failing(BaseHTTPRequestHandler):
    """Two rows, one of them with an escape sequence for terminals, and then a refusal."""

    def do_GET(self) -> None:
        if "offset=0" in self.path:
            status, body = 200, b'{"result": {"data": [{"text": "\\u001b[2Ja"}, {"text": "b"}], "more": true}}'
        else:
            status, body = 404, b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(params=[_Failing])
def service(request: pytest.FixtureRequest) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_details_that_fail_midway(cli: Any, service: str) -> None:
    """Details that fail midway end in 3, keep what came before, and say where to resume."""
    arguments = ["details", "--task-id", "1", "--page-size", "2", "--field", "TEXT", "--base-url", service]
    result = cli.run(*arguments, "--json")
    assert result.exit_code == 3
    assert [row["text"] for row in cli.lines(result.stdout)] == ["\x1b[2Ja", "b"]
    assert "to go on: --offset 2" in result.stderr
    to_file = cli.run(*arguments, "--json", "--output", cli.folder / "details.jsonl")
    assert "to go on: --offset 2 with another --output" in to_file.stderr
    # In a table for people no cell can move the cursor.
    assert cli.run(*arguments).stdout.splitlines() == ["text", "\N{MIDDLE DOT}[2Ja", "b"]
