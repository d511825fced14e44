"""`devino campaign pause|unpause|cancel|resolve|reopen|forget|prune`, where `devino send` left a journal."""

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("in_its_folder")


def shown(cli: Any) -> dict[str, Any]:
    [state] = cli.lines(cli.run("campaign", "show", "--json").stdout)
    return dict(state)


def test_nothing_happens_unasked(cli: Any, finished: str) -> None:
    """Without --yes and without a terminal a verb shows what it is about, changes nothing, and ends in 2."""
    for verb in (["cancel"], ["forget"], ["reopen", "--reason", "not.available"]):
        result = cli.run("campaign", *verb)
        assert result.exit_code == 2
        assert "300 messages (270 accepted, 30 rejected)" in result.stderr
        assert "--yes" in result.stderr
    assert "30 rejected messages will be sent by the next run" in result.stderr
    for verb in (["resolve", "--resend"], ["reopen", "--reason", "x"]):
        result = cli.run("campaign", *verb)
        assert (result.exit_code, "there is nothing to do" in result.stderr) == (0, True)
    assert shown(cli)["rejected"] == 30
    assert not shown(cli)["cancelled"]


def test_pause_and_unpause(cli: Any, counting: Any, killed: None) -> None:
    """A paused campaign sends nothing and says how it goes on. After `unpause` the same command ends it."""
    assert cli.run("campaign", "pause").exit_code == 0
    before = counting.sent.total()
    result = cli.run("send", "campaign.csv", "--batch-size", "100", "--output", "r.csv")
    assert result.exit_code == 1
    assert "`devino campaign unpause` lets it go on" in result.stderr
    assert "It is paused. `devino campaign unpause` lets it go on. After that:" in cli.run("campaign", "show").stdout
    assert counting.sent.total() == before
    assert cli.run("campaign", "unpause").exit_code == 0
    assert cli.run("send", "campaign.csv", "--batch-size", "100", "--output", "r.csv").exit_code == 1
    assert shown(cli)["accepted"] + shown(cli)["rejected"] == 200


def test_resend_what_is_in_doubt(cli: Any, counting: Any, killed: None) -> None:
    """What was in flight at the kill is sent by the next run, after a person has decided so."""
    result = cli.run("campaign", "resolve", "--resend", "--yes")
    assert result.exit_code == 0
    assert "100 messages will be sent by the next run" in result.stderr
    assert cli.run("send", "campaign.csv", "--batch-size", "100", "--output", "r.csv").exit_code == 1
    assert (shown(cli)["accepted"], shown(cli)["rejected"], shown(cli)["finished"]) == (270, 30, True)


def test_what_was_forgotten_is_said(cli: Any, finished: str) -> None:
    """A forgotten campaign is named by `list`, and `show` says when it was forgotten and how many messages it had."""
    assert cli.run("campaign", "forget", "--yes").exit_code == 0
    assert cli.run("campaign", "list").stdout.splitlines()[1:] == [f"1 forgotten: {finished}"]
    assert cli.run("campaign", "list", "--json").stdout == ""
    for name in ([], [finished], ["campaign.csv"]):
        result = cli.run("campaign", "show", *name)
        assert result.exit_code == 0
        first, *lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        assert first.startswith(f"Campaign {finished}: forgotten on 20")
        assert {"messages 300", "journal campaign.csv.journal"} <= set(lines)
        assert "A run with this name is refused" in lines[-1]
        [known] = cli.lines(cli.run("campaign", "show", *name, "--json").stdout)
        assert (known["name"], known["forgotten"], known["journal"]) == (finished, 300, "campaign.csv.journal")
    result = cli.run("campaign", "show", "other")
    assert (result.exit_code, "there is no such campaign" in result.stderr) == (2, True)


def test_assume_sent(cli: Any, killed: None) -> None:
    """What counts as sent by decision is final, and is counted by itself."""
    assert cli.run("campaign", "resolve", "--assume-sent", "--yes").exit_code == 0
    assert (shown(cli)["assumed_sent"], shown(cli)["unconfirmed"]) == (100, 0)


def test_reopen(cli: Any, counting: Any, finished: str) -> None:
    """The reasons of rejections are listed. Those that are named will be sent by the next run."""
    listed = cli.run("campaign", "reopen")
    assert listed.exit_code == 0
    assert listed.stdout.split() == ["30", "not.available"]
    result = cli.run("campaign", "reopen", "--reason", "not.available", "--yes")
    assert "30 messages will be sent by the next run" in result.stderr
    assert (shown(cli)["not_sent"], shown(cli)["rejected"]) == (30, 0)


def test_cancel_and_run_again(cli: Any, counting: Any, killed: None) -> None:
    """A cancelled campaign sends nothing more. Its rows have their results, and the exit status is 1."""
    assert cli.run("campaign", "cancel", "--yes").exit_code == 0
    before = counting.sent.total()
    assert cli.run("send", "campaign.csv", "--batch-size", "100", "--output", "r.csv").exit_code == 1
    assert counting.sent.total() == before
    assert shown(cli)["cancelled"]
    lines = cli.run("campaign", "show").stdout.splitlines()
    assert lines[-1].startswith("It is cancelled. What was not sent stays unsent")


def test_forget_and_run_again(cli: Any, counting: Any, killed: None) -> None:
    """A campaign with messages in doubt is forgotten only by wish. After that the same command sends nothing."""
    assert cli.run("campaign", "forget", "--yes").exit_code == 2
    assert cli.run("campaign", "forget", "--yes", "--even-unconfirmed").exit_code == 0
    before = counting.sent.total()
    result = cli.run("send", "campaign.csv", "--batch-size", "100", "--output", "r.csv")
    assert result.exit_code == 2
    assert "forgotten" in result.stderr
    assert counting.sent.total() == before


def test_prune(cli: Any, finished: str) -> None:
    """Finished campaigns go once they are as old as was said."""
    assert "0 campaigns forgotten" in cli.run("campaign", "prune", "--days", "1", "--yes").stderr
    asked = cli.run("campaign", "prune", "--days", "0")
    assert asked.exit_code == 2
    assert "which will be forgotten: 1\n" in asked.stderr
    assert f"{finished}, 300 messages" in asked.stderr
    assert "1 campaign forgotten" in cli.run("campaign", "prune", "--days", "0", "--yes").stderr
    assert cli.run("send", "campaign.csv").exit_code == 2


def test_wrong_use(cli: Any, finished: str) -> None:
    """A decision that is not named, and a key that is not there, end in 2."""
    assert cli.run("campaign", "resolve").exit_code == 2
    assert cli.run("campaign", "resolve", "--key", "x", "--resend", "--yes").exit_code == 2
    assert cli.run("campaign", "pause", "no-such").exit_code == 2


def test_json(cli: Any, killed: None) -> None:
    """With --json each verb prints one line: the campaign as it is now, and what was done."""

    def told(*verb: str) -> dict[str, Any]:
        result = cli.run("campaign", *verb, "--json")
        assert result.exit_code == 0, result.stderr
        [line] = cli.lines(result.stdout)
        return dict(line)

    assert told("pause")["paused"]
    assert not told("unpause")["paused"]
    reopened = told("reopen", "--reason", "not.available", "--yes")
    assert (reopened["reopened"], reopened["rejected"], reopened["not_sent"]) == (10, 0, 10)
    some = told("resolve", "--assume-sent", "--position", "100", "--yes")
    assert (some["resolved"], some["assumed_sent"], some["unconfirmed"]) == (1, 1, 99)
    rest = told("resolve", "--resend", "--yes")
    assert (rest["resolved"], rest["passed_over"], rest["planned"]) == (99, 0, 99)
    assert (rest := told("resolve", "--resend", "--yes"))["planned"] == 99
    assert "resolved" not in rest
    assert told("cancel", "--yes")["cancelled"]
    assert told("forget", "--yes")["forgotten"] == 200
    assert told("prune", "--days", "0", "--yes") == {"journal": "campaign.csv.journal", "campaigns": 0, "keys": 0}
