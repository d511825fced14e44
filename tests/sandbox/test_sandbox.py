"""The sandbox, asked with plain HTTP: the page's own requests are understood, its limits and rules are kept."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from devino_async.sandbox import ManualClock, Sandbox

# The moment just before the page's example of a scheduled message.
START = datetime(2022, 9, 9, 8, 0, tzinfo=UTC)
WIRE = Path(__file__).parents[1] / "wire"


class Asking:
    """A sandbox with a clock of its own, and a session to ask it with."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.session = session

    async def ask(self, method: str, path: str, **named: Any) -> tuple[int, Any]:
        url = URL(self.sandbox.url + path, encoded=True)
        async with self.session.request(method, url, **named) as response:
            return response.status, await response.json()

    async def send(self, *messages: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        status, body = await self.ask("POST", f"/sms/messages{query}", json={"messages": list(messages)})
        assert status == 200
        return list(body["result"])

    async def statuses(self, *ids: str) -> dict[str, str]:
        status, body = await self.ask("POST", "/sms-stat/statuses/get-by-ids", json=list(ids))
        assert status == 200
        return {str(each["smsId"]): each["status"] for each in body["result"]}

    async def details(self, query: str) -> dict[str, Any]:
        status, body = await self.ask("GET", f"/sms-stat/detail?{query}")
        assert status == 200, body
        return dict(body["result"])


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    clock = ManualClock(START)
    async with Sandbox(clock=clock, stage=10.0) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
            yield Asking(sandbox, clock, session)


def message(to: str = "79000000001", **fields: Any) -> dict[str, Any]:
    return {"from": "MyCompany", "to": to, "text": "Hello", **fields}


async def test_the_page_s_own_request(asking: Asking) -> None:
    """The page's example of a request is accepted as it stands, and waits for its time."""
    body = (WIRE / "send_request.json").read_bytes()
    status, answer = await asking.ask("POST", "/sms/messages?includeSegmentId=true", data=body)
    assert status == 200
    [item] = answer["result"]
    assert item["code"] == "OK"
    assert item["segmentsId"] == [item["messageId"]]
    assert int(item["messageId"]) > 2**53
    assert await asking.statuses(item["messageId"]) == {item["messageId"]: "SCHEDULED"}
    asking.clock.advance(3600)
    assert await asking.statuses(item["messageId"]) == {item["messageId"]: "DELIVERED"}


@pytest.mark.parametrize(
    ("fields", "key", "ref"),
    [
        ({"from": ""}, "not.available", "from"),
        ({"from": "Unknown"}, "not.available", "from"),
        ({"to": "string"}, "to.format.invalid", "to"),
        ({"to": "+79000000001"}, "to.format.invalid", "to"),
        ({"scheduledTime": "tomorrow"}, "scheduledTime.is.invalid", "scheduledTime"),
        ({"scheduledTime": 1662713547}, "scheduledTime.is.invalid", "scheduledTime"),
        ({"text": "Я" * 17_086}, "text.length.too.long", "text"),
        ({"text": "x" * 34_171}, "text.length.too.long", "text"),
        ({"validity": 259_201}, "validity.is.invalid", "validity"),
        ({"validity": -1}, "validity.is.invalid", "validity"),
        ({"validity": True}, "validity.is.invalid", "validity"),
        ({"priority": "URGENT"}, "priority.is.not.match", "priority"),
        ({"priority": 3}, "priority.is.not.match", "priority"),
        ({"callbackUrl": "ftp://example.com"}, "callbackUrl.format.invalid", "callbackUrl"),
    ],
)
async def test_the_seven_keys(asking: Asking, fields: dict[str, Any], key: str, ref: str) -> None:
    """A bad message is rejected with the page's key and reference, and the good one beside it is accepted."""
    good, bad = await asking.send(message(), message(**fields))
    assert good["code"] == "OK"
    assert (bad["code"], bad["messageId"], bad["segmentsId"]) == ("REJECTED", None, None)
    assert [(reason["key"], reason["ref"]) for reason in bad["reasons"]] == [(key, f"messages[1].{ref}")]
    assert await asking.sandbox.count() == 1


async def test_texts_at_the_limit(asking: Asking) -> None:
    """The longest texts that the page allows are accepted."""
    for text in ("Я" * 17_085, "x" * 34_170):
        [item] = await asking.send(message(text=text))
        assert item["code"] == "OK"


@pytest.mark.parametrize("body", ["", "nonsense", "[]", "{}", '{"messages": 5}', "[" * 100_000])
async def test_what_is_no_request(asking: Asking, body: str) -> None:
    """A body that is no request is a refused call, in the service's envelope."""
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert status == 400
    assert answer["result"] is None
    assert answer["reasons"][0]["key"]


async def test_32_000_at_once_and_no_more(asking: Asking) -> None:
    """One POST takes 32,000 messages; 32,001 are refused as a whole."""
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_000}).encode())
    _, answer = await asking.ask("POST", "/sms/messages", data=body)
    items = answer["result"]
    assert len({item["messageId"] for item in items}) == 32_000
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_001}).encode())
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert (status, answer["reasons"][0]["key"]) == (400, "too.many.messages")
    assert await asking.sandbox.count() == 32_000


@pytest.mark.parametrize(
    ("header", "status"),
    [("", 401), ("Key", 401), ("Key ", 401), ("Bearer x", 401), ("Basic !!", 401), ("Basic QWxhZGRpbjpvcGVu", 200)],
)
async def test_authorization(asking: Asking, header: str, status: int) -> None:
    """Only well-formed credentials of the two kinds are let in."""
    path = "/billing-api/companies/current/account"
    got, _ = await asking.ask("GET", path, headers={"Authorization": header})
    assert got == status


async def test_given_credentials_only() -> None:
    """With credentials of its own the sandbox lets no others in."""
    async with Sandbox(api_key="right") as sandbox, aiohttp.ClientSession() as session:
        for key, status in (("wrong", 401), ("right", 200)):
            url = f"{sandbox.url}/billing-api/companies/current/account"
            async with session.get(url, headers={"Authorization": f"Key {key}"}) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("ending", "final"),
    [("991", "UNDELIVERABLE"), ("992", "EXPIRED"), ("993", "REJECTED"), ("994", "UNKNOWN"), ("995", "SENT")]
    + [("996", "DELIVERED"), ("000", "DELIVERED")],
)
async def test_statuses_move(asking: Asking, ending: str, final: str) -> None:
    """A message goes from ACCEPTED over ENROUTE and SENT to the end that its recipient stands for."""
    [item] = await asking.send(message(f"79000000{ending}"))
    seen = []
    for _ in range(5):
        seen.append((await asking.statuses(item["messageId"]))[item["messageId"]])
        asking.clock.advance(10)
    assert seen == ["ACCEPTED", "ENROUTE", "SENT", final, final]


async def test_clicked_links(asking: Asking) -> None:
    """Shortened links are followed by the recipient who stands for that, after delivery."""
    [item] = await asking.send(
        message("79000000996", text="see https://example.com/a?b=c now"), query="?shortenUrl=true"
    )
    asking.clock.advance(30)
    assert set((await asking.statuses(item["messageId"])).values()) == {"DELIVERED"}
    asking.clock.advance(10)
    assert set((await asking.statuses(item["messageId"])).values()) == {"CLICKED"}
    [row] = (await asking.details("taskId=1&limit=5&offset=0"))["data"]
    assert "https://clickdo.integrationapi.net/" in row["text"]
    assert "example.com" not in row["text"]
    assert row["status"] == "REDIRECT"


async def test_ids(asking: Asking) -> None:
    """Up to 500 ids, as text or numbers; unknown ones are absent from the answer."""
    [item] = await asking.send(message())
    known = item["messageId"]
    status, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[int(known), "5", "x", "9" * 40])
    assert (status, [each["smsId"] for each in body["result"]]) == (200, [int(known)])
    status, _ = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=["1"] * 501)
    assert status == 400


async def test_rounded_ids() -> None:
    """With `round_ids` the answers hold ids as the page's sample does, after a float64 round trip."""
    async with Sandbox(round_ids=True) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
            asking = Asking(sandbox, ManualClock(), session)
            [item] = await asking.send(message())
            assert item["messageId"] == "3701172084729885952"
            assert list(await asking.statuses(item["messageId"])) == ["3701172084729885700"]


async def test_the_page_s_own_queries(asking: Asking) -> None:
    """The page's examples of detail and statistics queries are understood as they stand."""
    for name in ("details_request_dates.txt", "details_request_campaign.txt", "statistics_request.txt"):
        line = (WIRE / name).read_text().split()
        url = next(word for word in line if word.startswith("http"))
        status, body = await asking.ask("GET", url.removeprefix("https://api.devino.online"))
        assert status == 200, body
        assert "result" in body


IDENTIFYING = {"taskId": "1", "triggerId": "1", "dateTimeFrom": "2022-01-01+00:00:00"}
IDENTIFYING |= {"dateTimeTo": "2023-01-01+00:00:00", "messageIds": "1"}
ALLOWED = ["taskId", "taskId triggerId", "dateTimeFrom dateTimeTo", "messageIds"]
ALLOWED += ["taskId triggerId dateTimeFrom dateTimeTo"]


@pytest.mark.parametrize("number", range(2 ** len(IDENTIFYING)))
async def test_combinations(asking: Asking, number: int) -> None:
    """Exactly the page's five combinations are answered, all others refused."""
    names = [name for index, name in enumerate(IDENTIFYING) if number >> index & 1]
    query = "&".join(f"{name}={IDENTIFYING[name]}" for name in names)
    status, _ = await asking.ask("GET", f"/sms-stat/detail?limit=1&offset=0&{query}")
    assert status == (200 if " ".join(names) in ALLOWED else 400)


async def test_paging(asking: Asking) -> None:
    """Pages joined are all rows once; number, pages, total and more are as the page describes them."""
    await asking.send(*(message(f"7900{number:07}") for number in range(25)))
    rows: list[str] = []
    for offset, number in ((0, 1), (5, 2), (10, 2), (20, 3)):
        page = await asking.details(f"taskId=1&limit=10&offset={offset}&calculateTotalCount=true")
        assert (page["offset"], page["size"], page["number"]) == (offset, 10, number)
        assert (page["total"], page["pages"], page["more"]) == (25, 2, offset < 15)
        if offset != 5:
            rows += [row["recipient"] for row in page["data"]]
    assert rows == [f"7900{number:07}" for number in range(25)]
    empty = await asking.details("taskId=1&limit=10&offset=25")
    assert (empty["data"], empty["more"], empty["pageExists"], "total" in empty) == ([], False, False, False)


async def test_filters(asking: Asking) -> None:
    """Every filter keeps what it names and nothing else."""
    await asking.send(
        message("79000000001", text="red"),
        message("79000000991", text="blue"),
        message("79000000993", **{"from": "Other"}),
    )
    asking.clock.advance(100)
    found = {
        "recipient=79000000991": ["79000000991"],
        "searchText=re": ["79000000001"],
        "sourceAddress=Other": ["79000000993"],
        "status=UNDELIVERED": ["79000000991"],
        "status=DELIVERED": ["79000000001"],
        "status=IN_PROGRESS": [],
        "countryId=12&userId=88&mogId=0": ["79000000001", "79000000991", "79000000993"],
        "countryId=13": [],
        "order=DESC": ["79000000993", "79000000991", "79000000001"],
        "orderField=TEXT&order=ASC": ["79000000993", "79000000991", "79000000001"],
    }
    for query, recipients in found.items():
        page = await asking.details(f"taskId=1&limit=10&offset=0&{query}")
        assert [row["recipient"] for row in page["data"]] == recipients, query


async def test_columns(asking: Asking) -> None:
    """All columns of the table but the segment's own; `outFields` gives only those that it names."""
    await asking.send(message())
    [row] = (await asking.details("taskId=1&limit=1&offset=0"))["data"]
    assert len(row) == 33
    [row] = (await asking.details("taskId=1&limit=1&offset=0&outFields=STATUS&outFields=PRICE,TEXT"))["data"]
    assert row == {"price": 2.35, "status": "IN_PROGRESS", "text": "Hello"}
    status, _ = await asking.ask("GET", "/sms-stat/detail?taskId=1&limit=1&offset=0&outFields=NONSENSE")
    assert status == 400


async def test_by_segments(asking: Asking) -> None:
    """A long message is one row, or a row for each of its segments with an id of its own."""
    [item] = await asking.send(message(text="Я" * 140), query="?includeSegmentId=true")
    assert len(item["segmentsId"]) == 3
    [row] = (await asking.details("taskId=1&limit=10&offset=0"))["data"]
    assert row["segmentCount"] == 3
    rows = (await asking.details("taskId=1&limit=10&offset=0&bySegments=true"))["data"]
    assert [row["segmentId"] for row in rows] == item["segmentsId"]
    assert {row["messageId"] for row in rows} == {item["messageId"]}


@pytest.mark.parametrize(
    ("group", "periods"),
    [
        ("NONE", ["2022-01-01 00:00:00"]),
        ("YEAR", ["2022-01-01 00:00:00"]),
        ("MONTH", ["2022-09-01 00:00:00", "2022-10-01 00:00:00"]),
        ("WEEK", ["2022-09-05 00:00:00", "2022-10-03 00:00:00"]),
        ("DAY", ["2022-09-09 00:00:00", "2022-10-09 00:00:00"]),
        ("HOUR", ["2022-09-09 08:00:00", "2022-10-09 08:00:00"]),
    ],
)
async def test_statistics_agree_with_what_was_sent(asking: Asking, group: str, periods: list[str]) -> None:
    """Counts by status and period are those of what was sent, in messages and in segments."""
    await asking.send(message(text="Я" * 140), message("79000000991"), message("79000000991"))
    asking.clock.advance(30 * 86_400)
    await asking.send(message(text="Я" * 140))
    asking.clock.advance(100)
    query = f"startDate=2022-01-01T00:00:00&endDate=2022-12-31+00:00:00&groupBy={group}"
    _, body = await asking.ask("GET", f"/sms-stat/statistics/of-group?{query}")
    messages, segments = body["result"]["messages"], body["result"]["segments"]
    assert len(messages) == len(segments) == 12
    assert sum(each["amount"] for each in messages["delivered"]) == 2
    assert sum(each["amount"] for each in segments["delivered"]) == 6
    assert sum(each["amount"] for each in messages["undeliverable"]) == 2
    assert [each["date"] for each in messages["delivered"]] == periods


async def test_the_balance_falls(asking: Asking) -> None:
    """Every accepted segment costs its price."""
    path = "/billing-api/companies/current/account"
    _, before = await asking.ask("GET", path)
    await asking.send(message(text="Я" * 140), message(to="nonsense"))
    _, after = await asking.ask("GET", path)
    paid = before["result"]["account"]["balance"] - after["result"]["account"]["balance"]
    assert round(paid, 2) == 7.05


class Receiver:
    """Takes callbacks on loopback."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.status = 200

    async def post(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/", made.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_callbacks(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """Every change of status is reported once, in order, with the options of the message."""
    made, url = receiver
    [item] = await asking.send(message(callbackUrl=url, options={"key1": "value1"}))
    for _ in range(6):
        await asking.sandbox.report()
        asking.clock.advance(10)
    events = [event for body in made.bodies for event in body]
    assert [event["status"] for event in events] == ["ACCEPTED", "ENROUTE", "SENT", "DELIVERED"]
    assert {event["messageId"] for event in events} == {item["messageId"]}
    assert events[0] == {
        "messageId": item["messageId"],
        "ts": int(START.timestamp() * 1000),
        "status": "ACCEPTED",
        "errorCode": 0,
        "options": {"key1": "value1"},
    }


async def test_a_callback_that_fails_comes_again(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """An address that does not answer 200 is asked again."""
    made, url = receiver
    await asking.send(message(callbackUrl=url))
    made.status = 500
    assert await asking.sandbox.report() == 0
    made.status = 200
    assert await asking.sandbox.report() == 1
    assert made.bodies[0] == made.bodies[1]


async def test_callbacks_stay_on_this_machine(asking: Asking) -> None:
    """The sandbox sends nothing to addresses that are not loopback."""
    await asking.send(message(callbackUrl="https://www.callback-url.com/"))
    await asking.sandbox.report()
    status, _ = await asking.ask("POST", "/sandbox/incoming", json={"url": "http://192.0.2.1/"})
    assert status == 400


async def test_incoming_messages(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """The control route has an incoming message in the page's form POSTed."""
    made, url = receiver
    asked = {"url": url, "message": {"text": "STOP"}}
    _, body = await asking.ask("POST", "/sandbox/incoming", json=asked)
    assert body["result"]["reached"] is True
    [incoming] = made.bodies
    assert (incoming["text"], incoming["ts"]) == ("STOP", str(int(START.timestamp() * 1000)))
    assert isinstance(incoming["incomingMessageId"], str)


async def test_a_database_file_is_kept(tmp_path: Path) -> None:
    """What was sent to a sandbox with a file is there when the next one opens it, and ids go on rising."""
    ids = []
    for _ in range(2):
        async with Sandbox(database=str(tmp_path / "sms.db")) as sandbox:
            async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
                [item] = await Asking(sandbox, ManualClock(), session).send(message())
                ids.append(int(item["messageId"]))
                count = await sandbox.count()
    assert count == 2
    assert ids[1] > ids[0]


async def test_unknown_routes(asking: Asking) -> None:
    """Unknown paths and wrong methods are refused in the envelope, and all requests are counted."""
    assert (await asking.ask("GET", "/nonsense"))[0] == 404
    assert (await asking.ask("GET", "/sms/messages"))[0] == 405
    assert asking.sandbox.requests["/sms/messages"] == 1


async def test_a_big_post_stalls_nobody(asking: Asking) -> None:
    """While 32,000 messages are taken in, the sandbox goes on answering others."""
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_000}).encode())
    big = asyncio.create_task(asking.ask("POST", "/sms/messages", data=body))
    answered = 0
    while not big.done():
        await asking.ask("GET", "/billing-api/companies/current/account")
        answered += 1
    assert (await big)[0] == 200
    assert answered > 2
