"""The API docs' own examples, word for word: read to exact values, and built from values to the API docs' requests."""

# ruff: noqa: DTZ001 - the API docs name no zone for dates, so they are naive

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from devino_async import (
    Accepted,
    Account,
    AccountType,
    DateCount,
    DetailQuery,
    DetailRow,
    DetailStatus,
    GroupBy,
    IncomingMessage,
    Message,
    MessageStatus,
    Priority,
    Reason,
    Refused,
    Rejected,
    StatisticsStatus,
    Status,
    StatusCallback,
    Traffic,
    parse_callbacks,
    parse_incoming,
)
from devino_async.client.config import DEFAULT_BASE_URL, credentials_from
from devino_async.exchange import Answer, Call
from devino_async.flow.steps import at_once
from devino_async.protocol import account, details, send_results, sending, statistics, statuses

WIRE = Path(__file__).parent

MESSAGE = Message(
    sender="sendersName",
    to="79483547434",
    text="Hello",
    validity=0,
    scheduled_time=datetime(2022, 9, 9, 8, 52, 27, 319000, tzinfo=UTC),
    priority=Priority.HIGH,
    callback_url="https://www.callback-url.com/",
    options={"key1": "value1", "key2": "value2"},
)


def golden(name: str) -> bytes:
    return (WIRE / name).read_bytes()


def answer(name: str, status: int = 200) -> Answer:
    return Answer(status=status, body=golden(name), content_type="application/json")


def ordered(text: bytes) -> object:
    """Parsed so that the order of the fields counts too."""
    return json.loads(text, object_pairs_hook=list)


def example(name: str) -> tuple[str, str, str]:
    """Method, whole URL and Authorization header of a curl example."""
    text = golden(name).decode()
    found = re.match(r"curl -X (GET|POST) (\S+)", text)
    header = re.search(r"'Authorization: (.*?)'", text)
    assert found is not None
    assert header is not None
    return found[1], found[2], header[1]


def check_address(call: Call, name: str) -> None:
    method, url, _ = example(name)
    parts = urlsplit(url)
    assert call.method == method
    assert DEFAULT_BASE_URL + call.path == f"{parts.scheme}://{parts.netloc}{parts.path}"


# Requests


def test_send_request() -> None:
    """The message of the API docs' example is written as there: same fields, same values, same order."""
    call = sending.call([*map(str.encode, sending.encode([MESSAGE]))], 1)
    assert call.body is not None
    assert ordered(b"".join(call.body)) == ordered(golden("send_request.json"))
    assert (call.method, call.path, call.query) == ("POST", "/sms/messages", "")
    assert not call.repeatable
    assert call.messages == 1


def test_statuses_request() -> None:
    """The ids of the API docs' example are posted as a bare array of strings."""
    call = statuses.call(["3482512350952730368"])
    check_address(call, "statuses_request.txt")
    data = re.search(rb"-d '(.*)'", golden("statuses_request.txt"))
    assert data is not None
    assert call.body is not None
    assert json.loads(b"".join(call.body)) == json.loads(data[1])
    assert call.repeatable


# What we ask for beyond the examples, so that no page repeats or skips a row.
ORDER = ("order=ASC", "orderField=MESSAGE_ID")


def test_details_request_by_dates() -> None:
    """The first details example is rebuilt, with the literal `+` between date and time that the API docs demand."""
    query = DetailQuery(
        calculate_total_count=True, date_time_from=datetime(2023, 2, 12), date_time_to=datetime(2023, 2, 24)
    )
    call = details.call(query, offset=1, limit=20)
    check_address(call, "details_request_dates.txt")
    asked = urlsplit(example("details_request_dates.txt")[1]).query
    assert sorted(call.query.split("&")) == sorted([*asked.split("&"), *ORDER])
    assert "dateTimeFrom=2023-02-12+00:00:00" in call.query
    assert "dateTimeTo=2023-02-24+00:00:00" in call.query
    assert call.body is None


def test_details_request_by_campaign() -> None:
    """The second details example is rebuilt from campaign and trigger."""
    call = details.call(DetailQuery(task_id=8742, trigger_id=2312), offset=1, limit=20)
    check_address(call, "details_request_campaign.txt")
    asked = urlsplit(example("details_request_campaign.txt")[1]).query
    assert sorted(call.query.split("&")) == sorted([*asked.split("&"), *ORDER])


def test_statistics_request() -> None:
    """The statistics example is rebuilt; its dates go in the T form of the parameter table, which wins over the
    example's `+` (facts.md)."""
    call = statistics.call(datetime(2022, 10, 6, 13, 45, 30), datetime(2023, 2, 6, 13, 45, 30), group_by=GroupBy.MONTH)
    check_address(call, "statistics_request.txt")
    asked = parse_qs(urlsplit(example("statistics_request.txt")[1]).query)
    sent = parse_qs(call.query)
    assert {name: [value.replace("T", " ") for value in values] if "Date" in name else values
            for name, values in sent.items()} == asked  # fmt: skip
    assert "startDate=2022-10-06T13%3A45%3A30" in call.query
    assert "endDate=2023-02-06T13%3A45%3A30" in call.query


@pytest.mark.parametrize(
    "name", ["statuses_request", "details_request_dates", "details_request_campaign", "statistics_request"]
)
def test_authorization_header(name: str) -> None:
    """The Authorization header of every example is what the example's key becomes."""
    assert credentials_from("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", None, None, {}).header == example(f"{name}.txt")[2]


# Answers


def test_send_answer_ok() -> None:
    """The accepted example gives Accepted with the id and both segment ids as text."""
    assert list(at_once(send_results.read(answer("send_answer_ok.json"), [MESSAGE]))) == [
        Accepted(MESSAGE, "3701172084729885952", ("3701172084729885952", "3701172084729885953"))
    ]


def test_send_answer_rejected() -> None:
    """The rejected example gives Rejected with the service's reason; its nulls become nothing."""
    reason = Reason("to.format.invalid", "to", "Error: Invalid field value. Value: string")
    assert list(at_once(send_results.read(answer("send_answer_rejected.json"), [MESSAGE]))) == [
        Rejected(MESSAGE, (reason,))
    ]


def test_incoming_message() -> None:
    """The incoming example is read whole, with its text `ts` as a UTC time."""
    assert parse_incoming(golden("incoming_message.json")) == [
        IncomingMessage(
            incoming_message_id="3777714415805253122",
            to="MyCompany",
            sender="79101111111",
            text="Incoming Message",
            transaction_id="a7d76677f699",
            prefix="2135",
            operator="MTS",
            country_name="ru",
            timestamp=datetime(2020, 4, 24, 9, 41, 23, tzinfo=UTC),
        )
    ]


@pytest.mark.parametrize(
    ("name", "status", "error_code"),
    [("callback_delivered", Status.DELIVERED, 0), ("callback_rejected", Status.REJECTED, 2005)],
)
def test_callbacks(name: str, status: Status, error_code: int) -> None:
    """Both callback examples are read whole, with the numeric `ts` as a UTC time to the millisecond."""
    moment = datetime(2021, 2, 15, 16, 0, 35, 977000, tzinfo=UTC)
    assert parse_callbacks(golden(f"{name}.json")) == [
        StatusCallback("3597944866766620289", moment, status, error_code)
    ]


def test_statuses_answer() -> None:
    """The status example answers the API docs' own messageId although its number went through a float64."""
    moment = datetime(2022, 9, 9, 19, 29, 34)
    for asked in ("3701172084729885952", "3701172084729885700"):
        found, unread = statuses.read(answer("statuses_answer.json"), [asked])
        assert (found, unread) == ([MessageStatus(asked, Status.DELIVERED, moment)], 0)


def test_details_answer() -> None:
    """The details example is read column by column: a 21-digit id exact, "No" false, dates naive."""
    page = at_once(details.read(answer("details_answer.json")))
    assert page == details.DetailPage(
        rows=(
            DetailRow(
                message_id="234567865432456787634",
                sent_date_time=datetime(2022, 12, 14, 5, 55, 32),
                segment_id="234567865432456787634",
                source_address="sendersName",
                recipient="79001112233",
                status=DetailStatus.DELIVERED,
                event_date_time=datetime(2022, 12, 14, 5, 54, 52),
                company_id=234,
                company_name="MyCompany",
                user_id=88,
                user_login="79991112233",
                country_id=12,
                country_name="Russia",
                mog_id=0,
                mog_name="MOG",
                mo_id=234,
                mo_name="Operator Name",
                task_id=88888888,
                task_name="SimpleCampaign",
                task_type="SIMPLE",
                trigger_id=2345678,
                text="Hello",
                error_code=0,
                traffic=Traffic.ADVERTISING,
                recipient_zone_name="UTC +03:00",
                trigger_contact_group="contactGroup",
                is_contact_group_deleted=False,
            ),
        ),
        offset=1000,
        size=50,
        number=21,
        page_exists=True,
        total=1000,
        pages=100,
        more=True,
    )


def test_statistics_answer() -> None:
    """The statistics example is read whole, every list in the order of its dates; an absent key stays absent."""
    found = statistics.read(answer("statistics_answer.json"))
    assert found.messages == {
        StatisticsStatus.ACCEPTED: (DateCount(datetime(2023, 1, 1), 100),),
        StatisticsStatus.SENT: (DateCount(datetime(2022, 12, 1), 2),),
        StatisticsStatus.DELETED: (),
        StatisticsStatus.DELIVERED: (
            DateCount(datetime(2022, 10, 1), 1),
            DateCount(datetime(2022, 12, 1), 72),
            DateCount(datetime(2023, 1, 1), 67),
            DateCount(datetime(2023, 2, 1), 3),
        ),
        StatisticsStatus.ENROUTED: (),
        StatisticsStatus.EXPIRED: (),
        StatisticsStatus.SEEN: (),
        StatisticsStatus.CLICKED: (),
        StatisticsStatus.REJECTED: (),
        StatisticsStatus.SCHEDULED: (),
        StatisticsStatus.UNDELIVERABLE: (),
        StatisticsStatus.UNKNOWN: (),
    }
    assert found.segments == {
        StatisticsStatus.ACCEPTED: (DateCount(datetime(2023, 1, 1), 2), DateCount(datetime(2023, 2, 1), 4))
    }
    assert found.total("delivered") == 143
    assert found.total(StatisticsStatus.SEEN) == 0
    assert found.total_segments("accepted") == 6
    assert found.total_segments("delivered") == 0


def test_account_answer() -> None:
    """The account example is read whole, its balance exact to the kopeck."""
    assert account.read(answer("account_answer.json")) == Account(
        account_type=AccountType.POSTPAID,
        balance=Decimal("1000.8"),
        credit=Decimal(0),
        reserve=Decimal(0),
        reserve_sms=Decimal(0),
        reserve_viber=Decimal(0),
        disable_threshold=Decimal(0),
        notify_threshold=Decimal(0),
        add_percent=Decimal(0),
        company_id=111,
        currency_id=1,
        is_blocked=False,
        recalc_bill_rate=True,
        valid_packet_channels=("EMAIL",),
    )


@pytest.mark.parametrize("status", [200, 400])
def test_refused_answer(status: int) -> None:
    """The refused-call example is Refused for every chapter, with its reason in the service's own words."""
    refused = answer("refused_answer.json", status)
    readers = [
        lambda: at_once(send_results.read(refused, [MESSAGE, MESSAGE])),
        lambda: statuses.read(refused, ["1"]),
        lambda: at_once(details.read(refused)),
        lambda: statistics.read(refused),
        lambda: account.read(refused),
    ]
    for read in readers:
        with pytest.raises(Refused) as raised:
            read()
        assert raised.value.reasons == (Reason("name.must.be.not.null", "name", "must not be null"),)
        assert raised.value.status == status
        assert raised.value.proves_unsent


def test_flags_travel_in_the_query() -> None:
    """`includeSegmentId` and `shortenUrl` are request parameters: in the query, and only where asked for."""
    body = [*map(str.encode, sending.encode([MESSAGE]))]
    both = sending.call(body, 1, include_segment_id=True, shorten_url=True)
    assert dict(parse_qsl(both.query)) == {"includeSegmentId": "true", "shortenUrl": "true"}
    assert sending.call(body, 1, shorten_url=True).query == "shortenUrl=true"
    assert account.call().path == "/billing-api/companies/current/account"
