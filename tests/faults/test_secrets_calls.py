"""Every public call, with a key and with login and password, against services that give back what they were sent."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import pytest
from attrs import define, field
from fault_check import BOUND, KEY, PATIENT, TWICE, messages
from fault_script import End, Say, Script, Take, http
from fault_server import FaultServer, Request
from seen import LOGIN, PASSWORD, PHONE, TEXT, TOKEN, chain, foreign, leaks, logged, shown

from devino_async import DetailQuery, DevinoClient, DevinoError, GroupBy, OutboxOptions, Receipt

pytestmark = pytest.mark.usefixtures("no_leaks")

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
QUERY = DetailQuery(date_time_from=START, date_time_to=END, recipient=PHONE)
SEARCH = DetailQuery(date_time_from=START, date_time_to=END, search_text=TEXT)
CREDENTIALS: dict[str, dict[str, str]] = {"key": {"api_key": KEY}, "login": {"login": LOGIN, "password": PASSWORD}}


@define
class Witness:
    """Sees what a program sees: receipts, errors, events, and whatever else a call gives."""

    seen: list[str] = field(factory=list)
    errors: list[BaseException] = field(factory=list)
    failures: int = 0

    def receipts(self, receipts: Any) -> None:
        for receipt in receipts:
            self.seen.append(repr(receipt))
            try:
                receipt.raise_for_outcome()
            except DevinoError as error:
                self.error(error)

    def error(self, error: BaseException) -> None:
        self.failures += 1
        self.errors += chain(error)

    def event(self, event: Any) -> None:
        self.seen += [repr(event), str(event)]
        if isinstance(getattr(event, "error", None), BaseException):
            self.errors += chain(event.error)


Calling = Callable[[DevinoClient, Witness], Awaitable[Any]]


async def send(client: DevinoClient, witness: Witness) -> None:
    witness.receipts([await client.send(messages(1)[0])])


async def send_at_once(client: DevinoClient, witness: Witness) -> None:
    witness.receipts(await asyncio.gather(*map(client.send, messages(3))))


async def send_many(client: DevinoClient, witness: Witness) -> None:
    async for receipt in client.send_many(messages(3), batch_size=2):
        witness.receipts([receipt])


async def send_many_lazily(client: DevinoClient, witness: Witness) -> None:
    async def source() -> AsyncIterator[Any]:
        for each in messages(3):
            yield each

    async for receipt in client.send_many(source(), batch_size=1):
        witness.receipts([receipt])


async def send_all(client: DevinoClient, witness: Witness) -> None:
    report = await client.send_all(messages(3))
    witness.seen.append(repr(report))
    witness.receipts(report)


async def statuses(client: DevinoClient, witness: Witness) -> None:
    await client.statuses(["1", "2"])


async def iter_statuses(client: DevinoClient, witness: Witness) -> None:
    async for _ in client.iter_statuses(["1", "2"]):
        pass


async def details(client: DevinoClient, witness: Witness) -> None:
    rows = client.details(QUERY)
    witness.seen.append(repr(rows) + repr(QUERY))
    async for _ in rows:
        pass


async def pages(client: DevinoClient, witness: Witness) -> None:
    async for _ in client.details(QUERY).pages():
        pass


async def search(client: DevinoClient, witness: Witness) -> None:
    async for _ in client.details(SEARCH):
        pass


async def statistics(client: DevinoClient, witness: Witness) -> None:
    await client.statistics(START, END, group_by=GroupBy.DAY)


async def account(client: DevinoClient, witness: Witness) -> None:
    await client.account()


async def flush(client: DevinoClient, witness: Witness) -> None:
    tasks = [asyncio.create_task(client.send(each)) for each in messages(2)]
    await asyncio.sleep(0)
    await client.flush()
    witness.receipts(await asyncio.gather(*tasks))


async def aclose(client: DevinoClient, witness: Witness) -> None:
    sending = [asyncio.create_task(client.send(each)) for each in messages(3)]
    asking = asyncio.create_task(client.account())
    for _ in range(12):
        await asyncio.sleep(0)
    sending[0].cancel()
    report = await client.aclose(grace=0)
    witness.seen.append(repr(report) + repr(client))
    witness.receipts(report.unconfirmed)
    for outcome in await asyncio.gather(*sending[1:], asking, return_exceptions=True):
        if isinstance(outcome, Receipt):
            witness.receipts([outcome])
        elif isinstance(outcome, DevinoError):
            witness.error(outcome)
    with pytest.raises(DevinoError) as caught:
        await client.send(messages(1)[0])
    witness.error(caught.value)


CALLS: tuple[Calling, ...] = (
    *(send, send_at_once, send_many, send_many_lazily, send_all, flush, aclose),
    *(statuses, iter_statuses, details, pages, statistics, account),
)


def known(request: Request) -> tuple[str, ...]:
    """What the service knows of its client: the credentials, decoded too, a phone and a text that were sent."""
    mine = (KEY,) if KEY in request.head.decode() else (TOKEN, LOGIN, PASSWORD)
    return (
        *mine,
        PHONE,
        f"+{PHONE}",
        f"7 900 {PHONE[4:7]}-{PHONE[7:9]}-{PHONE[9:]}",
        *[TEXT] * (TEXT in sent(request)),
    )


def sent(request: Request) -> str:
    return unquote_plus(request.head.decode()) + request.body.decode()


def whole(request: Request) -> str:
    """All that was sent, as it came and decoded."""
    return f"{request.head.decode()}\n{sent(request)}\n{known(request)}"


def all_of(request: Request) -> str:
    return " | ".join(known(request))


def reasons(request: Request) -> str:
    every = all_of(request)
    told = [{"key": each, "ref": each, "defaultMessage": each, each: each} for each in known(request)]
    return json.dumps({"result": None, "reasons": told, "description": whole(request), "code": every, "message": every})


def row(request: Request) -> dict[str, Any]:
    names = ("status", "code", "balance", "date", "period", "count", "text", "to", "more", "total", "segmentsId")
    # An id is given to the caller as it is, whatever it looks like.
    return dict.fromkeys((*names, *known(request)), all_of(request)) | {"smsId": "1", "messageId": "2"}


def rows(request: Request) -> str:
    """Where the answers of the calls hold values, the secrets stand, and in their keys."""
    one, every = row(request), all_of(request)
    return json.dumps({"result": [{**one, "data": [one, every], "account": one}, every], **one})


def envelope(request: Request) -> str:
    one = row(request)
    return json.dumps({"result": {**one, "account": one, "data": [one]}})


def said(status: int | str, body: Callable[[Request], str], *headers: str) -> Callable[[Request], bytes]:
    """An answer; in its headers `<>` stands for all that the service knows."""

    def answer(request: Request) -> bytes:
        every = all_of(request).encode().decode("latin-1")
        told = http(status, body(request), *("\0" for _ in headers)).decode("latin-1")
        for header in headers:
            told = told.replace("\0", header.replace("<>", every), 1)
        return told.encode("latin-1")

    return answer


def raw(text: str) -> Callable[[Request], bytes]:
    return lambda request: text.replace("<>", all_of(request)).encode()


ANSWERS: dict[str, Callable[[Request], bytes]] = {
    "401 HTML": said(401, lambda got: f"<html><pre>{whole(got)}</pre></html>"),
    "401 JSON": said(401, lambda got: json.dumps({"description": whole(got)})),
    "403 reasons": said(403, reasons),
    "400 reasons": said(400, reasons),
    "400 text": said(400, whole),
    "400 all": said(400, all_of),
    "404 path": said(404, lambda got: f"Cannot find {got.head.decode().splitlines()[0]}"),
    "404 decoded path": said(404, lambda got: f"Cannot find {sent(got).splitlines()[0]}"),
    "429": said(429, all_of, "Retry-After: 0"),
    "500 HTML": said(500, lambda got: f"<html>{all_of(got)}</html>"),
    "500 reasons": said(500, reasons),
    "503": said(503, whole),
    "200 HTML": said(200, lambda got: f"<html>{all_of(got)}</html>"),
    "200 garbage": said(200, lambda got: "{[" + whole(got)),
    "200 a string": said(200, lambda got: json.dumps(all_of(got))),
    "200 reasons": said(200, reasons),
    "200 rows": said(200, rows),
    "200 envelope": said(200, envelope),
    "302": said(302, all_of, "Location: https://devino.test/<>"),
    "headers": said(400, all_of, "Content-Type: <>", "Retry-After: <>", "X: <>", "Content-Language: <>"),
    "cookies": said(400, all_of, "Set-Cookie: <>@;=1", "Set-Cookie: a=<>; expires=<>", "Set-Cookie: (<>)=1"),
    "coding": said(200, all_of, "Content-Encoding: <>"),
    "no gzip": said(200, all_of, "Content-Encoding: gzip"),
    "status line": raw("HTTP/1.1 <>\r\n\r\n"),
    "reason phrase": raw("HTTP/1.1 400 <>\r\nContent-Length: 0\r\n\r\n"),
    "header line": raw("HTTP/1.1 200 OK\r\n<>\r\n\r\n"),
    "content length": raw("HTTP/1.1 200 OK\r\nContent-Length: <>\r\n\r\n"),
    "chunk size": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<>\r\n<>"),
    "the request": lambda got: got.head + got.body,
}
ESCAPED = said(400, lambda got: f"<script>{json.dumps([all_of(got)])}</script>")


async def exercised(call: Calling, script: Script, credentials: dict[str, str], witness: Witness) -> None:
    """Make one call against a service that plays the script."""
    async with asyncio.timeout(BOUND), FaultServer((script,)) as server:
        client = DevinoClient(
            base_url=server.url, timeouts=PATIENT, retry=TWICE, outbox=OutboxOptions(linger=3_600 * (call is flush)),
            on_event=witness.event, on_unclaimed=witness.receipts, **credentials,
        )  # fmt: skip
        witness.seen += [repr(client), repr(vars(client))]
        try:
            await call(client, witness)
        except DevinoError as error:
            witness.error(error)
        with suppress(DevinoError):
            await client.aclose()


async def scan(call: Calling, answer: Callable[[Request], bytes], caplog: pytest.LogCaptureFixture) -> int:
    """Make the call with each kind of credentials and look at all that can be seen; how often it failed."""
    caplog.set_level(logging.DEBUG)
    script: Script = (Take("request"), Say(answer, refuses=True), End("eof"))
    failures = 0
    for kind, credentials in CREDENTIALS.items():
        caplog.clear()
        witness = Witness()
        await exercised(call, script, credentials, witness)
        assert leaks(text for error in witness.errors for text in shown(error)) == [], kind
        assert leaks(witness.seen) == [], kind
        assert leaks(logged(caplog.records)) == [], kind
        assert set(map(type, foreign(witness.errors))) <= {asyncio.CancelledError}, kind
        failures += bool(witness.failures)
    return failures


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", ANSWERS)
async def test_no_call_shows_a_secret(name: str, call: Calling, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is asked, with whichever credentials: no error, receipt, event or log record shows what was sent."""
    failures = await scan(call, ANSWERS[name], caplog)
    # A row of data that holds nonsense is data to some calls; everything else is a failure that was looked at.
    assert failures == len(CREDENTIALS) or name in {"200 rows", "200 envelope", "200 reasons"}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", ["400 reasons", "200 garbage", "status line"])
async def test_debugging_shows_no_secret(name: str, call: Calling, caplog: pytest.LogCaptureFixture) -> None:
    """In its debug mode asyncio tells of every task, future and callback, and of nothing that was sent."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    await scan(call, ANSWERS[name], caplog)
    loop.slow_callback_duration = 1_000.0
    assert any(record.name == "asyncio" for record in caplog.records)


@pytest.mark.parametrize("name", ["400 all", "500 HTML", "404 decoded path"])
async def test_no_echo_of_a_search(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A text that is searched for is not shown when the service gives it back."""
    await scan(search, ANSWERS[name], caplog)


@pytest.mark.parametrize("call", [send, account], ids=lambda call: call.__name__)
async def test_no_escaped_echo(call: Calling, caplog: pytest.LogCaptureFixture) -> None:
    """A page that holds the request with escapes of JSON brings it into no error."""
    await scan(call, ESCAPED, caplog)
