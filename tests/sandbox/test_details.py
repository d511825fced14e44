"""GET /sms-stat/detail: combinations, pages, filters, order and columns."""

import pytest
from asking import WIRE, Asking, message


async def test_the_page_s_own_queries(asking: Asking) -> None:
    """The examples of detail and statistics queries in the API docs are answered as they stand."""
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
    """Exactly the five documented combinations are answered, all others refused."""
    names = [name for index, name in enumerate(IDENTIFYING) if number >> index & 1]
    query = "&".join(f"{name}={IDENTIFYING[name]}" for name in names)
    status, _ = await asking.ask("GET", f"/sms-stat/detail?limit=1&offset=0&{query}")
    assert status == (200 if " ".join(names) in ALLOWED else 400)


async def test_paging(asking: Asking) -> None:
    """Pages joined are all rows once, and number, pages, total and more are as documented."""
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
    """All columns are given except the segment's own, or only those that `outFields` names."""
    await asking.send(message())
    [row] = (await asking.details("taskId=1&limit=1&offset=0"))["data"]
    assert len(row) == 33
    [row] = (await asking.details("taskId=1&limit=1&offset=0&outFields=STATUS&outFields=PRICE,TEXT"))["data"]
    assert row == {"price": 2.35, "status": "IN_PROGRESS", "text": "Hello"}
    status, _ = await asking.ask("GET", "/sms-stat/detail?taskId=1&limit=1&offset=0&outFields=NONSENSE")
    assert status == 400


async def test_by_segments(asking: Asking) -> None:
    """A long message is one row, or a row with its own id for each of its segments."""
    [item] = await asking.send(message(text="Я" * 140), query="?includeSegmentId=true")
    assert len(item["segmentsId"]) == 3
    [row] = (await asking.details("taskId=1&limit=10&offset=0"))["data"]
    assert row["segmentCount"] == 3
    rows = (await asking.details("taskId=1&limit=10&offset=0&bySegments=true"))["data"]
    assert [row["segmentId"] for row in rows] == item["segmentsId"]
    assert {row["messageId"] for row in rows} == {item["messageId"]}


@pytest.mark.parametrize(
    "query",
    ["limit=1", "offset=0", "limit=0&offset=0", "limit=1&offset=-1", "limit=x&offset=0", f"limit={'9' * 25}&offset=0"]
    + [f"limit=1&offset=0&{more}" for more in ("order=UP", "orderField=NONSENSE", "status=SENT", "mogId=x")]
    + [f"limit=1&offset=0&{more}" for more in ("bySegments=2", "timeOffset=99999", "userId=" + "9" * 30)],
)
async def test_bad_parameters(asking: Asking, query: str) -> None:
    """A parameter that is missing, or not of its type, is refused in the envelope, by name."""
    status, answer = await asking.ask("GET", f"/sms-stat/detail?taskId=1&{query}")
    assert (status, answer["result"]) == (400, None)
    assert answer["reasons"][0]["ref"]


@pytest.mark.parametrize("ids", ["%C2%B2", "%D9%A1", "-1", "1%29%20OR%20%281"])
async def test_bad_message_ids(asking: Asking, ids: str) -> None:
    """Message ids are digits of ASCII and nothing else."""
    assert (await asking.ask("GET", f"/sms-stat/detail?limit=1&offset=0&messageIds={ids}"))[0] == 400


async def test_message_ids(asking: Asking) -> None:
    """Ids may be repeated keys or stand between commas. Unknown ones, however long, are left out."""
    items = await asking.send(*(message(f"7900000000{number}") for number in range(4)))
    ids = [item["messageId"] for item in items]
    query = f"messageIds={ids[0]}&messageIds={ids[2]},{ids[3]},5,{'9' * 21}"
    rows = (await asking.details(f"limit=10&offset=0&{query}"))["data"]
    assert [row["messageId"] for row in rows] == [ids[0], ids[2], ids[3]]


async def test_dates(asking: Asking) -> None:
    """The span of dates includes both its ends, to the second."""
    for number in range(4):
        await asking.send(message(f"7900000000{number}"))
        asking.clock.advance(1)
    page = await asking.details("dateTimeFrom=2022-09-09+08:00:01&dateTimeTo=2022-09-09+08:00:02&limit=9&offset=0")
    assert [row["recipient"][-1] for row in page["data"]] == ["1", "2"]


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_pages_joined_are_everything_once(asking: Asking, segments: bool, order: str) -> None:
    """Pages of any size, in both orders, are the one big page when joined."""
    await asking.send(*(message(f"7900000{number % 3:04}", text="Я" * (1 + 70 * number)) for number in range(6)))
    query = f"taskId=1&orderField=RECIPIENT&order={order}&bySegments={str(segments).lower()}"
    whole = (await asking.details(f"{query}&limit=100&offset=0"))["data"]
    assert len(whole) == (21 if segments else 6)
    for size in (1, 4, 7):
        rows, offset, more = [], 0, True
        while more:
            page = await asking.details(f"{query}&limit={size}&offset={offset}")
            rows += page["data"]
            offset, more = offset + size, page["more"]
        assert rows == whole


async def test_an_empty_list_of_fields(asking: Asking) -> None:
    """`outFields` without a name gives all columns."""
    await asking.send(message())
    [row] = (await asking.details("taskId=1&limit=1&offset=0&outFields="))["data"]
    assert row["isContactGroupDeleted"] == "No"
