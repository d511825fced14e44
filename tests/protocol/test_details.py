"""Details: which queries are allowed, how they travel, and how rows and pages are read."""

# ruff: noqa: DTZ001 - the API docs name no zone for dates, so they are naive

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import combinations
from typing import Any
from urllib.parse import parse_qs, parse_qsl
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import (
    BadAnswer,
    CallFailed,
    DetailField,
    DetailPage,
    DetailQuery,
    DetailRow,
    DetailStatus,
    InvalidQuery,
    SortOrder,
    Traffic,
)
from devino_async.exchange import Answer
from devino_async.flow.steps import at_once
from devino_async.protocol import details
from devino_async.protocol.wire.converter import camel

PHONE = "79001234567"
START, END = datetime(2023, 2, 12), datetime(2023, 2, 24)
MOSCOW = timezone(timedelta(hours=3))
IDENTIFYING: dict[str, Any] = {
    "task_id": 1, "trigger_id": 2, "date_time_from": START, "date_time_to": END, "message_ids": ["5"],
}  # fmt: skip
ALLOWED = [
    {"task_id"},
    {"task_id", "trigger_id"},
    {"date_time_from", "date_time_to"},
    {"task_id", "trigger_id", "date_time_from", "date_time_to"},
    {"message_ids"},
]
EVERY_COMBINATION = [
    set(chosen) for count in range(len(IDENTIFYING) + 1) for chosen in combinations(IDENTIFYING, count)
]


def refs(**fields: Any) -> list[str | None]:
    with pytest.raises(InvalidQuery) as raised:
        DetailQuery(**fields)
    return [each.ref for each in raised.value.problems]


def query_of(query: DetailQuery, **more: Any) -> dict[str, list[str]]:
    return parse_qs(details.call(query, offset=0, limit=20, **more).query, strict_parsing=True)


def read(body: Any, status: int = 200, **more: Any) -> DetailPage:
    text = body if isinstance(body, str) else json.dumps(body)
    return at_once(details.read(Answer(status=status, body=text.encode()), **more))


def page(*rows: Any, **more: Any) -> dict[str, Any]:
    return {"result": {"data": list(rows), **more}}


# Which queries


@pytest.mark.parametrize("chosen", EVERY_COMBINATION, ids=lambda chosen: "+".join(sorted(chosen)) or "nothing")
def test_combinations(chosen: set[str]) -> None:
    """Exactly five combinations of campaign, trigger, dates and ids are allowed, whatever else is asked."""
    fields = {name: IDENTIFYING[name] for name in chosen}
    for more in ({}, {"status": DetailStatus.DELIVERED, "recipient": PHONE}):
        if chosen in ALLOWED:
            assert DetailQuery(**fields, **more)
        else:
            with pytest.raises(InvalidQuery, match="combination"):
                DetailQuery(**fields, **more)


def test_all_problems_at_once() -> None:
    """Everything that is wrong with a query is told at once, by its name on the wire."""
    assert refs(
        task_id="1",
        mog_id=True,
        time_offset=1.5,
        by_segments="yes",
        order="UP",
        order_field="NAME",
        out_fields=["TEXT", "NAME"],
        status="SENT",
        search_text="",
        recipient=79001234567,
    ) == ["taskId", "mogId", "timeOffset", "bySegments", "searchText", "recipient", "order", "orderField", "status",
          "outFields"]  # fmt: skip


@pytest.mark.parametrize(
    "bad", [1.0, True, None, "", " 5", "-5", -5, "9" * 65, "я", b"5", ["5"], Decimal(5), "5&limit=1", "5,6"]
)
def test_bad_ids(bad: Any) -> None:
    """What cannot be an id is named by its place, before anything is sent."""
    assert refs(message_ids=["5", bad]) == ["messageIds[1]"]


@pytest.mark.parametrize("bad", ["57", "", [], ()])
def test_ids_are_a_list(bad: Any) -> None:
    """A text is never a list of characters, and a list without ids asks for nothing."""
    assert refs(message_ids=bad) == ["messageIds"]
    assert refs(task_id=1, out_fields="TEXT") == ["outFields"]


def test_ids_are_kept_as_text() -> None:
    """Whole numbers and text are one kind of id; any iterable will do, and later changes do not reach the query."""
    given_ids = [5, "6"]
    query = DetailQuery(message_ids=given_ids)
    given_ids.append("7")
    assert query.message_ids == ("5", "6")
    assert DetailQuery(message_ids=iter(["5", 6])) == query  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (END, START),
        (START, END.replace(tzinfo=UTC)),
        (START.replace(tzinfo=UTC), END),
        (START, date(2023, 2, 24)),
        ("2023-02-12", END),
        (START, 5),
    ],
)
def test_bad_dates(start: Any, end: Any) -> None:
    """Dates are datetimes, in order, and both of one kind: naive or aware."""
    assert refs(date_time_from=start, date_time_to=end)


def test_members_or_names() -> None:
    """Enum fields take members or their names."""
    query = DetailQuery(task_id=1, order="DESC", order_field="TEXT", status="REDIRECT", out_fields=["PRICE"])  # type: ignore[arg-type]
    assert (query.order, query.order_field, query.status) == (SortOrder.DESC, DetailField.TEXT, DetailStatus.REDIRECT)
    assert query.out_fields == (DetailField.PRICE,)


def test_frozen_and_quiet() -> None:
    """A query never changes, and its repr shows neither the full number nor the text that is looked for."""
    query = DetailQuery(task_id=1, recipient=f"+{PHONE}", search_text="sesame")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        query.task_id = 2  # type: ignore[misc]
    assert PHONE not in repr(query)
    assert "sesame" not in repr(query)
    assert repr(DetailQuery(task_id=1)).count("None") >= 10


# How they travel


def test_every_parameter() -> None:
    """All parameters travel under the API docs' names, lists by repeating their key, booleans in small letters."""
    filters: dict[str, Any] = {
        "by_segments": True,
        "calculate_total_count": False,
        "country_id": 3,
        "mog_id": 0,
        "order": SortOrder.ASC,
        "order_field": DetailField.SENT_DATE_TIME,
        "out_fields": [DetailField.TEXT, DetailField.MESSAGE_ID],
        "recipient": f"+{PHONE}",
        "search_text": "скидка 50% & подарок+",
        "source_address": "my brand",
        "status": DetailStatus.IN_PROGRESS,
        "time_offset": -180,
        "user_id": 9,
    }
    by_campaign = query_of(DetailQuery(task_id=1, trigger_id=2, date_time_from=START, date_time_to=END, **filters))
    by_ids = query_of(DetailQuery(message_ids=["5", 6], **filters))
    common = {
        "limit": ["20"],
        "offset": ["0"],
        "bySegments": ["true"],
        "calculateTotalCount": ["false"],
        "countryId": ["3"],
        "mogId": ["0"],
        "order": ["ASC"],
        "orderField": ["SENT_DATE_TIME"],
        "outFields": ["TEXT", "MESSAGE_ID"],
        "recipient": [PHONE],
        "searchText": ["скидка 50% & подарок+"],
        "sourceAddress": ["my brand"],
        "status": ["IN_PROGRESS"],
        "timeOffset": ["-180"],
        "userId": ["9"],
    }
    dates = {"dateTimeFrom": ["2023-02-12 00:00:00"], "dateTimeTo": ["2023-02-24 00:00:00"]}
    assert by_campaign == {**common, **dates, "taskId": ["1"], "triggerId": ["2"]}
    assert by_ids == {**common, "messageIds": ["5", "6"]}
    assert len({**by_campaign, **by_ids}) == 20


def test_date_format() -> None:
    """Dates travel as YYYY-MM-DD+hh:mm:ss, the plus and the colons literal, parts of seconds cut."""
    query = DetailQuery(date_time_from=datetime(23, 2, 1, 3, 4, 5, 999999), date_time_to=END)
    assert "dateTimeFrom=0023-02-01+03:04:05&" in details.call(query, offset=0, limit=1).query


def test_date_zone() -> None:
    """An aware date becomes the wall clock of the zone that the user named, and a naive one goes as it was written."""
    query = DetailQuery(date_time_from=START.replace(tzinfo=UTC), date_time_to=END.replace(tzinfo=UTC))
    assert query_of(query, zone=MOSCOW)["dateTimeFrom"] == ["2023-02-12 03:00:00"]
    naive = DetailQuery(date_time_from=START, date_time_to=END)
    assert query_of(naive, zone=MOSCOW) == query_of(naive)
    assert query_of(naive)["dateTimeFrom"] == ["2023-02-12 00:00:00"]


def test_one_moment_travels_as_one() -> None:
    """The zones in which two equal moments are written make no difference."""
    written = [
        DetailQuery(date_time_from=START.replace(tzinfo=UTC).astimezone(zone), date_time_to=END.replace(tzinfo=UTC))
        for zone in (UTC, MOSCOW)
    ]
    assert query_of(written[0], zone=MOSCOW) == query_of(written[1], zone=MOSCOW)


def test_aware_dates_need_a_zone() -> None:
    """Without a zone of the service an aware date is refused, both of them at once. Its zone is never dropped."""
    query = DetailQuery(date_time_from=START.replace(tzinfo=UTC), date_time_to=END.replace(tzinfo=UTC))
    for refusing in (lambda: details.written_dates(query, None), lambda: query_of(query)):
        with pytest.raises(InvalidQuery, match="time_zone") as raised:
            refusing()
        assert [each.ref for each in raised.value.problems] == ["dateTimeFrom", "dateTimeTo"]


def test_order_of_dates_after_conversion() -> None:
    """Where clocks are put back, a later moment may have an earlier wall clock. The service would find nothing."""
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    query = DetailQuery(date_time_from=first, date_time_to=first + timedelta(minutes=45))
    with pytest.raises(InvalidQuery, match="dateTimeTo"):
        details.written_dates(query, zone)
    with pytest.raises(InvalidQuery, match="years 1 to 9999"):
        details.written_dates(
            DetailQuery(date_time_from=datetime.max.replace(tzinfo=UTC), date_time_to=datetime.max.replace(tzinfo=UTC)),
            MOSCOW,
        )


@pytest.mark.parametrize(
    ("given_order", "travels"),
    [
        ({}, ("MESSAGE_ID", "ASC")),
        ({"order": SortOrder.DESC}, ("MESSAGE_ID", "DESC")),
        ({"order_field": DetailField.PRICE}, ("PRICE", None)),
        ({"order_field": DetailField.PRICE, "order": SortOrder.ASC}, ("PRICE", "ASC")),
    ],
)
def test_complete_order(given_order: dict[str, Any], travels: tuple[str, str | None]) -> None:
    """Rows are asked for in the order of their ids unless the query says otherwise, so that pages fit together."""
    found = query_of(DetailQuery(task_id=1, **given_order))
    assert (found["orderField"][0], found.get("order", [None])[0]) == travels
    assert DetailQuery(task_id=1).order_field is None


def test_what_tells_rows_apart() -> None:
    """A row is known by its ids and its recipient. A part of a message without a segment id is not known."""
    whole, parts = DetailQuery(task_id=1), DetailQuery(task_id=1, by_segments=True)
    for query in (whole, parts):
        row = DetailRow(message_id="5", segment_id="6", recipient="79000000001")
        assert details.key_of(query, row) == ("5", "6", "79000000001")
        assert details.key_of(query, DetailRow(segment_id="6")) is None
    assert details.key_of(whole, DetailRow(message_id="5")) == ("5", None, None)
    assert details.key_of(parts, DetailRow(message_id="5")) is None


def test_fields_are_the_pages() -> None:
    """The 34 columns of the API docs have one member and one typed attribute each, by the camel-case rule."""
    assert len(DetailField) == 34
    columns = {each.name for each in attrs.fields(DetailRow)} - {"extra"}
    assert columns == {each.lower() for each in DetailField}
    assert camel("is_contact_group_deleted") == "isContactGroupDeleted"


def numbered(start: int, count: int, text: str) -> list[str | int]:
    """Many ids of like length, as a campaign has them, texts and numbers mixed."""
    return [start + index if index % 2 else f"{text}{index}" for index in range(count)]


id_lists = st.builds(
    numbered, st.integers(0, 10**21), st.integers(1, 1_500), st.text("0123456789abcdef", min_size=1, max_size=58)
)


@given(id_lists, st.text(max_size=250).filter(lambda text: text.isprintable()), st.sampled_from([1, 500, 10**6]))
def test_long_id_queries_are_cut(ids: list[Any], searched: str, page_size: int) -> None:
    """Cut into parts, no URL passes 8,000 bytes at any offset, and no id is lost, doubled or moved."""
    query = DetailQuery(
        message_ids=ids, search_text=searched or None, order=SortOrder.ASC, out_fields=list(DetailField)[:5]
    )
    parts = list(details.split(query, page_size))
    asked: list[str] = []
    for part in parts:
        call = details.call(part, offset=10**9, limit=page_size)
        assert len(f"https://a-very-long-host-name.gateway.example.com:8443/prefix{call.path}?{call.query}") <= 8_000
        pairs = parse_qsl(call.query)
        asked += [value for name, value in pairs if name == "messageIds"]
        assert attrs.evolve(part, message_ids=query.message_ids) == query
    assert asked == list(map(str, ids))


def test_500_ids_are_cut() -> None:
    """500 ids of 19 digits, which would make a URL of more than 15 KB, travel in a few full parts."""
    ids = [str(3701172084729885952 + index) for index in range(500)]
    parts = list(details.split(DetailQuery(message_ids=ids), 500))
    assert 2 <= len(parts) <= 3
    assert [each for part in parts for each in part.message_ids or ()] == ids


def test_other_queries_are_not_cut() -> None:
    """A query without ids is one part, itself."""
    query = DetailQuery(task_id=1)
    assert list(details.split(query, 500)) == [query]


def test_overlong_filters() -> None:
    """Filters that would leave no room in a URL are refused before anything is sent."""
    assert refs(task_id=1, search_text="я" * 700) == ["searchText"]


# Rows


def test_nulls() -> None:
    """Every column may be null or absent: both are None, never the text 'None', never False."""
    nulls = {camel(name): None for name in attrs.fields_dict(DetailRow) if name != "extra"}
    assert read(page({}, nulls)).rows == (DetailRow(), DetailRow())


def test_extra_columns() -> None:
    """Columns that the API docs do not name are kept as they are, exact numbers included."""
    [row] = read(
        '{"result":{"data":[{"text":"x","newColumn":{"a":[1.10]},"extra":1,"Text":2,"SEGMENTS_COUNT":3}]}}'
    ).rows
    assert row == DetailRow(
        text="x", extra={"newColumn": {"a": [Decimal("1.10")]}, "extra": 1, "Text": 2, "SEGMENTS_COUNT": 3}
    )


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("price", "1000.80000000000000000000000000001", Decimal("1000.80000000000000000000000000001")),
        ("price", '"2.10"', Decimal("2.10")),
        ("price", "3", Decimal(3)),
        ("messageId", "234567865432456787634", "234567865432456787634"),
        ("messageId", '"a7d7"', "a7d7"),
        ("providerMessageId", "5", "5"),
        ("segmentId", '"234567865432456787634"', "234567865432456787634"),
        ("isContactGroupDeleted", '"No"', False),
        ("isContactGroupDeleted", '"Yes"', True),
        ("isContactGroupDeleted", "true", True),
        ("status", '"BRAND_NEW"', "BRAND_NEW"),
        ("status", '"REDIRECT"', DetailStatus.REDIRECT),
        ("traffic", '"TRANSACTIONAL"', Traffic.TRANSACTIONAL),
        ("traffic", '"VIBER"', "VIBER"),
        ("segmentCount", "3", 3),
        ("segmentsCount", "4", 4),
        ("errorCode", '"2005"', 2005),
        ("taskId", "234567865432456787634", 234567865432456787634),
        ("sentDateTime", '"2022-12-14 05:55:32"', datetime(2022, 12, 14, 5, 55, 32)),
        ("eventDateTime", '"2022-12-14T05:55:32"', datetime(2022, 12, 14, 5, 55, 32)),
        ("text", '"None"', "None"),
        ("text", "5", "5"),
        ("recipient", "79001234567", "79001234567"),
        ("recipient", "7.9001234567E+10", "79001234567"),
        ("status", "5", "5"),
        ("userId", "88.0", 88),
    ],
)
def test_columns(column: str, text: str, value: Any) -> None:
    """Money is exact, ids are text of any length, unknown enum values stay text, "No" is False."""
    [row] = read(f'{{"result":{{"data":[{{"{column}":{text}}}]}}}}').rows
    found = [each for each in attrs.asdict(row).values() if each is not None and each != {}]
    assert found == [value]
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("messageId", 2.5), ("messageId", True), ("messageId", ["5"]), ("segmentId", 3.7e18), ("text", False),
        ("text", ["H", "i"]), ("recipient", {}), ("userId", "anna"), ("userId", 1.5), ("userId", True),
        ("price", "free"), ("price", "NaN"), ("price", True), ("isContactGroupDeleted", 0), ("status", {}),
        ("traffic", ["SERVICE"]), ("sentDateTime", "yesterday"), ("sentDateTime", 1587721283000),
    ],
)  # fmt: skip
def test_columns_that_break_the_page(column: str, value: Any) -> None:
    """A value of the wrong kind costs its column only: it is kept in `extra`, and the row counts as not read whole."""
    found = read(page({"text": "a"}, {column: value, "taskId": 7, "taskName": "x"}, {"text": "b"}))
    assert [row.text for row in found.rows] == ["a", None, "b"]
    assert found.rows[1] == DetailRow(task_id=7, task_name="x", extra={column: json.loads(json.dumps(value))})
    assert found.unread == 1


@pytest.mark.parametrize("name", sorted(set(attrs.fields_dict(DetailRow)) - {"extra"}))
def test_empty_columns(name: str) -> None:
    """An empty text is None in every column, as each may be None."""
    found = read(page({camel(name): ""}))
    assert (found.rows, found.unread) == ((DetailRow(),), 0)


@pytest.mark.parametrize("odd", [5, "row", None, True, [], [{}], 1.5])
def test_rows_that_are_not_objects(odd: Any) -> None:
    """A row of another kind is given as a row, so that rows and offsets still agree, and keeps what it was."""
    found = read(page({"text": "a"}, odd, {"text": "b"}))
    assert found.rows == (DetailRow(text="a"), DetailRow(extra={"row": odd}), DetailRow(text="b"))
    assert found.unread == 1


def test_rows_are_quiet() -> None:
    """The repr of a row shows neither text nor full numbers nor what stands in unknown columns."""
    row = DetailRow(
        text="sesame", template="open {x}", recipient=PHONE, user_login=PHONE, source_address=PHONE,
        extra={"note": "sesame"}, message_id="5",
    )  # fmt: skip
    for shown in (repr(row), str(row), repr(DetailPage(rows=(row,)))):
        assert not any(each in shown for each in (PHONE, "sesame", "open"))
        assert "message_id='5'" in shown


def test_row_zone() -> None:
    """Dates are naive unless the user names the zone."""
    [row] = read(page({"sentDateTime": "2022-12-14 05:55:32", "eventDateTime": None}), zone=MOSCOW).rows
    assert row.sent_date_time == datetime(2022, 12, 14, 5, 55, 32, tzinfo=MOSCOW)
    assert row.event_date_time is None


# Pages


@pytest.mark.parametrize(
    "body",
    [page(offset=0, number=1), page(more=False), page(), {"result": {"data": None, "more": False}},
     {"result": {"more": False}}, {"result": {"total": 0}}],
)  # fmt: skip
def test_empty_pages(body: dict[str, Any]) -> None:
    """A page without rows is a page; what the service leaves out is None."""
    assert read(body).rows == ()


def test_page_fields() -> None:
    """The API docs' own numbers are given as they come, whatever they claim, and unknown ones are passed over."""
    made = read(page(offset=1000, size=50, number=21, pageExists=False, total=1000, pages=100, more=True, new="x"))
    assert made == DetailPage((), 1000, 50, 21, False, 1000, 100, True)
    late = '{"result":{"more":null,"data":[{}],"size":null},"requestId":5}'
    assert read(late) == DetailPage((DetailRow(),))


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "[]", "null", "{}", '{"result":null}', '{"result":5}', '{"result":[]}', '{"result":{"data":5}}',
     '{"result":{"data":"rows"}}', '{"result":{"data":[{}]}} x',
     '{"result":{"data":[{}]', '{"result":{"data":NaN}}',
     '{"result":{"data":[' + "[" * 100_000, '{"result":{"data":[{}],"data":[{}]}}'],
)  # fmt: skip
def test_pages_that_break_the_page(body: str) -> None:
    """A body that is not a page is BadAnswer, and no row of it is handed out."""
    with pytest.raises(BadAnswer) as raised:
        read(body)
    assert raised.value.operation == "details"
    assert raised.value.__context__ is None


@pytest.mark.parametrize("odd", [{"more": "No"}, {"size": 1.5}, {"total": "many", "pages": []}, {"pageExists": 5}])
def test_odd_counts(odd: dict[str, Any]) -> None:
    """A count of the service that cannot be read is None and is counted as unread. It costs no row."""
    assert read(page({"text": "a"}, offset=7, **odd)) == DetailPage((DetailRow(text="a"),), 7, unread=len(odd))


def test_reading_goes_in_steps() -> None:
    """A full page is read in small steps, so that the event loop is never held up by all of it."""
    reading = details.read(Answer(status=200, body=json.dumps(page(*[{"text": "x"}] * 500)).encode()))
    assert sum(1 for _ in reading) >= 10


# Defects


@pytest.mark.parametrize("column", ["providerMessageId", "segmentId"])
def test_empty_optional_ids(column: str) -> None:
    """A message that has no operator's id yet may say so by an empty text; that costs no page of rows."""
    [row] = read(page({"messageId": "5", column: ""})).rows
    assert row.message_id == "5"


def test_double_keys_in_a_row() -> None:
    """A row that names a column twice says nothing that can be trusted. That costs no other row."""
    found = read('{"result":{"data":[{"messageId":"5","messageId":"6"},{"messageId":"7"}]}}')
    assert [row.message_id for row in found.rows] == [None, "7"]
    assert found.unread == 1


def test_unknown_member_called_rows() -> None:
    """Unknown members may be added at any time, under any name."""
    assert read(page(rows=5, more=False)).rows == ()


def test_reasons_beside_a_result() -> None:
    """Only a null result makes a refused call."""
    with pytest.raises(CallFailed) as raised:
        read({"result": 5, "description": "x"})
    assert type(raised.value) is BadAnswer


def test_all_problems_with_bad_ids() -> None:
    """Bad ids are told together with everything else that is wrong."""
    assert set(refs(message_ids=["5", 1.5, None], order="UP")) >= {"messageIds[1]", "messageIds[2]", "order"}


@pytest.mark.parametrize("bad", [10**64, 10**5000], ids=["65 digits", "5,001 digits"])
def test_endless_ids(bad: int) -> None:
    """The limit of 64 digits holds for ids given as numbers too, also where Python refuses to write them."""
    assert refs(message_ids=[bad]) == ["messageIds[0]"]


@pytest.mark.parametrize("fields", [{"message_ids": 5}, {"message_ids": b"57"}, {"task_id": 1, "out_fields": 5}])
def test_what_is_no_list(fields: dict[str, Any]) -> None:
    """A bare number is InvalidQuery rather than TypeError, and bytes are never a list of numbers."""
    assert refs(**fields)


@pytest.mark.parametrize("name", ["search_text", "source_address", "recipient"])
def test_text_that_cannot_be_sent(name: str) -> None:
    """Half a surrogate pair in a filter is an InvalidQuery like any other problem."""
    assert refs(task_id=1, **{name: "half \ud83d"}) == [camel(name)]


def test_short_logins_are_quiet() -> None:
    """A login is half of a credential: the repr shows none, however short."""
    assert "anna" not in repr(DetailRow(user_login="anna"))


def test_dates_at_the_ends_of_the_calendar() -> None:
    """A date that the service's zone cannot express is InvalidQuery, not OverflowError."""
    query = DetailQuery(date_time_from=datetime.min.replace(tzinfo=UTC), date_time_to=END.replace(tzinfo=UTC))
    with pytest.raises(InvalidQuery):
        details.call(query, offset=0, limit=1, zone=timezone(timedelta(hours=-3)))
