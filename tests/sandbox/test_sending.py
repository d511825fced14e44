"""POST /sms/messages: accepted messages with their ids, and calls that are refused as a whole."""

import asyncio
import io
import json

import pytest
from asking import WIRE, Asking, message


async def test_the_documented_request(asking: Asking) -> None:
    """The example of a request in the API docs is accepted as it stands, and waits for its time."""
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


@pytest.mark.parametrize("body", ["", "nonsense", "[]", "{}", '{"messages": 5}', "[" * 100_000])
async def test_what_is_not_a_request(asking: Asking, body: str) -> None:
    """A body that is not a request is refused in the envelope."""
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert status == 400
    assert answer["result"] is None
    assert answer["reasons"][0]["key"]


async def test_32_000_at_once_and_no_more(asking: Asking) -> None:
    """One POST may hold 32,000 messages. 32,001 are refused as a whole."""
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_000}).encode())
    _, answer = await asking.ask("POST", "/sms/messages", data=body)
    items = answer["result"]
    assert len({item["messageId"] for item in items}) == 32_000
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_001}).encode())
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert (status, answer["reasons"][0]["key"]) == (400, "too.many.messages")
    assert await asking.sandbox.count() == 32_000


async def test_other_requests_during_a_big_post(asking: Asking) -> None:
    """While 32,000 messages are checked, the sandbox answers other requests."""
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_000}).encode())
    big = asyncio.create_task(asking.ask("POST", "/sms/messages", data=body))
    answered = 0
    while not big.done():
        await asking.ask("GET", "/billing-api/companies/current/account")
        answered += 1
    assert (await big)[0] == 200
    assert answered > 2


async def test_segment_ids_follow_each_other(asking: Asking) -> None:
    """A message's segments have consecutive ids that begin with its own, and no other message has them."""
    first, second = await asking.send(message(text="Я" * 140), message(), query="?includeSegmentId=true")
    begin = int(first["messageId"])
    assert first["segmentsId"] == [str(begin + part) for part in range(3)]
    assert second["messageId"] == str(begin + 3)
    [plain] = await asking.send(message())
    assert plain["segmentsId"] is None


async def test_campaigns(asking: Asking) -> None:
    """Every POST is a campaign of its own, unless a message's options name another one."""
    await asking.send(message(), message("79000000002", options={"taskId": "77"}))
    await asking.send(message("79000000003", options={"taskId": "nonsense"}), message("79000000004"))
    for task, recipients in {1: ["01"], 2: ["03", "04"], 77: ["02"]}.items():
        rows = (await asking.details(f"taskId={task}&triggerId={task}&limit=9&offset=0"))["data"]
        assert [row["recipient"][-2:] for row in rows] == recipients
        assert {row["taskId"] for row in rows} == {task}


async def test_links_are_shortened_alike(asking: Asking) -> None:
    """Each link has one short form, and links are shortened only on request."""
    texts = ["a https://example.com/1 b", "https://example.com/1", "http://example.com/2", "no link"]
    await asking.send(*(message(text=text) for text in texts), query="?shortenUrl=true")
    await asking.send(message(text=texts[0]))
    one, same, other, none = [row["text"] for row in (await asking.details("taskId=1&limit=9&offset=0"))["data"]]
    assert one == f"a {same} b"
    assert same.startswith("https://clickdo.integrationapi.net/")
    assert other != same
    assert none == "no link"
    assert (await asking.details("taskId=2&limit=9&offset=0"))["data"][0]["text"] == texts[0]


async def test_posts_at_the_same_time_share_no_ids(asking: Asking) -> None:
    """Several POSTs in flight at once get their own ids and campaigns."""
    answers = await asyncio.gather(*(asking.send(*[message()] * 1_000) for _ in range(5)))
    assert len({item["messageId"] for items in answers for item in items}) == 5_000
    for task in range(1, 6):
        page = await asking.details(f"taskId={task}&limit=1&offset=0&calculateTotalCount=true")
        assert page["total"] == 1_000


async def test_a_body_cut_short_leaves_nothing(asking: Asking) -> None:
    """A POST is stored all or nothing: when its body breaks off after good messages, none is accepted."""
    body = json.dumps({"messages": [message()] * 2_000})[:-10]
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert (status, answer["result"]) == (400, None)
    assert await asking.sandbox.count() == 0
