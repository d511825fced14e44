"""Every public call, with a key and with login and password, against services that give back what they were sent.

Looked at is all that a program sees, and all that an error tracker records: the locals of every frame of ours.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from attrs import define, evolve, field
from certs import Certificates
from fault_check import BOUND, KEY, TWICE, messages, refused_port
from fault_script import End, Say, Take
from fault_server import FaultServer, Request
from reachable import untroubled
from rows_echoes import ANSWERS, ESCAPED, FAULTS, Fault
from seen import LOGIN, PASSWORD, PHONE, TEXT, chain, foreign, leaks, logged, recorded, shown, strangers

from devino_async import (
    DetailQuery,
    DevinoClient,
    DevinoError,
    GroupBy,
    OutboxOptions,
    PoolOptions,
    Receipt,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

START, END = datetime(2026, 11, 1), datetime(2026, 11, 2)  # noqa: DTZ001 - as the client names no zone
# A stream ends with its first failure, and a 429 is not waited for.
ONCE = evolve(TWICE, stream_deadline=0.0, deadline=0.2)
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


async def exercised(
    call: Calling, fault: Fault, certificates: Certificates, credentials: dict[str, str], witness: Witness
) -> None:
    """Make one call against a service that plays the fault."""
    tls = None if fault.server == "plain" else getattr(certificates, fault.server)
    async with asyncio.timeout(BOUND), FaultServer((fault.script,), tls=tls) as server:
        client = untroubled(DevinoClient(
            base_url=server.url if fault.listens else f"http://127.0.0.1:{refused_port()}",
            timeouts=fault.timeouts, retry=ONCE, outbox=OutboxOptions(linger=3_600 * (call is flush)),
            pool=PoolOptions(ssl_context=certificates.trusting),
            on_event=witness.event, on_unclaimed=witness.receipts, **credentials,
        ))  # fmt: skip
        witness.seen += [repr(client), repr(vars(client))]
        try:
            await call(client, witness)
        except DevinoError as error:
            witness.error(error)
        with suppress(DevinoError):
            await client.aclose()


async def scan(
    call: Calling,
    fault: Fault | Callable[[Request], bytes],
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
) -> int:
    """Make the call with each kind of credentials and look at all that can be seen. Return how often it failed."""
    caplog.set_level(logging.DEBUG)
    if not isinstance(fault, Fault):
        fault = Fault((Take("request"), Say(fault, refuses=True), End("eof")))
    failures = 0
    for kind, credentials in CREDENTIALS.items():
        caplog.clear()
        witness = Witness()
        await exercised(call, fault, certificates, credentials, witness)
        assert leaks(text for error in witness.errors for text in shown(error)) == [], kind
        assert leaks(text for error in witness.errors for text in recorded(error)) == [], kind
        assert [each for error in witness.errors for each in strangers(error)] == [], kind
        assert leaks(witness.seen) == [], kind
        assert leaks(logged(caplog.records)) == [], kind
        assert set(map(type, foreign(witness.errors))) <= {asyncio.CancelledError}, kind
        failures += bool(witness.failures)
    return failures


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", ANSWERS)
async def test_no_call_shows_a_secret(
    name: str, call: Calling, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is asked, with whichever credentials: no error, receipt, event or log record shows what was sent.

    Nor do the locals of any frame of ours in a traceback, and no object of aiohttp hangs there.
    """
    failures = await scan(call, ANSWERS[name], certificates, caplog)
    # A row of data that holds nonsense is data to some calls. Everything else is a failure that was looked at.
    assert failures == len(CREDENTIALS) or name in {"200 rows", "200 envelope", "200 reasons"}


@pytest.mark.parametrize("call", [*CALLS, search], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", FAULTS)
async def test_no_failure_on_the_wire_shows_a_secret(
    name: str, call: Calling, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """The same for every way in which a call can fail without a whole answer, or by one that is long and broken."""
    assert await scan(call, FAULTS[name], certificates, caplog) == len(CREDENTIALS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", ["400 reasons", "200 garbage", "status line"])
async def test_debugging_shows_no_secret(
    name: str, call: Calling, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """In its debug mode asyncio tells of every task, future and callback, and of nothing that was sent."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    await scan(call, ANSWERS[name], certificates, caplog)
    loop.slow_callback_duration = 1_000.0
    assert any(record.name == "asyncio" for record in caplog.records)


@pytest.mark.parametrize("name", ["400 all", "500 HTML", "404 decoded path"])
async def test_no_echo_of_a_search(name: str, certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    """A text that is searched for is not shown when the service gives it back."""
    await scan(search, ANSWERS[name], certificates, caplog)


@pytest.mark.parametrize("call", [send, account], ids=lambda call: call.__name__)
async def test_no_escaped_echo(call: Calling, certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    """A page that holds the request with escapes of JSON brings it into no error."""
    await scan(call, ESCAPED, certificates, caplog)
