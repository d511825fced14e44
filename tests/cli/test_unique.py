"""Files that are edited between two runs of `devino send`: no row, and with --unique no number, is sent twice."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

A, B = "79000000001", "79000000002"


def sent_to(counting: Any) -> list[str]:
    """The number of each message that the service accepted."""
    return sorted(to for to, _ in counting.sent.elements())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([(A, "one"), (A, "two"), (B, "x")], [(A, "two"), (A, "one"), (B, "x")], id="reordered"),
        pytest.param([(A, ""), (A, "two"), (B, "x")], [(A, "one"), (A, "two"), (B, "x")], id="mended"),
        pytest.param([(A, "two"), (B, "x")], [(A, "one"), (B, "x"), (A, "two")], id="a new first row"),
        pytest.param([(A, "two"), (B, "x")], [(A, "one"), ("+7 900 000-00-01", "two"), (B, "x")], id="written anew"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--only-new"], ["--limit", "2"]])
def test_another_row_is_the_first_one(
    cli: Any, counting: Any, before: list[tuple[str, str]], after: list[tuple[str, str]], options: list[str]
) -> None:
    """The row that was sent keeps its result. One that now stands before it, with the same number, is repeated."""
    path = cli.file("to,text\n" + "".join(f"{to},{text}\n" for to, text in before))
    cli.run("send", path, "--sender", "S", "--unique")
    path = cli.file("to,text\n" + "".join(f"{to},{text}\n" for to, text in after))
    result = cli.run("send", path, "--sender", "S", "--unique", "--json", *options)
    assert result.exit_code == 0, result.stderr
    assert sent_to(counting) == [A, B]
    was_sent = set(counting.sent)
    rows = cli.lines(result.stdout)
    for row, (to, text) in zip(rows, after, strict=False):
        number = to.replace(" ", "").replace("-", "").removeprefix("+")
        assert row["outcome"] == ("accepted" if (number, text) in was_sent else "repeated")
    assert "1 new" not in result.stderr


def test_a_rejected_row_keeps_no_number(cli: Any, counting: Any) -> None:
    """A row whose message the service rejected does not stand in the way of another row with its number."""
    path: Path = cli.file(f"sender,to,text\nUnknown,{A},one\nMyCompany,{A},two\n")
    assert cli.run("send", path, "--unique").exit_code == 1
    path = cli.file(f"sender,to,text\nMyCompany,{A},two\nUnknown,{A},one\n")
    assert cli.run("send", path, "--unique").exit_code == 1
    assert (A, "two") in counting.sent


@pytest.mark.parametrize("sender", ["Unknown", "MyCompany"])
def test_a_new_row_in_front(cli: Any, counting: Any, sender: str) -> None:
    """A row that is added before the first one is sent, and the rows behind it keep their results."""
    rows = f"{sender},{A},one\nMyCompany,{B},two\n"
    first = cli.run("send", cli.file(f"sender,to,text\n{rows}"), "--json")
    path = cli.file(f"sender,to,text\nMyCompany,79000000003,new\n{rows}")
    result = cli.run("send", path, "--json")
    assert result.exit_code == first.exit_code, result.stderr
    new, *others = cli.lines(result.stdout)
    assert new["outcome"] == "accepted"
    assert [each | {"line": each["line"] - 1} for each in others] == cli.lines(first.stdout)
    assert counting.twice == []


@pytest.mark.parametrize("seed", range(12))
def test_edits(cli: Any, counting: Any, seed: int) -> None:
    """Whatever rows are added, mended, moved and limited between runs, no number gets a message twice."""
    random = Random(seed)
    rows = [(f"7900000000{random.randrange(6)}", f"t{number}") for number in range(8)]
    blank = set(random.sample(rows, 3))
    for _ in range(5):
        text = "".join(f"{row[0]},{'' if row in blank else row[1]}\n" for row in rows)
        limit = random.choice([[], ["--limit", str(random.randrange(1, 9))]])
        result = cli.run("send", cli.file("to,text\n" + text), "--sender", "S", "--unique", *limit)
        assert result.exit_code in {0, 1}, result.stderr
        assert len(set(sent_to(counting))) == len(sent_to(counting)), result.stderr
        random.shuffle(rows)
        rows.insert(random.randrange(len(rows)), (f"7900000000{random.randrange(6)}", f"n{random.random()}"))
        blank = set(random.sample(sorted(blank), random.randrange(len(blank) + 1)))
    # A last run without bad rows and without a limit sends to every number.
    text = "".join(f"{to},{text}\n" for to, text in rows)
    assert cli.run("send", cli.file("to,text\n" + text), "--sender", "S", "--unique").exit_code == 0
    assert sent_to(counting) == sorted({to for to, _ in rows})
