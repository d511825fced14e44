"""What comes before the first message of `devino send`: the limits, the summary, and the question on a terminal."""

import csv
import os
import select
import signal
import subprocess
import sys
from typing import Any

import pytest

ROWS = "to,text\n" + "".join(f"7900{number:07},{'a' * 150}\n" for number in range(10))
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")


class Terminal:
    """A `devino send` whose stdin and stderr are a terminal."""

    def __init__(self, *arguments: Any) -> None:
        self._master, slave = os.openpty()
        command = [sys.executable, "-W", "error", "-m", "devino_async", "send", *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        self.told = ""

    def hear(self, words: str) -> None:
        while words not in self.told:
            more = self._more()
            assert more, self.told
            self.told += more

    def _more(self) -> str:
        """What it says next, or nothing if it has closed its end."""
        ready, _, _ = select.select([self._master], [], [], 60)
        assert ready, self.told
        try:
            return os.read(self._master, 65_536).decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            return ""  # Linux says so when the other end is closed.

    def answer(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def signal(self, number: int) -> None:
        """Send a signal, and again if it came just before the read that waits for an answer. Python sees it after."""
        for _ in range(5):
            self._process.send_signal(number)
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                continue
            return

    def end(self) -> int:
        try:
            while more := self._more():
                self.told += more
            return self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait(60)
            os.close(self._master)


@UNIX
@pytest.mark.parametrize("options", [[], ["--no-journal"], ["--strict"]])
def test_a_yes(cli: Any, counting: Any, options: list[str]) -> None:
    """On a terminal the summary is shown first, and nothing is sent before a yes."""
    terminal = Terminal(cli.file(ROWS), "--sender", "MyCompany", "--price", "4.2", *options)
    terminal.hear("Send? [y/N]")
    assert "cost        42.00 to 84.00" in terminal.told
    assert "MyCompany to *******0000: aaa" in terminal.told
    assert "to send: 10 messages, 10 to 20 segments, cost 42.00 to 84.00" in terminal.told
    assert not counting.sent
    terminal.answer(b"y\n")
    assert terminal.end() == 0, terminal.told
    assert counting.sent.total() == 10


@UNIX
@pytest.mark.parametrize("keys", [b"n\n", b"\n", b"\x04"], ids=["no", "enter", "end"])
def test_a_no(cli: Any, counting: Any, keys: bytes) -> None:
    """A no, no word, and the end of the input end in 2. Nothing is sent, and no file is made."""
    terminal = Terminal(cli.file(ROWS), "--sender", "MyCompany", "--output", cli.folder / "results.csv")
    terminal.hear("Send? [y/N]")
    terminal.answer(keys)
    assert terminal.end() == 2, terminal.told
    assert "nothing was sent. --yes sends without asking" in terminal.told
    assert not counting.sent
    assert [each.name for each in cli.folder.iterdir()] == ["campaign.csv"]


@UNIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_question(cli: Any, counting: Any, number: int) -> None:
    """A signal ends the question at once, and nothing is sent."""
    terminal = Terminal(cli.file(ROWS), "--sender", "MyCompany")
    terminal.hear("Send? [y/N]")
    terminal.signal(number)
    assert terminal.end() == -number, terminal.told
    assert not counting.sent


@UNIX
@pytest.mark.parametrize("sent_before", [0, 4], ids=["new", "known"])
def test_a_file_that_is_saved_at_the_question(cli: Any, counting: Any, sent_before: int) -> None:
    """The yes is about the rows that were counted. If the file was saved since then, nothing more is sent."""
    path = cli.file(ROWS)
    if sent_before:
        assert cli.run("send", path, "--sender", "MyCompany", "--limit", sent_before).exit_code == 0
    terminal = Terminal(path, "--sender", "MyCompany")
    terminal.hear("Send? [y/N]")
    cli.file(ROWS + "79000000099,one more\n")
    terminal.answer(b"y\n")
    assert terminal.end() == 2, terminal.told
    assert "changed while it was checked. Nothing was sent: run this again" in terminal.told
    assert counting.sent.total() == sent_before


@UNIX
def test_no_question(cli: Any, counting: Any) -> None:
    """With --yes there is no question, and none if nothing is left to send."""
    path = cli.file(ROWS)
    first = Terminal(path, "--sender", "MyCompany", "--yes")
    assert first.end() == 0, first.told
    again = Terminal(path, "--sender", "MyCompany")
    assert again.end() == 0, again.told
    assert "Send?" not in first.told + again.told
    assert counting.sent.total() == 10


@UNIX
def test_what_is_left(cli: Any, counting: Any) -> None:
    """A campaign that goes on is said before the question, which is about what would go out now."""
    path = cli.file(ROWS)
    assert cli.run("send", path, "--sender", "MyCompany", "--limit", 4).exit_code == 0
    terminal = Terminal(path, "--sender", "MyCompany", "--price", "4.2")
    terminal.hear("Send? [y/N]")
    assert "continues: 4 rows unchanged, 6 new" in terminal.told
    assert "to send now: 6 messages, 6 to 12 segments, cost 25.20 to 50.40" in terminal.told
    terminal.answer(b"y\n")
    assert terminal.end() == 0
    assert counting.sent.total() == 10
    assert not counting.twice


@pytest.mark.parametrize("journal", [[], ["--no-journal"]])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-segments", "19"], "up to 20 segments would go out, and --max-segments is 19"),
        (["--max-cost", "83.99", "--price", "4.2"], "it would cost up to 84.00, and --max-cost is 83.99"),
    ],
)
def test_a_limit(cli: Any, counting: Any, options: list[str], words: str, journal: list[str]) -> None:
    """A limit that the file exceeds ends in 2 before the first message, and no journal is made."""
    path = cli.file(ROWS)
    result = cli.run("send", path, "--sender", "MyCompany", *options, *journal)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "nothing was sent" in result.stderr
    assert not counting.sent
    assert [*cli.folder.iterdir()] == [path]
    fits = ["--max-segments", "20", "--max-cost", "84", "--price", "4.2"]
    assert cli.run("send", path, "--sender", "MyCompany", *fits, *journal).exit_code == 0


@pytest.mark.parametrize("order", [1, -1])
def test_a_limit_of_what_is_left(cli: Any, counting: Any, order: int) -> None:
    """With a journal the limits are about what was not sent yet, however the rows stand in the file."""
    lines = [f"7900{number:07},{'a' * 150}\n" for number in range(10)]
    path = cli.file("to,text\n" + "".join(lines[:6]))
    assert cli.run("send", path, "--sender", "MyCompany", "--max-segments", 12).exit_code == 0
    cli.file("to,text\n" + "".join(lines[::order]) + "x,y\n")
    refused = cli.run("send", path, "--sender", "MyCompany", "--max-segments", 7)
    assert refused.exit_code == 2
    assert "up to 8 segments would go out" in refused.stderr
    assert counting.sent.total() == 6
    assert cli.run("send", path, "--sender", "MyCompany", "--max-segments", 8).exit_code == 1
    assert counting.sent.total() == 10
    assert cli.run("send", path, "--sender", "MyCompany", "--max-segments", 0).exit_code == 1
    assert not counting.twice


def test_a_limit_of_what_was_proved_unsent(cli: Any, guarded_url: str) -> None:
    """Messages that the journal records as not sent count as those to send."""
    command = ["send", cli.file(ROWS), "--sender", "A", "--base-url", guarded_url]
    assert cli.run(*command, "--api-key", "wrong").exit_code == 3
    [state] = cli.lines(cli.run("campaign", "list", cli.folder / "campaign.csv", "--json").stdout)
    assert state["not_sent"] == 10
    refused = cli.run(*command, "--api-key", "right", "--max-segments", 19)
    assert refused.exit_code == 2
    assert "up to 20 segments would go out" in refused.stderr
    assert cli.run(*command, "--api-key", "right", "--max-segments", 20).exit_code == 0


@UNIX
def test_a_limit_of_what_is_not_in_doubt(cli: Any, counting: Any) -> None:
    """Messages in doubt after a kill are not sent again, so they do not count."""
    counting.answers = 0
    process = cli.start("send", cli.file(ROWS), "--sender", "A", "--batch-size", "4", "--in-flight", "1")
    counting.wait_until_held(1)
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
    refused = cli.run("send", cli.folder / "campaign.csv", "--sender", "A", "--max-segments", 11)
    assert refused.exit_code == 2
    assert "up to 12 segments would go out" in refused.stderr
    assert cli.run("send", cli.folder / "campaign.csv", "--sender", "A", "--max-segments", 12).exit_code == 1
    assert not counting.twice


def test_a_limit_if_a_number_was_sent_from_another_row(cli: Any, counting: Any) -> None:
    """With --unique such a file is compared twice. Its rows count once for the limits, and bad rows are shown once."""
    cli.run("send", cli.file("to,text\n79000000001,two\n79000000002,x\n"), "--sender", "S", "--unique")
    edited = "to,text\n79000000001,one\n79000000001,two\n79000000002,x\n79000000003,new\nbad,y\n"
    command = ["send", cli.file(edited), "--sender", "S", "--unique"]
    refused = cli.run(*command, "--max-segments", "0")
    assert refused.exit_code == 2
    assert "up to 1 segment would go out, and --max-segments is 0" in refused.stderr
    strict = cli.run(*command, "--strict")
    assert strict.exit_code == 1
    assert strict.stderr.count("line 6: ") == 1
    assert "1 bad row; nothing was sent" in strict.stderr
    assert counting.sent.total() == 2
    done = cli.run(*command, "--max-segments", "1")
    assert "to send now: 1 message, 1 segment" in done.stderr
    assert done.exit_code == 1
    assert counting.sent.total() == 3
    assert counting.twice == []


def test_a_limit_for_what_can_be_read_once(cli: Any, counting: Any) -> None:
    """A pipe cannot be read before it is sent, so limits for it end in 2. A redirected file can be read twice."""
    path = cli.file(ROWS)
    piped = cli.shell(f'cat {path} | "$@" --max-segments 99', "send", "-", "--sender", "A")
    assert piped.returncode == 2
    assert "need a file that can be read twice" in piped.stderr
    redirected = cli.shell(f'"$@" --max-segments 19 < {path}', "send", "-", "--sender", "A")
    assert redirected.returncode == 2
    assert "up to 20 segments" in redirected.stderr
    assert not counting.sent
    named = ["--journal", cli.folder / "j", "--campaign", "c"]
    for _ in range(2):
        sent = cli.shell(f'"$@" --max-segments 20 < {path}', "send", "-", "--sender", "A", *named)
        assert sent.returncode == 0, sent.stderr
    assert counting.sent.total() == 10
    unlimited = cli.shell(f'cat {path} | "$@" --campaign d', "send", "-", "--sender", "A", *named[:2])
    assert unlimited.returncode == 0, unlimited.stderr


@pytest.mark.parametrize("options", [["--price", "x"], ["--max-cost", "1"], ["--max-segments", "-1"]])
def test_options_that_cannot_be_used(cli: Any, counting: Any, options: list[str]) -> None:
    """Wrong prices and limits end in 2, and nothing is sent."""
    assert cli.run("send", cli.file(ROWS), "--sender", "A", *options).exit_code == 2
    assert not counting.sent


def test_what_is_said_without_a_terminal(cli: Any, counting: Any) -> None:
    """Without a terminal nothing is asked. What a sender should know of the rows is said in a few lines."""
    dear = "Your order’s ready, pick it up today between 10 and 18 at our store. Bring this SMS with you"
    path = cli.file(f'to,text\n79000000001,Sale\n+79000000001,Sale\n79000000002,"{dear}"\n79000000003,{{x}}\n')
    result = cli.run("send", path, "--sender", "A", "--price", "2")
    assert result.exit_code == 0
    for words in (
        "1 row with a number that came before: line 3 has that of line 2. --unique leaves them out",
        "’ RIGHT SINGLE QUOTATION MARK costs 1 segment more in 1 row",
        "{x} would go out as it is in 1 row",
        "to send: 4 messages, 5 segments, cost 10.00",
    ):
        assert words in result.stderr
    assert "7900" not in result.stderr


@pytest.mark.parametrize("journal", [[], ["--no-journal"]])
def test_the_file_is_read_twice_at_most(
    cli: Any, counting: Any, monkeypatch: pytest.MonkeyPatch, journal: list[str]
) -> None:
    """One pass before sending and one for it, whatever is asked for, with a journal that knows the file or without."""
    reader, read = csv.reader, []
    monkeypatch.setattr(csv, "reader", lambda *given, **options: read.append(1) or reader(*given, **options))
    path = cli.file(ROWS)
    options = ["--strict", "--max-segments", "20", *journal]
    for _ in range(2):
        read.clear()
        assert cli.run("send", path, "--sender", "A", *options).exit_code == 0
        # Each pass has a reader for the header, and one for the rows.
        assert len(read) == 4
