"""Keys on the command line: `devino campaign export --keys`, `resolve --key`, `reconcile --key` and `--keys`."""

import csv
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [
    pytest.mark.usefixtures("in_its_folder", "keyed"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL"),
]
# A shop that sends a message, then three at once.
SHOP = """
import asyncio, sys
from devino_async import DevinoClient, Message
from devino_async.campaigns import SQLiteJournal

async def ship(devino, order):
    message = Message(sender="MyCompany", to=f"7900000000{order}", text="secret words")
    await devino.send(message, key=f"order-{order}")

async def main():
    async with SQLiteJournal("shop.journal") as journal, DevinoClient("key", journal=journal) as devino:
        await ship(devino, 0)
        await asyncio.gather(*(ship(devino, order) for order in (1, 2, 3)))

asyncio.run(main())
"""


@pytest.fixture
def keyed(cli: Any, counting: Any) -> None:
    """A shop that was killed: order-0 was accepted, and the others were in flight."""
    counting.answers = 1
    with subprocess.Popen([sys.executable, "-c", SHOP], cwd=cli.folder) as shop:
        try:
            while counting.sent.total() < 4:
                counting.wait_until_held(1)
        finally:
            shop.kill()
    counting.answer_all()


def states(cli: Any) -> dict[str, str]:
    return {each["key"]: each["state"] for each in cli.lines(cli.run("campaign", "export", "--keys", "--json").stdout)}


def test_export(cli: Any) -> None:
    """Every key has a row with its state. No number and no text is in it."""
    assert states(cli) == {"order-0": "accepted", **{f"order-{order}": "unconfirmed" for order in (1, 2, 3)}}
    result = cli.run("campaign", "export", "--keys", "--state", "accepted")
    [row] = csv.DictReader(result.stdout.splitlines())
    assert (row["key"], row["state"], row["message_id"]) == ("order-0", "accepted", "179000000000")
    assert "secret" not in result.stdout
    assert cli.run("campaign", "export", "a-campaign", "--keys").exit_code == 2


def test_reconcile_one(cli: Any) -> None:
    """Only the key that is named is looked for. What is found is accepted, with its id."""
    result = cli.run("campaign", "reconcile", "--key", "order-2")
    assert result.exit_code == 0, result.output
    assert "key order-2 in shop.journal: unconfirmed" in result.stderr
    assert "settled: order-2 is 179000000002" in result.stdout
    assert states(cli) == {
        "order-0": "accepted",
        "order-1": "unconfirmed",
        "order-2": "accepted",
        "order-3": "unconfirmed",
    }


def test_reconcile_all(cli: Any, counting: Any) -> None:
    """All keys in doubt are looked for. For those that are not found it says which commands decide, and ends in 1."""
    counting.rows = [each for each in counting.rows if each["recipient"] != "79000000003"]
    result = cli.run("campaign", "reconcile", "--keys")
    assert result.exit_code == 1
    assert "shop.journal: 4 keys (3 unconfirmed, 1 accepted)" in result.stderr
    lines = [" ".join(each.split()) for each in result.stdout.splitlines()]
    assert {"settled: 2, absent: 1, unclear: 0", "absent: order-3"} <= set(lines)
    assert lines[-1] == "devino campaign resolve --key KEY --journal shop.journal --resend"
    [told] = cli.lines(cli.run("campaign", "reconcile", "--keys", "--json").stdout)
    assert (told["journal"], told["reconciled"]["absent"]) == ("shop.journal", ["order-3"])
    assert "secret" not in result.output


def test_resolve(cli: Any) -> None:
    """The key and what is to be done are shown first, and nothing is changed without --yes or an answer."""
    result = cli.run("campaign", "resolve", "--key", "order-1", "--assume-sent")
    assert result.exit_code == 2
    assert "key order-1 in shop.journal: unconfirmed" in result.stderr
    assert "Its message counts as sent from now on" in result.stderr
    assert states(cli)["order-1"] == "unconfirmed"
    result = cli.run("campaign", "resolve", "--key", "order-1", "--assume-sent", "--yes", "--json")
    assert cli.lines(result.stdout) == [{"key": "order-1", "state": "assumed_sent", "journal": "shop.journal"}]
    assert cli.run("campaign", "resolve", "--key", "order-2", "--resend", given="y\n").exit_code == 0
    assert (states(cli)["order-1"], states(cli)["order-2"]) == ("assumed_sent", "planned")
    again = cli.run("campaign", "resolve", "--key", "order-1", "--resend", "--yes")
    assert (again.exit_code, "the key is not unconfirmed" in again.stderr) == (2, True)


def test_wrong_use(cli: Any) -> None:
    """A key that is not there, and options that contradict each other, end in 2 and say why."""
    for verb in (["reconcile"], ["resolve", "--resend", "--yes"]):
        result = cli.run("campaign", *verb, "--key", "absent")
        assert (result.exit_code, "does not know this key" in result.stderr) == (2, True)
        assert cli.run("campaign", *verb, "a-campaign", "--key", "order-1").exit_code == 2
    assert cli.run("campaign", "reconcile", "--key", "order-1", "--keys").exit_code == 2
    assert cli.run("campaign", "resolve", "--resend", "--key", "order-1", "--position", "1").exit_code == 2
    assert cli.run("campaign", "reconcile", "--keys", "--base-url", "http://127.0.0.1:9").exit_code == 0
    assert cli.run("campaign", "reconcile", "--key", "order-1", "--base-url", "http://127.0.0.1:9").exit_code == 2


def test_several_journals(cli: Any) -> None:
    """If there are several journals, one must be named."""
    assert cli.run("send", cli.file()).exit_code == 0
    result = cli.run("campaign", "export", "--keys")
    assert (result.exit_code, "Name the one that has the keys with --journal" in result.stderr) == (2, True)
    assert cli.run("campaign", "export", "--keys", "--journal", "shop.journal").exit_code == 0
