"""A campaign of one text for many: Template beside the plain aiohttp loop that formats the same texts into dicts.

Both get the same rows, which are made on the way as a file or a database would give them, and send the same texts to
the same server. The plain loop checks nothing. "looked at" reads the message of every receipt, which is then made.
"single" hands `map(template.message, rows)` to send_many, which makes and checks each message alone. How long the
event loop is blocked is seen as in campaign.py.
"""

import statistics
import warnings
from collections.abc import Iterable
from functools import partial

import aiohttp
from campaign import BATCH, Sending, run, seen
from canned_server import canned_server
from measuring import Contender, in_turn, percentile, ratio, show

from devino_async import Accepted, DevinoClient, Template

TEXT = "Уважаемый {name}, ваш заказ {order} готов к выдаче, ждём вас завтра"
TEMPLATE = Template(sender="MyCompany", text=TEXT)
NAMES = ("Анна", "Сергей Петрович", "Ольга", "Иван")
COUNT = 10 * BATCH
ROUNDS = 5
PLAIN = "plain aiohttp"

Rows = Iterable[dict[str, str]]


def made_rows(count: int) -> Rows:
    names = len(NAMES)
    return ({"to": f"7900{n:07}", "name": NAMES[n % names], "order": f"{n:07}"} for n in range(count))


async def plain(url: str, rows: Rows) -> int:
    """Send by the plain loop. Return how many messages were accepted."""
    accepted = 0
    async with aiohttp.ClientSession(headers={"Authorization": "Key key"}) as session:
        batch: list[dict[str, str]] = []
        for row in rows:
            batch.append({"from": "MyCompany", "to": row["to"], "text": TEXT.format(**row)})
            if len(batch) == BATCH:
                async with session.post(f"{url}/sms/messages", json={"messages": batch}) as response:
                    results = (await response.json())["result"]
                accepted += sum(result["code"] == "OK" for _, result in zip(batch, results, strict=True))
                batch = []
    return accepted


async def filled(url: str, rows: Rows) -> int:
    """Send by a filled template. Return how many messages were accepted."""
    accepted = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for receipt in devino.send_many(TEMPLATE.fill(rows)):
            accepted += type(receipt) is Accepted
    return accepted


async def looked_at(url: str, rows: Rows) -> int:
    """The same, and look at the message of every receipt."""
    accepted = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for receipt in devino.send_many(TEMPLATE.fill(rows)):
            accepted += receipt.message.to[0] == "7"
    return accepted


async def single(url: str, rows: Rows) -> int:
    """Send messages that are made one by one. Return how many were accepted."""
    accepted = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for receipt in devino.send_many(map(TEMPLATE.message, rows)):
            accepted += type(receipt) is Accepted
    return accepted


WAYS: dict[str, Sending] = {
    PLAIN: plain,
    "template": filled,
    "template, looked at": looked_at,
    "template, single": single,
}


def contenders(url: str, count: int = COUNT) -> list[Contender]:
    """All ways to send the same texts."""
    return [
        Contender(name, partial(run, sending, url, count), partial(made_rows, count)) for name, sending in WAYS.items()
    ]


def table() -> None:
    """A row for each way."""
    warnings.simplefilter("ignore", ResourceWarning)
    rows = []
    with canned_server() as url:
        measured = in_turn(contenders(url), ROUNDS, partial(seen, collecting=True))
    theirs = [each.seconds for each in measured[PLAIN]]
    for name, runs in measured.items():
        taken = [each.seconds for each in runs]
        longest = [max(each.stalls) for each in runs]
        p99 = [percentile(each.stalls, 0.99) for each in runs]
        rows.append(
            [
                name,
                f"{COUNT / min(taken):,.0f}",
                f"{statistics.median(longest):.1f}",
                f"{max(longest):.1f}",
                f"{statistics.median(p99):.1f}",
                "" if name == PLAIN else f"{ratio(theirs, taken):.2f}",
            ]
        )
    show(
        f"one text for {COUNT:,} rows, about 70 Cyrillic characters each, batches of {BATCH:,}; best of {ROUNDS};\n"
        'stalls in ms: "stall" is the longest of a run, median of the runs, "worst" the longest of all runs',
        ["", "messages/s", "stall", "worst", "p99", "times plain aiohttp"],
        rows,
    )


if __name__ == "__main__":
    table()
