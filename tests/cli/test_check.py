"""`devino check`: what a file would send and cost, found without sending anything."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devino_async.sandbox.text import is_latin

KEYS = [
    "rows",
    "valid",
    "invalid",
    "recipients",
    "repeated",
    "excluded",
    "scheduled_in_the_past",
    "segments",
    "segments_max",
    "alphabets",
    "culprits",
    "unfilled",
    "cost",
    "balance",
    "samples",
]
# Two rows with one number, a text that one apostrophe makes dearer, a bad number, and a text of octets in two parts.
DEAR = "Your order’s ready – pick it up today between 10 and 18 at our store. Bring this SMS with you"
FILE = f"to,text\n79000000001,{DEAR}\n+79000000001,Hello\n790000000O2,Hello\n79000000003,{'a' * 150}\n"


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, and an address where nothing answers."""
    monkeypatch.delenv("DEVINO_API_KEY")
    monkeypatch.setenv("DEVINO_BASE_URL", "http://127.0.0.1:9")


def checked(cli: Any, *arguments: Any, status: int = 0, given: str | bytes | None = None) -> dict[str, Any]:
    """The object that the command prints."""
    result = cli.run("check", *arguments, "--sender", "MyCompany", "--json", given=given)
    assert result.exit_code == status, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert list(found) == KEYS
    return found


@pytest.mark.usefixtures("no_credentials")
def test_one_object(cli: Any) -> None:
    """A program gets one object with exactly these keys. Nothing is asked of the service, and nothing is written."""
    path = cli.file(FILE)
    found = checked(cli, path, "--price", "4,20", status=1)
    assert found == {
        "rows": 4,
        "valid": 3,
        "invalid": 1,
        "recipients": 2,
        "repeated": 1,
        "excluded": 0,
        "scheduled_in_the_past": 0,
        "segments": 4,
        "segments_max": 5,
        "alphabets": {"GSM-7": 2, "UCS-2": 1},
        "culprits": [
            {"character": "–", "name": "EN DASH", "rows": 1, "extra_segments": 1},
            {"character": "’", "name": "RIGHT SINGLE QUOTATION MARK", "rows": 1, "extra_segments": 1},
        ],
        "unfilled": {},
        "cost": "16.80",
        "balance": None,
        "samples": [
            {"sender": "MyCompany", "to": "*******0001", "text": DEAR},
            {"sender": "MyCompany", "to": "*******0001", "text": "Hello"},
            {"sender": "MyCompany", "to": "*******0003", "text": "a" * 150},
        ],
    }
    assert [*cli.folder.iterdir()] == [path]


@pytest.mark.usefixtures("no_credentials")
def test_a_table_for_people(cli: Any) -> None:
    """A person reads what it costs, who gets two parts and why, who is in it twice, and what is wrong in which line."""
    result = cli.run("check", cli.file(FILE), "--sender", "MyCompany", "--price", "4.20")
    assert result.exit_code == 1
    for words in (
        "segments    4 to 5, by how the operator counts Latin texts",
        "cost        16.80 to 21.00",
        "’ RIGHT SINGLE QUOTATION MARK: 1 row, 1 segment more (line 2)",
        "--smart replaces such characters",
        "line 3 has the number of line 2",
        "character 10 is a Latin letter) (line 4)",
        "MyCompany to *******0003: aaa",
    ):
        assert words in result.stdout
    assert "79000000" not in result.stdout
    assert "balance" not in result.stdout
    shown = cli.run("check", cli.file(FILE), "--sender", "MyCompany", "--show").stdout
    assert "MyCompany to 79000000003: aaa" in shown


PAST = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize(
    ("text", "options", "status"),
    [
        ("to,text\n79000000001,a\n", [], 0),
        ("to,text\n79000000001,a\n79000000001,a\n", [], 0),
        ("to,text\n,a\n79000000001,a\n", [], 1),
        ("to,text\n79000000001,Hello {Name}\n", [], 1),
        # Without an id, each worker of xdist would have another name for it.
        pytest.param(f"to,text,scheduled_time\n79000000001,a,{PAST}\n", [], 1, id="past"),
        ("to,name\n79000000001,\n", ["--text", "Hello {name}"], 1),
        ("to,text\n79000000001,a\n", ["--max-segments", "0"], 1),
        ("to,text\n79000000001,a\n", ["--max-segments", "1", "--strict"], 0),
        ("to,text\n79000000001,a\n", ["--price", "4.20", "--max-cost", "4.19"], 1),
        ("to,text\n79000000001,a\n", ["--price", "4.20", "--max-cost", "4.2"], 0),
        (f"to,text\n79000000001,{'a' * 150}\n", ["--max-segments", "1"], 1),
        ("to,text\n79000000001,a\n79000000002,b\n", ["--limit", "1", "--max-segments", "1"], 0),
        ("to,text\n79000000001,a\n79000000001,b\n", ["--unique", "--max-segments", "1"], 0),
    ],
)
def test_exit_statuses(cli: Any, text: str, options: list[str], status: int) -> None:
    """Something wrong with the file, or a limit that it exceeds, ends in 1. Repeated rows alone are not wrong."""
    checked(cli, cli.file(text), *options, status=status)


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", [], "the input has no rows"),
        ("to\n79000000001\n", ["--text", "Hello {name}"], "no column fills {name}"),
        ("name,text\nx,y\n", [], "no column has the recipients"),
        ("to,text\n79000000001,a\n", ["--price", "free"], "an amount of at least 0"),
        ("to,text\n79000000001,a\n", ["--price", "-1"], "an amount of at least 0"),
        ("to,text\n79000000001,a\n", ["--price", "nan"], "an amount of at least 0"),
        ("to,text\n79000000001,a\n", ["--price", "1e999999"], "an amount of at least 0"),
        ("to,text\n79000000001,a\n", ["--max-cost", "5"], "--max-cost needs --price"),
        ("to,text\n79000000001,a\n", ["--learn-prices", "3"], "--learn-prices needs credentials"),
        ("to,text\n79000000001,a\n", ["--learn-prices", "3", "--price", "1"], "cannot be used together"),
    ],
)
def test_usage_errors(cli: Any, text: str, options: list[str], words: str) -> None:
    """What cannot be checked ends in 2, with one reason and no output."""
    result = cli.run("check", cli.file(text), "--sender", "MyCompany", "--json", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.usefixtures("no_credentials")
def test_a_pipe(cli: Any) -> None:
    """Reading once is enough for a check, so it takes what can be read only once, and limits for it."""
    process = cli.start("check", "-", "--sender", "MyCompany", "--json", "--max-segments", "1")
    process.stdin.write("to,text\n79000000001,a\n79000000002,b\n")
    process.stdin.close()
    assert json.loads(process.stdout.read())["segments_max"] == 2
    status, told = process.end()
    assert status == 1
    assert "up to 2 segments would go out, and --max-segments is 1" in told


def test_the_balance(cli: Any) -> None:
    """With credentials the balance is looked up. One that does not cover the cost is said, and is not a fault."""
    path = cli.file("to,text\n79000000001,a\n")
    balance = Decimal(checked(cli, path)["balance"])
    price = str(balance + 5)
    result = cli.run("check", path, "--sender", "MyCompany", "--price", price)
    assert result.exit_code == 0
    assert f"does not cover a cost of {balance + 5:,.2f}: 5.00 are missing" in result.stdout


def test_a_failed_look_up(cli: Any, guarded_url: str) -> None:
    """If the account cannot be looked up, the check is printed all the same, with the reason, and it ends in 3."""
    path = cli.file("to,text\n79000000001,a\n")
    found = checked(cli, path, "--base-url", guarded_url, status=3)
    assert (found["rows"], found["balance"]) == (1, None)
    result = cli.run("check", path, "--sender", "A", "--base-url", guarded_url)
    assert "could not be looked up" in result.stderr
    assert "any-key" not in result.output


def test_prices_that_are_learnt(cli: Any, fast_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is counted with what a segment of the account's own messages cost, by operator and kind of traffic."""
    monkeypatch.setenv("DEVINO_BASE_URL", fast_url)
    path = cli.file(f"to,text\n79000000001,a\n79000000002,{'я' * 71}\n")
    options = ["--learn-prices", "3", "--max-cost", "1"]
    nothing = cli.run("check", path, "--sender", "A", *options)
    assert "no message of the last 3 days has a price" in nothing.stdout
    assert "nothing can be said about --max-cost" in nothing.stderr
    assert nothing.exit_code == 1
    assert cli.run("send", path, "--sender", "A").exit_code == 0
    result = cli.run("check", path, "--sender", "A", *options)
    assert result.exit_code == 1, result.output
    assert "cost        7.05" in result.stdout
    assert "2.35  MOG, ADVERTISING (3 segments)" in result.stdout
    assert "it would cost up to 7.05, and --max-cost is 1" in result.stderr


@pytest.mark.usefixtures("no_credentials")
def test_templates(cli: Any) -> None:
    """Texts that match none of the sender's templates are counted, with their lines. They are not a fault."""
    templates = cli.file("Your code: %d{4}\n%w{1,2}, your order is ready\n", "templates.txt")
    path = cli.file(
        'to,text\n79000000001,Your code: 1234\n79000000002,Sale!\n79000000003,"Anna, your order is ready"\n'
    )
    result = cli.run("check", path, "--sender", "A", "--templates", templates)
    assert result.exit_code == 0, result.output
    assert "1 text of no template, which operators may bill as advertising (line 3)" in result.stdout
    templates.write_text("%w{0,99}\n")
    bad = cli.run("check", path, "--sender", "A", "--templates", templates)
    assert bad.exit_code == 2
    assert "templates.txt: template on line 1" in bad.stderr


def test_smart(cli: Any, counting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """--smart replaces characters where that saves a segment, in the check and when sending, and says how often."""
    path = cli.file(f"to,text\n79000000001,{DEAR}\n79000000002,{DEAR}\n79000000003,it’s short\n")
    monkeypatch.delenv("DEVINO_API_KEY")
    found = cli.run("check", path, "--sender", "A", "--smart", "--json")
    assert json.loads(found.stdout)["segments"] == 3
    sent = cli.run("send", path, "--sender", "A", "--smart", "--api-key", "k")
    for result in (found, sent):
        said = "--smart saves 2 segments in 2 rows. Replaced: RIGHT SINGLE QUOTATION MARK 2 times, EN DASH 2 times\n"
        assert result.stderr.count(said) == 1
    plain = DEAR.replace("’", "'").replace("–", "-")
    assert [*counting.sent] == [("79000000001", plain), ("79000000002", plain), ("79000000003", "it’s short")]


NUMBERS = st.sampled_from(["79000000001", "+7 (900) 000-00-01", "89000000001", "79000000002", "7900", "", "x"])
TEXTS = st.text(st.sampled_from("aЯ€^’😀{\n,\"'"), max_size=90).map(lambda text: text * 2)
SENDERS = count()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(NUMBERS, TEXTS), min_size=1, max_size=8),
    st.sets(st.sampled_from(["--unique", "--smart", "--exclude", "--no-journal"])),
)
def test_what_it_says_is_what_is_sent(cli: Any, rows: list[tuple[str, str]], chosen: set[str]) -> None:
    """Every count of the check is what `send` reports for the same file, and what the service then holds."""
    sender = f"S{next(SENDERS)}"
    stop = cli.file("79000000002\n", "stop.txt")
    lines = (json.dumps({"to": to, "text": text}) for to, text in rows)
    path = cli.file("\n".join(lines) + "\n", f"{sender}.jsonl")
    options = ["--sender", sender, "--country", "RU", *sorted(chosen - {"--exclude", "--no-journal"})]
    options += ["--exclude", stop] if "--exclude" in chosen else []
    found = cli.run("check", path, *options, "--json", "--price", "2.5")
    said = json.loads(found.stdout)
    out = said["valid"] - (said["repeated"] if "--unique" in chosen else 0)
    most = said["segments_max"]
    if most:
        refused = cli.run("send", path, *options, "--no-journal", "--max-segments", most - 1)
        assert refused.exit_code == 2
    journal = ["--no-journal"] if "--no-journal" in chosen else []
    sent = cli.run("send", path, *options, *journal, "--json", "--max-segments", most)
    outcomes = [row["outcome"] for row in cli.lines(sent.stdout)]
    assert len(outcomes) == said["rows"]
    assert outcomes.count("invalid") == said["invalid"]
    assert outcomes.count("excluded") == said["excluded"]
    assert outcomes.count("accepted") == out
    today, tomorrow = (datetime.now(UTC) + timedelta(days=each) for each in (-1, 2))
    dates = ["--from", f"{today:%Y-%m-%d}", "--to", f"{tomorrow:%Y-%m-%d}"]
    held = cli.lines(cli.run("details", *dates, "--sender", sender, "--json").stdout)
    assert len(held) == out
    assert sum(each["segment_count"] for each in held) == said["segments"]
    assert Decimal(said["cost"]) == Decimal("2.5") * said["segments"]
    latin = sum(is_latin(each["text"]) for each in held)
    assert said["alphabets"] == {"GSM-7": latin, "UCS-2": out - latin}
    assert len({each["recipient"] for each in held}) == said["recipients"]
    if "--unique" not in chosen:
        assert out - said["recipients"] == said["repeated"]
    assert [each["text"] for each in said["samples"]] == [each["text"] for each in held][:3]
