"""`devino send` with a window, a deadline and a rate of segments."""

import csv
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix")
HEADER = "sender,to,text\n"


def rows(count: int) -> str:
    return HEADER + "".join(f"MyCompany,7900{number:07},x\n" for number in range(count))


def window(first: float, last: float) -> list[str]:
    """The options of a window that begins and ends so many hours from now."""
    begins, ends = (datetime.now(UTC) + timedelta(hours=each) for each in (first, last))
    return ["--window", f"{begins:%H:%M}-{ends:%H:%M}", "--time-zone", "UTC"]


def outcomes(cli: Any, text: str) -> list[str]:
    return [each["outcome"] for each in cli.lines(text)]


def test_inside_the_window(cli: Any, counting: Any) -> None:
    """Within the window and before the deadline everything is sent as usual, over midnight too."""
    deadline = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for first, last in ((-1, 1), (-1, 22), (-22, 1)):
        result = cli.run(
            "send", cli.file(rows(5)), "--no-journal", "--json", *window(first, last), "--deadline", deadline
        )
        assert (result.exit_code, outcomes(cli, result.stdout)) == (0, ["accepted"] * 5)
        assert "waiting until" not in result.stderr


@UNIX
@pytest.mark.parametrize("journal", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_outside_the_window(cli: Any, counting: Any, journal: bool, number: int) -> None:
    """Outside the window the command says until when it waits. A signal ends the wait, and each row has its result."""
    output = cli.folder / "results.csv"
    options = [] if journal else ["--no-journal"]
    path = cli.file(rows(1_000))
    hours = window(2, 3)
    process = cli.start("send", path, "--output", output, "--batch-size", "10", *options, *hours)
    process.hear("outside the window: waiting until ")
    process.signal(number)
    status, told = process.end()
    assert status == 128 + number, told
    assert counting.batches == []
    assert f" {hours[1][:5]} UTC; Ctrl-C ends the wait" in told
    assert "Traceback" not in told
    assert "the client is closed" not in told
    results = list(csv.DictReader(output.read_text(encoding="utf-8").splitlines()))
    assert {each["outcome"] for each in results} == {"not_sent"}
    assert [int(each["line"]) for each in results] == list(range(2, len(results) + 2))
    if journal:
        again = cli.run("send", path, "--output", output)
        assert again.exit_code == 0, again.stderr
        assert (len(counting.sent), counting.twice) == (1_000, [])


@UNIX
def test_a_signal_finishes_what_is_in_flight(cli: Any, counting: Any) -> None:
    """With a schedule too a signal waits for the answers of what is in flight."""
    counting.answers = 0
    process = cli.start("send", cli.file(rows(100)), "--batch-size", "10", "--json", *window(-1, 1))
    counting.wait_until_held(4)
    process.signal(signal.SIGTERM)
    process.hear("finishing what is in flight")
    counting.answer_all()
    results = outcomes(cli, process.stdout.read())
    status, told = process.end()
    assert status == 143, told
    assert results == ["accepted"] * 40 + ["not_sent"] * (len(results) - 40)
    assert counting.sent.total() == 40


@pytest.mark.parametrize("options", [["--no-journal"], []])
def test_after_the_deadline(cli: Any, counting: Any, options: list[str]) -> None:
    """After the deadline every row is not sent, and says why. That ends in 1, and a later deadline sends them."""
    path = cli.file(rows(50))
    command = ["send", path, "--json", "--batch-size", "20", *options, "--deadline"]
    late = cli.run(*command, "2020-01-01T21:00", "--time-zone", "Europe/Moscow")
    assert (late.exit_code, outcomes(cli, late.stdout)) == (1, ["not_sent"] * 50)
    assert counting.batches == []
    assert "the deadline of the schedule, 2020-01-01T21:00+03:00, has passed" in cli.lines(late.stdout)[0]["error"]
    assert "a later --deadline sends the rest" in late.stderr
    again = cli.run(*command, "2100-01-01T21:00Z")
    assert (again.exit_code, outcomes(cli, again.stdout)) == (0, ["accepted"] * 50)


def test_a_finished_campaign_does_not_wait(cli: Any, counting: Any) -> None:
    """A file that was sent gives its results at once, outside the window too."""
    path = cli.file(rows(50))
    assert cli.run("send", path).exit_code == 0
    again = cli.run("send", path, "--json", *window(2, 3))
    assert (again.exit_code, outcomes(cli, again.stdout)) == (0, ["accepted"] * 50)
    assert counting.sent.total() == 50


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--window", "09:00-21:00"], "--window needs --time-zone"),
        (["--window", "09:00", "--time-zone", "UTC"], "two times of day"),
        (["--window", "9-21", "--time-zone", "UTC"], "two times of day"),
        (["--window", "09:00-24:00", "--time-zone", "UTC"], "two times of day"),
        (["--window", "09:00-09:00", "--time-zone", "UTC"], "at another time"),
        (["--deadline", "2026-12-01T21:00"], "--deadline must have a time zone"),
        (["--deadline", "2026-12-01"], "must have a time of day"),
        (["--deadline", "21:00"], "must be YYYY-MM-DD"),
        (["--deadline", "2026-03-29T02:30", "--time-zone", "Europe/Berlin"], "does not exist in that zone"),
        (["--deadline", "2026-10-25T02:30", "--time-zone", "Europe/Berlin"], "or comes twice"),
        (["--segments-per-second", "0"], "0"),
    ],
)
def test_wrong_options(cli: Any, counting: Any, options: list[str], told: str) -> None:
    """A schedule that cannot be understood is wrong usage: nothing is sent, and no journal is left."""
    path = cli.file(rows(5))
    result = cli.run("send", path, *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert counting.batches == []
    assert [each.name for each in cli.folder.iterdir()] == [path.name]


def test_segments_per_second(cli: Any, counting: Any) -> None:
    """With a rate a batch has about as many rows as one second may carry, unless a size is given."""
    path = cli.file(rows(150_000))
    command = ["send", path, "--no-journal", "--limit", "10000"]
    assert cli.run(*command, "--segments-per-second", "5000").exit_code == 0
    assert sorted(counting.batches) == [5_000, 5_000]
    counting.batches.clear()
    assert cli.run(*command, "--segments-per-second", "100000", "--batch-size", "2500").exit_code == 0
    assert counting.batches == [2_500] * 4
