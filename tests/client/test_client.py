"""DevinoClient at its boundary: a real HTTP service on loopback answers, or fails to."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from attrs import evolve

from devino_async import (
    Accepted,
    BadAnswer,
    CallFailed,
    ClientClosed,
    ConfigurationError,
    DetailQuery,
    DevinoClient,
    Forbidden,
    InvalidMessage,
    InvalidQuery,
    Limits,
    Message,
    NotSent,
    OutcomeUnknown,
    PoolOptions,
    Priority,
    Receipt,
    Refused,
    Rejected,
    RequestNotSent,
    RetryPolicy,
    ServerFailed,
    Status,
    Timeouts,
    TooManyRequests,
    Unauthorized,
    Unconfirmed,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

QUICK = RetryPolicy(attempts=2, backoff=0.0)


def message(number: int = 0) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text=f"Привет {number}")


def messages(count: int) -> Iterator[Message]:
    return map(message, range(count))


def answering(status: int = 200, body: Any = None, **headers: str) -> Any:
    async def answer(request: web.Request, sent: Any) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return answer


def client(service: Any, **options: Any) -> DevinoClient:
    return DevinoClient("secret-key", base_url=service.url, **{"retry": QUICK, **options})


async def test_what_goes_over_the_wire(service: Any) -> None:
    """A send is one POST with the key, exact UTF-8, its options in the query, and a Content-Length."""
    async with client(service) as devino:
        receipt = await devino.send(message(7), include_segment_id=True, shorten_url=True)
    assert receipt == Accepted(message(7), "79000000007")
    [(method, path, headers, body)] = service.requests
    assert (method, path) == ("POST", "/sms/messages?includeSegmentId=true&shortenUrl=true")
    assert headers["Authorization"] == "Key secret-key"
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept-Encoding"] == "identity"
    assert int(headers["Content-Length"]) > 0
    assert body == {"messages": [{"from": "MyCompany", "to": "79000000007", "text": "Привет 7"}]}


async def test_basic_credentials(service: Any) -> None:
    """Login and password travel as Basic."""
    async with DevinoClient(login="Aladdin", password="open sesame", base_url=service.url) as devino:
        await devino.send(message())
    assert service.requests[0][2]["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


async def test_receipts_in_input_order(service: Any) -> None:
    """Batches overtake each other on the wire, receipts never: one a message, in input order."""
    waiting: list[asyncio.Event] = []

    async def backwards(request: web.Request, body: Any) -> web.StreamResponse:
        mine = asyncio.Event()
        waiting.append(mine)
        if len(waiting) == 4:
            for event in waiting:
                event.set()
            waiting.clear()
        await mine.wait()
        results = [{"code": "OK", "messageId": each["to"]} for each in body["messages"]]
        return web.json_response({"result": results})

    service.answering = backwards
    async with client(service) as devino:
        receipts = [receipt async for receipt in devino.send_many(messages(40), batch_size=10)]
    assert [cast("Accepted", receipt).message_id for receipt in receipts] == [message(n).to for n in range(40)]
    assert [len(body["messages"]) for *_, body in service.requests] == [10, 10, 10, 10]


@pytest.mark.parametrize("count", [0, 1, 3, 4])
async def test_async_input(service: Any, count: int) -> None:
    """Any async iterable will do, an empty one too."""

    async def source() -> AsyncIterator[Message]:
        for number in range(count):
            await asyncio.sleep(0)
            yield message(number)

    async with client(service) as devino:
        report = await devino.send_all(source(), batch_size=2)
    assert [receipt.message for receipt in report.accepted] == [message(n) for n in range(count)]
    assert report.total == count
    assert len(service.requests) == -(-count // 2)


async def test_the_input_is_read_lazily(service: Any) -> None:
    """No more is read than what is in flight and one batch in the making."""
    read = 0

    def source() -> Iterator[Message]:
        nonlocal read
        for read in range(1, 1_001):
            yield message(read)

    async with client(service, limits=Limits(in_flight=2)) as devino:
        stream = devino.send_many(source(), batch_size=10)
        await anext(stream)
        assert read <= 40
        await stream.aclose()


async def test_batches_are_bounded_by_bytes(service: Any) -> None:
    """A batch ends before its body passes the limit in bytes."""
    async with client(service, limits=Limits(batch_bytes=1_000)) as devino:
        report = await devino.send_all(messages(100))
    assert len(report.accepted) == 100
    assert all(int(headers["Content-Length"]) <= 1_000 + 20 for _, _, headers, _ in service.requests)
    assert len(service.requests) > 5


async def test_an_unusable_key_stops_the_stream(service: Any) -> None:
    """After 401 no more is read; everything that was read has its receipt; then Unauthorized is raised."""
    service.answering = answering(401, {"description": "no such key"})
    read: list[Message] = []

    def source() -> Iterator[Message]:
        for each in messages(100_000):
            read.append(each)
            yield each

    receipts: list[Receipt] = []
    async with client(service) as devino:
        with pytest.raises(Unauthorized):
            async for receipt in devino.send_many(source(), batch_size=10):
                receipts.append(receipt)  # noqa: PERF401
    assert [receipt.message for receipt in receipts] == read
    assert len(read) < 1_000
    assert all(isinstance(receipt, NotSent) and isinstance(receipt.error, Unauthorized) for receipt in receipts)


async def test_batches_in_flight_are_given_before_the_error(service: Any) -> None:
    """What other batches achieved before the key was refused is not lost."""

    async def second_is_refused(request: web.Request, body: Any) -> web.StreamResponse:
        if body["messages"][0]["to"] == message(10).to:
            return web.json_response({}, status=403)
        results = [{"code": "OK", "messageId": each["to"]} for each in body["messages"]]
        return web.json_response({"result": results})

    service.answering = second_is_refused
    receipts: list[Receipt] = []
    async with client(service) as devino:
        with pytest.raises(Forbidden):
            async for receipt in devino.send_many(messages(1_000), batch_size=10):
                receipts.append(receipt)  # noqa: PERF401
    assert [receipt.message for receipt in receipts] == [message(n) for n in range(len(receipts))]
    assert all(isinstance(receipt, Accepted) for receipt in receipts[:10])
    assert all(isinstance(receipt, NotSent) for receipt in receipts[10:20])


async def test_an_input_that_raises(service: Any) -> None:
    """An error of the input is raised after the receipts of everything that was read before it."""

    def source() -> Iterator[Message]:
        yield from messages(25)
        raise OSError("the file is gone")

    receipts = []
    async with client(service) as devino:
        with pytest.raises(OSError, match="the file is gone"):
            async for receipt in devino.send_many(source(), batch_size=10):
                receipts.append(receipt)  # noqa: PERF401
    assert len(receipts) == 25
    assert all(isinstance(receipt, Accepted) for receipt in receipts)


async def test_what_is_no_message(service: Any) -> None:
    """Anything but a Message is refused before it is sent, and costs the others nothing."""
    wrong = cast("Message", {"to": "79000000001"})
    receipts = []
    async with client(service) as devino:
        with pytest.raises(InvalidMessage, match="must be Message, not dict"):
            await devino.send(wrong)
        with pytest.raises(InvalidMessage):
            async for receipt in devino.send_many([message(1), wrong, message(2)]):
                receipts.append(receipt)  # noqa: PERF401
    assert [receipt.message for receipt in receipts] == [message(1)]


@pytest.mark.parametrize("size", [0, -1, 32_001])
async def test_batch_size_has_limits(service: Any, size: int) -> None:
    """A batch holds 1 to 32,000 messages; anything else is refused before anything is sent."""
    async with client(service) as devino:
        with pytest.raises(ConfigurationError, match="batch_size"):
            await devino.send_all(messages(3), batch_size=size)
    assert service.requests == []


async def test_rejected(service: Any) -> None:
    """A message that the service rejects keeps the service's reasons."""
    reasons = [{"key": "to.format.invalid", "ref": "to", "defaultMessage": "Error: Value: 79000000000"}]
    service.answering = answering(
        body={"result": [{"code": "REJECTED", "messageId": None, "segmentsId": None, "reasons": reasons}]}
    )
    async with client(service) as devino:
        receipt = await devino.send(message())
    assert isinstance(receipt, Rejected)
    assert receipt.reasons[0].key == "to.format.invalid"
    assert "79000000000" not in repr(receipt)


@pytest.mark.parametrize(
    ("status", "kind", "error", "posts"),
    [
        (400, NotSent, Refused, 1),
        (401, NotSent, Unauthorized, 1),
        (403, NotSent, Forbidden, 1),
        (404, NotSent, Refused, 1),
        (408, NotSent, Refused, 2),
        (409, Unconfirmed, OutcomeUnknown, 1),
        (413, NotSent, Refused, 1),
        (429, NotSent, TooManyRequests, 1),
        (302, Unconfirmed, OutcomeUnknown, 1),
        (307, Unconfirmed, OutcomeUnknown, 1),
        (500, Unconfirmed, ServerFailed, 1),
        (502, Unconfirmed, ServerFailed, 1),
        (503, Unconfirmed, ServerFailed, 1),
        (504, Unconfirmed, ServerFailed, 1),
    ],
)
async def test_statuses_of_sends(service: Any, status: int, kind: type, error: type[CallFailed], posts: int) -> None:
    """Each HTTP status ends as the table of delivery safety says, and costs as many POSTs as it says."""
    service.answering = answering(status, {}, **{"Retry-After": "60", "Location": service.url})
    async with client(service) as devino:
        receipt = await devino.send(message())
    assert isinstance(receipt, kind)
    assert type(receipt.error) is error  # type: ignore[attr-defined]
    assert receipt.error.status == status  # type: ignore[attr-defined]
    # The breaker's probes are look-ups.
    assert sum(path.startswith("/sms/messages") for _, path, _, _ in service.requests) == posts


@pytest.mark.parametrize("body", ["", "<html>", "{", "[]", '{"result": []}', '{"result": 5}', "null", "NaN"])
async def test_unreadable_answers_of_sends(service: Any, body: str) -> None:
    """A 200 that cannot be read or matched leaves every message Unconfirmed, after one POST."""
    service.answering = answering(200, body)
    async with client(service) as devino:
        report = await devino.send_all(messages(3))
    assert len(report.unconfirmed) == 3
    assert isinstance(report.unconfirmed[0].error, BadAnswer)
    assert len(service.requests) == 1


async def test_nobody_listens() -> None:
    """Without a server a send is NotSent when its deadline is over, and a look-up raises after all its attempts."""
    async with DevinoClient("key", base_url="http://127.0.0.1:9", retry=evolve(QUICK, deadline=0.1)) as devino:
        receipt = await devino.send(message())
        assert isinstance(receipt, NotSent)
        assert receipt.error.attempts == 1
        assert "ClientConnectorError" in str(receipt.error)
        with pytest.raises(RequestNotSent):
            await devino.account()


async def test_a_cancelled_caller_leaves_and_the_exchange_goes_on(service: Any) -> None:
    """Cancelling a send gives CancelledError at once; the exchange is finished and its receipt is reported."""
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slowly(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        await go.wait()
        return web.json_response({"result": [{"code": "OK", "messageId": "1"}]})

    service.answering = slowly
    unclaimed: list[Receipt] = []
    async with client(service, on_unclaimed=unclaimed.extend) as devino:
        task = asyncio.create_task(devino.send(message()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert unclaimed == []
        go.set()
    assert unclaimed == [Accepted(message(), "1")]


@pytest.mark.parametrize("seen", [1, 5, 10, 11, 25])
async def test_leaving_a_stream_early_loses_no_receipt(service: Any, seen: int) -> None:
    """Receipts seen before leaving and those reported afterwards are one for every message that was read."""
    read: list[Message] = []

    def source() -> Iterator[Message]:
        for each in messages(1_000):
            read.append(each)
            yield each

    unclaimed: list[Receipt] = []
    given: list[Receipt] = []
    async with client(service, on_unclaimed=unclaimed.extend) as devino:
        stream = devino.send_many(source(), batch_size=10)
        for _ in range(seen):
            given.append(await anext(stream))  # noqa: PERF401
        await stream.aclose()
    everything = sorted([*given, *unclaimed], key=lambda receipt: receipt.message.to)
    assert [receipt.message for receipt in everything] == read
    posted = {each["to"] for *_, body in service.requests for each in body["messages"]}
    assert posted == {receipt.message.to for receipt in everything if isinstance(receipt, Accepted)}


async def test_closing_cuts_short_and_reports(service: Any) -> None:
    """After its grace aclose ends what is left: whole sends are Unconfirmed, in the receipt and the report."""
    arrived = asyncio.Event()

    async def never(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    service.answering = never
    devino = client(service)
    task = asyncio.create_task(devino.send(message()))
    await arrived.wait()
    report = await devino.aclose(grace=0)
    receipt = await task
    assert isinstance(receipt, Unconfirmed)
    assert report.unconfirmed == (receipt,)
    with pytest.raises(ClientClosed):
        await devino.send(message())
    with pytest.raises(ClientClosed):
        await devino.account()
    with pytest.raises(ClientClosed):
        await devino.send_all([])
    assert (await devino.aclose()).unconfirmed == report.unconfirmed


async def test_closing_during_a_look_up(service: Any) -> None:
    """A look-up that closing cuts short ends as ClientClosed, not as a cancellation that nobody asked for."""
    arrived = asyncio.Event()

    async def never(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    service.answering = never
    devino = client(service)
    tasks = [asyncio.create_task(devino.account()), asyncio.create_task(devino.statuses(["1"]))]
    await arrived.wait()
    await devino.aclose(grace=0)
    for task in tasks:
        with pytest.raises(ClientClosed):
            await task


async def test_closing_in_the_middle_of_a_stream(service: Any) -> None:
    """A stream whose client closes gives a receipt for all that was read, then raises ClientClosed."""
    read: list[Message] = []

    def source() -> Iterator[Message]:
        for each in messages(1_000):
            read.append(each)
            yield each

    devino = client(service)
    receipts = []
    with pytest.raises(ClientClosed):
        async for receipt in devino.send_many(source(), batch_size=10):
            receipts.append(receipt)
            if len(receipts) == 15:
                await devino.aclose()
    assert [receipt.message for receipt in receipts] == read
    assert len(read) < 200


@pytest.mark.parametrize("whole", [True, False])
async def test_all_ids_of_a_long_answer_are_kept(service: Any, whole: bool) -> None:
    """Ids in a long body that cannot be trusted, of a failure or cut on its way, are found whole and in order."""
    ids = tuple(str(10**18 + number) for number in range(10_000))
    text = json.dumps({"result": [{"code": "OK", "messageId": each} for each in ids]})

    async def failing(request: web.Request, body: Any) -> web.StreamResponse:
        if whole:
            return web.Response(status=500, text=text)
        response = web.StreamResponse(headers={"Content-Length": str(len(text) + 1)})
        await response.prepare(request)
        await response.write(text.encode())
        assert request.transport is not None
        request.transport.close()
        return response

    service.answering = failing
    async with client(service) as devino:
        receipt = await devino.send(message())
    assert isinstance(receipt, Unconfirmed)
    assert receipt.error.message_ids == ids


@pytest.mark.parametrize("turns", range(12))
async def test_closing_is_cancelled(service: Any, turns: int) -> None:
    """Whoever is cancelled while closing leaves no session open."""
    devino = client(service)
    await devino.send(message())
    await devino.send(Message(sender="MyCompany", to="79000000001", text="x", priority=Priority.HIGH))
    sessions = list(devino._pool._sessions.values())
    assert len(sessions) == 2
    closing = asyncio.create_task(devino.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    await devino.aclose()
    assert all(session.closed for session in sessions)


async def test_dropped_open(service: Any) -> None:
    """A client that was used and is dropped open gives a ResourceWarning; one that was never used does not."""
    devino = client(service)
    await devino.send(message())
    pool = devino._pool
    with pytest.warns(ResourceWarning, match="unclosed DevinoClient"):
        del devino
        gc.collect()
    await pool.aclose()
    client(service)
    gc.collect()


def test_making_a_client_needs_no_loop() -> None:
    """Constructing needs no event loop and shows no credential."""
    devino = DevinoClient("secret-key")
    assert repr(devino) == "DevinoClient('https://api.devino.online')"


async def test_statuses(service: Any) -> None:
    """Ids are asked for 500 at a time, matched by id, and unknown ones are absent."""

    async def known_are_even(request: web.Request, body: Any) -> web.StreamResponse:
        found = [
            {"smsId": int(each), "status": "DELIVERED", "statusDateTime": "2026-01-01 10:00:00"}
            for each in reversed(body)
            if int(each) % 2 == 0
        ]
        return web.json_response({"result": found})

    service.answering = known_are_even
    ids = [str(10**18 + number) for number in range(1_250)]
    async with client(service, time_zone=ZoneInfo("Europe/Moscow")) as devino:
        found = await devino.statuses(iter(ids))
    assert list(found) == ids[::2]
    assert [len(body) for *_, body in service.requests] == [500, 500, 250]
    first = found[ids[0]]
    assert first.status is Status.DELIVERED
    assert first.status_date_time == datetime(2026, 1, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [1.5, True, "", None, "12\n3", b"1"])
async def test_what_is_no_id(service: Any, wrong: Any) -> None:
    """What cannot be an id is refused before it is asked for, by its place."""
    async with client(service) as devino:
        with pytest.raises(InvalidQuery, match="ids"):
            await devino.statuses([wrong])
        with pytest.raises(InvalidQuery, match="must be an iterable of ids, not str"):
            await devino.statuses("3701172084729885952")
    assert service.requests == []


@pytest.mark.parametrize(
    ("status", "body", "error", "requests"),
    [
        (500, "", ServerFailed, 2),
        (429, "", TooManyRequests, 1),
        (401, "", Unauthorized, 1),
        (200, "<html>", BadAnswer, 2),
        (200, "", BadAnswer, 2),
        (200, '{"result": {"account": 5}}', BadAnswer, 1),
        (200, '{"result": null, "reasons": [{"key": "forbidden"}]}', Refused, 1),
    ],
)
async def test_failing_look_ups(service: Any, status: int, body: str, error: type[CallFailed], requests: int) -> None:
    """A failed look-up is an exception; what may be mended by another attempt got one."""
    service.answering = answering(status, body, **{"Retry-After": "60"})
    async with client(service) as devino:
        with pytest.raises(error) as caught:
            await devino.account()
    assert caught.value.attempts == len(service.requests) == requests
    assert caught.value.__context__ is None


async def test_details_walks_pages(service: Any) -> None:
    """Rows come one by one over all pages, and `offset` is where to go on."""
    rows = [{"messageId": str(number), "recipient": f"7900{number:07}"} for number in range(25)]

    async def pages(request: web.Request, body: Any) -> web.StreamResponse:
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        data = rows[offset : offset + limit]
        result = {"data": data, "offset": offset, "size": limit, "more": True, "pages": 0, "number": 1}
        return web.json_response({"result": result})

    service.answering = pages
    async with client(service) as devino:
        paginator = devino.details(DetailQuery(task_id=5), page_size=10)
        seen = [row.message_id async for row in paginator]
        assert seen == [row["messageId"] for row in rows]
        assert paginator.offset == 25
        assert len(service.requests) == 4
        rest = devino.details(DetailQuery(task_id=5), page_size=10, start_offset=18)
        assert [len(page.rows) async for page in rest.pages()] == [7]


async def test_details_of_many_ids(service: Any) -> None:
    """Queries for ids are cut so that no URL passes 8,000 bytes; every id is asked for, and resuming drops rows."""

    async def echo(request: web.Request, body: Any) -> web.StreamResponse:
        assert len(str(request.url)) <= 8_000
        ids: Sequence[str] = request.query.getall("messageIds")
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        data = [{"messageId": each} for each in ids[offset : offset + limit]]
        return web.json_response({"result": {"data": data, "more": offset + limit < len(ids)}})

    service.answering = echo
    ids = [str(10**18 + number) for number in range(1_000)]
    async with client(service) as devino:
        query = DetailQuery(message_ids=ids)
        assert [row.message_id async for row in devino.details(query, page_size=100)] == ids
        resumed = devino.details(query, page_size=100, start_offset=612)
        assert [row.message_id async for row in resumed] == ids[612:]


async def test_a_time_out_of_a_send(service: Any) -> None:
    """A send whose answer never comes ends as Unconfirmed within its time-out, after one POST."""

    async def never(request: web.Request, body: Any) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    service.answering = never
    async with client(service, timeouts=Timeouts(read=0.05)) as devino:
        receipt = await devino.send(message())
    assert isinstance(receipt, Unconfirmed)
    assert isinstance(receipt.error, OutcomeUnknown)
    assert len(service.requests) == 1


def test_another_event_loop() -> None:
    """A client with open sessions that is used on another event loop says so, instead of failing from inside."""
    devino = DevinoClient("key", base_url="http://127.0.0.1:9", retry=RetryPolicy(attempts=1))
    first = asyncio.new_event_loop()
    with pytest.raises(RequestNotSent):
        first.run_until_complete(devino.account())
    second = asyncio.new_event_loop()
    with pytest.raises(ConfigurationError, match="another event loop"):
        second.run_until_complete(devino.account())
    first.run_until_complete(devino.aclose())
    first.close()
    second.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeouts": 5},
        {"retry": {}},
        {"limits": 5},
        {"pool": 1},
        {"time_zone": "Europe/Moscow"},
        {"on_event": 5},
        {"on_unclaimed": 5},
        {"base_url": ""},
    ],
)
def test_options_of_the_wrong_kind(wrong: dict[str, Any]) -> None:
    """An option of the wrong kind is refused when the client is made, by its name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        DevinoClient("key", **wrong)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Timeouts, {"read": None}),
        (Timeouts, {"connect": True}),
        (Timeouts, {"total": float("inf")}),
        (RetryPolicy, {"attempts": 1.5}),
        (RetryPolicy, {"attempts": "3"}),
        (RetryPolicy, {"deadline": None}),
        (Limits, {"in_flight": True}),
        (Limits, {"requests_per_second": "x"}),
        (PoolOptions, {"send_buffer": -1}),
        (PoolOptions, {"send_buffer": "x"}),
        (PoolOptions, {"ssl_context": False}),
        (PoolOptions, {"reuse_connections": 1}),
    ],
)
def test_numbers_of_the_wrong_kind(kind: type, wrong: dict[str, Any]) -> None:
    """A number that cannot work is refused when the option is made, by its name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        kind(**wrong)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_keeps_the_service_s_words(service: Any, status: int) -> None:
    """The reasons in a refusal's envelope stand on the error, for sends and look-ups, whatever the status."""
    reasons = [{"key": "must.be.not.null", "ref": "name", "defaultMessage": "must not be null"}]
    service.answering = answering(status, {"result": None, "reasons": reasons, "description": "x"})
    async with client(service) as devino:
        receipt = await devino.send(message())
        assert isinstance(receipt, NotSent)
        with pytest.raises(Refused) as caught:
            await devino.account()
    for error in (receipt.error, caught.value):
        assert [reason.key for reason in error.reasons] == ["must.be.not.null"]
        assert "name: must.be.not.null" in str(error)


async def test_arguments_of_the_wrong_kind(service: Any) -> None:
    """Arguments of the wrong kind are refused before anything is asked."""
    query, wrong = DetailQuery(task_id=1), cast("Any", None)
    async with client(service) as devino:
        for arguments in ({"page_size": "5"}, {"page_size": 1.5}, {"start_offset": None}, {"page_size": True}):
            with pytest.raises(ConfigurationError):
                devino.details(query, **cast("Any", arguments))
        with pytest.raises(InvalidQuery):
            devino.details(wrong)
        for size in ("5", None, 2.5, True):
            with pytest.raises(ConfigurationError, match="batch_size"):
                devino.send_many(messages(1), batch_size=cast("Any", size))
    assert service.requests == []


@pytest.mark.parametrize("body", ["&#" + "1" * 5_000, "%" * 5_000, "&" * 10_000])
async def test_odd_error_pages(service: Any, body: str) -> None:
    """A page that cannot even be excerpted costs no receipt and changes no error."""
    service.answering = answering(502, body)
    async with client(service) as devino:
        assert isinstance(await devino.send(message()), Unconfirmed)
        with pytest.raises(ServerFailed):
            await devino.account()


async def test_a_close_that_is_cancelled(service: Any) -> None:
    """Cancelling aclose in its grace still accounts for what was under way, and nothing is sent afterwards."""
    arrived = asyncio.Event()

    async def later(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        return web.json_response({}, status=429, headers={"Retry-After": "20"})

    service.answering = later
    devino = client(service)
    task = asyncio.create_task(devino.send(message()))
    await arrived.wait()
    closing = asyncio.create_task(devino.aclose())
    for _ in range(20):
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert isinstance(await task, NotSent)
    assert len(service.requests) == 1
    await devino.aclose()
