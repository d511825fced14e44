"""Campaigns in real life, from one command to the next: nobody gets a message twice, and what happened is shown."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.usefixtures("in_its_folder"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL"),
]
SEND = ("send", "campaign.csv", "--batch-size", "100", "--in-flight", "2", "--output", "r.csv")


@pytest.fixture
def rows() -> str:
    """A file of 300 messages, all of which the service would accept."""
    return "sender,to,text\n" + "".join(f"MyCompany,7900{number:07},secret words\n" for number in range(300))


def shown(cli: Any) -> dict[str, Any]:
    [state] = cli.lines(cli.run("campaign", "show", "campaign.csv", "--json").stdout)
    return dict(state)


def accepted(counting: Any) -> Counter[str]:
    """How often the service has accepted a message to each recipient."""
    return Counter(each["recipient"] for each in counting.rows)


def stored(cli: Any) -> int:
    """How many messages with the text of these tests the sandbox has."""
    arguments = ("--from", "2020-01-01", "--to", "2090-01-01", "--search", "by cases", "--count", "--json")
    return len(cli.run("details", *arguments).stdout.splitlines())


@pytest.mark.parametrize("verb", [["cancel"], ["forget", "--even-unconfirmed"]], ids=["cancel", "forget"])
def test_an_end_and_the_same_command_again(cli: Any, verb: list[str]) -> None:
    """After `cancel` and after `forget` the same command sends nothing more to the sandbox, and says why."""
    before = stored(cli)
    cli.file("sender,to,text\n" + "".join(f"MyCompany,7900{number:07},by cases\n" for number in range(300)))
    assert cli.run(*SEND, "--limit", "100").exit_code == 0
    assert cli.run("campaign", *verb, "--yes").exit_code == 0
    result = cli.run(*SEND)
    assert stored(cli) == before + 100
    if verb == ["cancel"]:
        assert result.exit_code == 1
        assert "was cancelled: nothing more of it is sent" in result.stderr
        assert "the same command does that" not in result.stderr
        assert Counter(line.split(",")[2] for line in Path("r.csv").read_text().splitlines()[1:]) == {
            "accepted": 100,
            "not_sent": 200,
        }
    else:
        assert result.exit_code == 2
        assert "was forgotten" in result.stderr


@pytest.mark.usefixtures("killed")
def test_resend_of_a_proved_batch(cli: Any, counting: Any) -> None:
    """If one message of a batch was found, --resend passes over the others of it, and none is sent twice."""
    counting.rows = counting.rows[:130]
    assert cli.run("campaign", "reconcile").exit_code == 1
    result = cli.run("campaign", "resolve", "--resend", "--yes")
    assert "0 messages will be sent by the next run; passed over, as their batch arrived: 70" in result.stderr
    assert cli.run(*SEND).exit_code == 1
    assert counting.twice == []
    assert (shown(cli)["accepted"], shown(cli)["unconfirmed"]) == (230, 70)


@pytest.mark.usefixtures("killed")
def test_a_batch_that_gave_no_sign(cli: Any, counting: Any) -> None:
    """What is not found stays in doubt, until a person lets the next run send it."""
    counting.rows = counting.rows[:100]
    assert cli.run("campaign", "reconcile").exit_code == 1
    assert "100 messages will be sent" in cli.run("campaign", "resolve", "--resend", "--yes").stderr
    assert cli.run(*SEND).exit_code == 0
    assert shown(cli)["accepted"] == 300
    assert set(accepted(counting).values()) == {1}


@pytest.mark.parametrize("affords", [0, 250, 1_000])
def test_an_empty_balance(cli: Any, counting: Any, affords: int) -> None:
    """When the balance runs out, at most the batches in flight are rejected, and the command ends in 3.

    Topped up and reopened, the next run sends the rest. Everybody gets one message.
    """
    counting.affords = affords
    cli.file("sender,to,text\n" + "".join(f"MyCompany,7900{number:07},secret words\n" for number in range(2_000)))
    result = cli.run(*SEND)
    assert result.exit_code == 3
    assert "balance.not.enough" in result.stderr
    state = shown(cli)
    assert state["accepted"] == affords
    # The batch that was rejected as a whole, and the other one in flight. A batch of which a part was paid does not end
    # the run.
    assert 100 <= state["rejected"] <= 2 * 100 + affords % 100
    assert len(counting.batches) <= -(-affords // 100) + 2
    assert cli.run("campaign", "reopen").stdout.split() == [str(state["rejected"]), "balance.not.enough"]
    counting.affords = sys.maxsize
    assert cli.run("campaign", "reopen", "--reason", "balance.not.enough", "--yes").exit_code == 0
    assert cli.run(*SEND).exit_code == 0
    assert set(accepted(counting).values()) == {1}
    assert (shown(cli)["accepted"], shown(cli)["finished"]) == (2_000, True)


def test_a_late_answer_after_a_resend(cli: Any, counting: Any, rows: str) -> None:
    """If the first process answers after a person had its messages sent again, `show` says how many went out twice."""
    counting.answers = 1
    first = cli.start("send", cli.file(rows), "--batch-size", "100", "--in-flight", "1")
    counting.wait_until_held(1)
    # Without this file the process counts as dead.
    [sign] = Path().glob("*.claimer")
    sign.unlink()
    assert "100 messages will be sent" in cli.run("campaign", "resolve", "--resend", "--yes").stderr
    counting.answers = sys.maxsize
    assert cli.run(*SEND).exit_code == 0
    assert shown(cli)["sent_twice"] == 0
    counting.answer_all()
    assert first.end()[0] == 2
    lines = [" ".join(each.split()) for each in cli.run("campaign", "show").stdout.splitlines()]
    assert "accepted 300" in lines
    assert "sent twice 100 the first request turned out to have arrived too" in lines
    assert Counter(accepted(counting).values()) == {1: 200, 2: 100}
