"""Public usages that the type checker must accept; never run. mypy --strict reads this file in CI."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, assert_type

from devino_async import (
    Accepted,
    Account,
    Alphabet,
    CloseReport,
    Culprit,
    DateCount,
    DetailField,
    DetailPage,
    DetailPaginator,
    DetailQuery,
    DetailRow,
    DetailStatus,
    DevinoClient,
    GroupBy,
    IncomingMessage,
    InvalidMessage,
    Limits,
    Message,
    MessageStatus,
    NotSent,
    PoolOptions,
    Priority,
    Reason,
    Receipt,
    Rejected,
    RetryPolicy,
    Segments,
    SendReport,
    SortOrder,
    Statistics,
    Status,
    StatusCallback,
    Suggestion,
    Template,
    Timeouts,
    Unconfirmed,
    parse_callbacks,
    parse_incoming,
    segments,
    suggest,
)
from devino_async.campaigns import (
    CampaignState,
    InvalidNumber,
    Outcome,
    Preflight,
    PreflightPass,
    ReconcileReport,
    Row,
    Rows,
    Schedule,
    SenderTemplates,
    SQLiteJournal,
    State,
    StopList,
    normalize_number,
    preflight,
    read_messages,
    read_sender_templates,
)
from devino_async.sandbox import CallbackFaults, Repeated, Reply, Sandbox, SandboxThread, SentMessage


def make() -> DevinoClient:
    return DevinoClient(
        "key",
        timeouts=Timeouts(connect=1, read=2, total=3),
        retry=RetryPolicy(attempts=1, deadline=2),
        limits=Limits(in_flight=1, requests_per_second=2, messages_per_second=3, segments_per_second=4),
        pool=PoolOptions(reuse_connections=True),
    )


def compose() -> Message:
    return Message(
        sender="MyCompany",
        to="+79000000001",
        text="text",
        validity=timedelta(hours=1),
        scheduled_time=datetime.now(UTC),
        priority=Priority.HIGH,
        callback_url="https://example.com",
        options={"key": "value"},
    )


async def stream() -> AsyncIterator[Message]:
    yield compose()


async def send(devino: DevinoClient) -> str:
    receipt = await devino.send(compose(), include_segment_id=True, shorten_url=True)
    assert_type(receipt, Accepted | Rejected | NotSent | Unconfirmed)
    hours = Schedule(window=(time(9), time(21)), time_zone="Europe/Moscow", deadline=datetime.now(UTC))
    assert_type(hours.opens_at(datetime.now(UTC)), datetime | None)
    async for each in devino.send_many(stream(), batch_size=10, schedule=hours):
        assert_type(each, Accepted | Rejected | NotSent | Unconfirmed)
    report = await devino.send_all([compose()], schedule=Schedule(time_zone=UTC))
    assert_type(report, SendReport)
    assert_type(report.not_sent, tuple[NotSent, ...])
    match receipt:
        case Accepted(message, message_id, segment_ids):
            assert_type(message, Message)
            assert_type(segment_ids, tuple[str, ...])
            return message_id
        case Rejected(_, reasons, _):
            return reasons[0].key
        case NotSent(_, error) | Unconfirmed(_, error):
            return error.operation


async def look_up(devino: DevinoClient) -> None:
    assert_type(await devino.statuses(["1", 2]), dict[str, MessageStatus])
    async for status in devino.iter_statuses(iter(["1"])):
        assert_type(status.status, Status | str)
        assert_type(status.status_date_time, datetime | None)
    query = DetailQuery(
        task_id=1,
        order=SortOrder.ASC,
        order_field=DetailField.PRICE,
        out_fields=[DetailField.TEXT],
        status=DetailStatus.REJECTED,
    )
    paginator = devino.details(query, page_size=10, start_offset=5)
    assert_type(paginator, DetailPaginator)
    async for row in paginator:
        assert_type(row, DetailRow)
        assert_type(row.price, Decimal | None)
    async for page in paginator.pages():
        assert_type(page, DetailPage)
    statistics = await devino.statistics(datetime(2026, 1, 1), datetime(2026, 2, 1), group_by=GroupBy.DAY)  # noqa: DTZ001
    assert_type(statistics, Statistics)
    assert_type(statistics.messages["delivered"], tuple[DateCount, ...])
    assert_type(statistics.total(Status.DELIVERED), int)
    assert_type(await devino.account(), Account)
    assert_type(await devino.aclose(grace=1.5), CloseReport)


def keep(receipts: Sequence[Receipt]) -> None:
    assert_type(receipts[0].message, Message)


def receive(body: bytes) -> None:
    assert_type(parse_callbacks(body), list[StatusCallback])
    assert_type(parse_incoming(body.decode()), list[IncomingMessage])


async def durable(messages: AsyncIterator[Message]) -> None:
    async with SQLiteJournal("sms.journal") as journal, DevinoClient("key", journal=journal) as devino:
        assert_type(await devino.send(Message(sender="a", to="79000000001", text="b"), key="order-17"), Receipt)
        async for receipt in devino.send_many(messages, campaign="spring-sale", only_new=True):
            assert_type(receipt, Receipt)
        assert_type(await devino.send_all(messages, campaign="spring-sale"), SendReport)
        assert_type(await journal.campaigns(), tuple[CampaignState, ...])
        ids = (each.message_id async for each in journal.outcomes("spring-sale") if each.message_id)
        assert_type([each async for each in devino.iter_statuses(ids)], list[MessageStatus])
        async for outcome in journal.outcomes("spring-sale"):
            assert_type(outcome, Outcome)
            assert_type(outcome.state, State)
        report = await devino.reconcile(campaign="spring-sale")
        assert_type(report, ReconcileReport)
        assert_type(report.settled, Sequence[Outcome])
        assert_type(await devino.reconcile(key="order-17"), ReconcileReport)
        assert_type(await devino.reconcile(), ReconcileReport)
        async for outcome in journal.keys("unconfirmed"):
            assert_type(outcome.key, str | None)


def check_first(path: str) -> None:
    found = segments("It’s on", profile="octet")
    assert_type(found, Segments)
    assert_type(found.alphabet, Alphabet)
    assert_type(found.culprits, tuple[Culprit, ...])
    assert_type(suggest("It’s on"), Suggestion)
    assert_type(suggest("It’s on").saves, int)
    templates = SenderTemplates(["Your code: %d+"])
    assert_type(preflight(read_messages(path), price="4.20", templates=templates), Preflight)
    check = PreflightPass(price=Decimal("4.2"))
    check.feed(list(read_messages(path)))
    assert_type(check.result().cost, Decimal | None)


def read(file: BinaryIO) -> list[Message]:
    rows = read_messages(
        Path("clients.xlsx"),
        form="xlsx",
        columns={"to": "Contact"},
        sender="MyCompany",
        text="Hi {name|client}",
        validity=3_600,
        scheduled_time=datetime(2027, 1, 1, tzinfo=UTC),
        priority="HIGH",
        time_zone=UTC,
        country="RU",
        encoding="cp1251",
        sheet=1,
        unique=True,
        sent_before={"79000000001"},
        exclude=["stop.txt", Path("stop.xlsx")],
        on_note=print,
    )
    assert_type(rows, Rows)
    assert_type(next(rows), Row)
    assert_type(rows.runs(), Iterator[list[Row]])
    for row in read_messages(file, exclude=StopList("stop.txt", country="RU"), sheet="Clients"):
        assert_type(row.message, Message | None)
        assert_type(row.held, Message | None)
        assert_type(row.problem, str | None)
        assert_type(row.left_out, Literal["excluded", "repeated"] | None)
        assert_type(row.problem_at(datetime.now(UTC)), str | None)
    return [row.message for row in read_messages(file) if row.message]


def normalize(cell: str) -> str | None:
    assert_type(normalize_number(79000000001), str)
    assert_type(read_sender_templates("templates.txt"), SenderTemplates)
    try:
        return normalize_number(cell, country="RU")
    except InvalidNumber as error:
        assert_type(error.problems, tuple[Reason, ...])
        return None


async def fill(rows: list[dict[str, str]], records: AsyncIterator[dict[str, object]]) -> None:
    template = Template(sender="MyCompany", text="Dear {name|client}, {day:%d.%m}", validity=timedelta(hours=1))
    assert_type(template.fields, tuple[str, ...])
    assert_type(template.message({"to": "79000000001", "name": 1}), Message)

    def on_invalid(position: int, row: object, error: InvalidMessage) -> None:
        assert_type(error.position, int | None)

    async for receipt in make().send_many(template.fill(rows)):
        assert_type(receipt, Receipt)
        assert_type(receipt.message, Message)
    assert_type(await make().send_all(template.fill(records, on_invalid), campaign="spring-sale"), SendReport)


async def pretend() -> None:
    async with Sandbox(keep=1_000, incoming_url="http://127.0.0.1:8080/") as sandbox:
        assert_type(sandbox.messages, tuple[SentMessage, ...])
        assert_type(await sandbox.find(to="79000000001", after="1", limit=5), tuple[SentMessage, ...])
        assert_type(await sandbox.wait_for(to="79000000001", text="code", timeout=5), SentMessage)
        assert_type(await sandbox.repeated(), tuple[Repeated, ...])
        assert_type(await sandbox.reply("79000000001", "STOP", to="MyCompany"), Reply)
        sandbox.assert_nothing_sent_twice()
        sandbox.faults.unavailable = 2
        sandbox.faults.lost_answer = True
        sandbox.faults.callbacks = CallbackFaults(duplicate=0.1)
        await sandbox.clear()


def test_as_strangers_do(devino_sandbox: SandboxThread, devino_client: DevinoClient) -> None:
    assert_type(devino_sandbox.wait_for(text="code"), SentMessage)
    assert_type(devino_sandbox.messages[0].options, dict[str, Any] | None)
    assert_type(devino_sandbox.reply("79000000001", "STOP"), Reply)
    devino_sandbox.assert_nothing_sent_twice()
    devino_sandbox.faults.clear()
    assert_type(devino_client, DevinoClient)
