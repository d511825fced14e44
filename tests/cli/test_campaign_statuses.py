"""`devino campaign show --statuses` and `--deliveries`: final statuses of a campaign, from those who know them."""

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devino_async import DeliveryTracker, SQLiteStore, StatusCallback

pytestmark = pytest.mark.usefixtures("in_its_folder")
MOMENT = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def sent(cli: Any, fast_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of a campaign of 1,200 messages. One in a thousand is not deliverable, expired, rejected or unknown."""
    monkeypatch.setenv("DEVINO_BASE_URL", fast_url)
    rows = "".join(f"MyCompany,7900{number:07},secret words\n" for number in range(1_200))
    assert cli.run("send", cli.file(f"sender,to,text\n{rows}"), "--batch-size", "100").exit_code == 0
    return [row["message_id"] for row in cli.lines(cli.run("campaign", "export", "--json").stdout)]


def recorded(statuses: dict[str, str]) -> str:
    """The name of a delivery database that has these statuses, as callbacks bring them."""

    async def record() -> None:
        async with DeliveryTracker(SQLiteStore("deliveries.db")) as tracker:
            await tracker.on_status(
                [
                    StatusCallback(message_id=each, timestamp=MOMENT, status=status, error_code=None, options={})
                    for each, status in statuses.items()
                ]
            )

    asyncio.run(record())
    return "deliveries.db"


def shown(cli: Any, *arguments: str) -> dict[str, Any]:
    result = cli.run("campaign", "show", "--json", *arguments)
    assert result.exit_code == 0, result.output
    [state] = cli.lines(result.stdout)
    assert state["complete"]  # The campaign's own.
    return dict(state["statuses"])


def test_from_the_service(cli: Any, sent: list[str]) -> None:
    """All accepted ids are looked up, and counted by status below what the campaign itself says."""
    lines = [" ".join(each.split()) for each in cli.run("campaign", "show", "--statuses").stdout.splitlines()]
    assert "accepted 1,200" in lines
    assert lines[-8:-6] == ["Statuses of the accepted messages, from the service:", "DELIVERED 1,195"]
    told = shown(cli, "--statuses")
    assert told["counts"] == {
        "DELIVERED": 1_195,
        "UNDELIVERABLE": 1,
        "EXPIRED": 1,
        "REJECTED": 1,
        "UNKNOWN": 1,
        "SENT": 1,
    }
    assert (told["not_known"], told["complete"]) == (0, True)


def test_from_callbacks(cli: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery database is counted without credentials. What it does not know is counted as not known."""
    database = recorded({sent[0]: "EXPIRED", sent[1]: "ENROUTE", "37": "DELIVERED"})
    monkeypatch.delenv("DEVINO_API_KEY")
    told = shown(cli, "--deliveries", database)
    assert (told["counts"], told["not_known"]) == ({"EXPIRED": 1, "ENROUTE": 1}, 1_198)
    said = cli.run("campaign", "show", "--deliveries", database).stdout
    assert "from deliveries.db:" in said
    assert "Not final yet: 1." in said


def test_from_both(cli: Any, counting: Any, finished: str) -> None:
    """The service is asked 500 at a time, only about what the database does not know for good."""
    ids = [
        each["message_id"] for each in cli.lines(cli.run("campaign", "export", "--json", "--state", "accepted").stdout)
    ]
    database = recorded(dict.fromkeys(ids[:100], "EXPIRED") | {ids[100]: "SENT"})
    told = shown(cli, "--statuses", "--deliveries", database)
    assert told["counts"] == {"DELIVERED": 170, "EXPIRED": 100}
    assert sorted(each for some in counting.looked_up for each in some) == sorted(ids[100:])


def test_many_to_a_request(cli: Any, counting: Any, sent: list[str]) -> None:
    """The ids of a long campaign travel 500 to a request, and none is left out."""
    rows = "".join(f"MyCompany,7900{number:07},x\n" for number in range(1_200))
    cli.file(f"sender,to,text\n{rows}", "many.csv")
    assert cli.run("send", "many.csv", "--base-url", counting.url).exit_code == 0
    assert shown(cli, "many.csv", "--statuses", "--base-url", counting.url)["counts"] == {"DELIVERED": 1_200}
    assert sorted(map(len, counting.looked_up)) == [200, 500, 500]


def test_without_credentials(cli: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials it says what is missing and ends in 2. Another service is not asked either."""
    elsewhere = cli.run("campaign", "show", "--statuses", "--base-url", "http://127.0.0.1:9")
    assert elsewhere.exit_code == 2
    assert "the campaign was sent to http://127.0.0.1:" in elsewhere.stderr
    monkeypatch.delenv("DEVINO_API_KEY")
    result = cli.run("campaign", "show", "--statuses")
    assert result.exit_code == 2
    assert "DEVINO_API_KEY" in result.stderr
    assert cli.run("campaign", "show").exit_code == 0


def test_a_database_that_is_none(cli: Any, sent: list[str]) -> None:
    """A database that is not there is not made, and a file that is none is left alone: 2."""
    cli.file("", "empty.db")
    cli.file("not a database " * 100, "text.db")
    for name in ("absent.db", "empty.db", "text.db"):
        assert cli.run("campaign", "show", "--deliveries", name).exit_code == 2
    assert not Path("absent.db").exists()
    assert not Path("empty.db").stat().st_size


def test_a_look_up_that_fails(cli: Any, guarded_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the service refuses to answer, it ends in 3, and what is known by then is said."""
    monkeypatch.setenv("DEVINO_BASE_URL", guarded_url)
    rows = "".join(f"MyCompany,7900{number:07},x\n" for number in range(10))
    assert cli.run("send", cli.file(f"sender,to,text\n{rows}"), "--api-key", "right").exit_code == 0
    result = cli.run("campaign", "show", "--statuses", "--api-key", "wrong")
    assert result.exit_code == 3
    assert "Stopped early. 0 of 10 messages were looked at." in result.stderr
    assert "401" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix")
def test_it_can_be_stopped(cli: Any, counting: Any, finished: str) -> None:
    """Ctrl-C ends the look-up cleanly: what is known is shown, with how much was looked at, and it ends in 130."""
    counting.tells.clear()
    asking = cli.start("campaign", "show", "--statuses", "--json")
    counting.wait_until_held(1)
    asking.signal(signal.SIGINT)
    [told] = cli.lines(asking.stdout.read())
    told = told["statuses"]
    assert asking.end()[0] == 130
    assert (told["counts"], told["not_known"], told["complete"]) == ({}, 0, False)
    counting.answer_all()
    assert shown(cli, "--statuses")["counts"] == {"DELIVERED": 270}
