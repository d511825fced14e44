"""`devino demo`: a whole campaign against the built-in sandbox, in a quarter of a minute and without an account."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from .running import as_json, run, say

if TYPE_CHECKING:
    from devino_async import Account, DevinoClient, Message, SendReport, Statistics

__all__ = ["demo"]

_LATIN = "Your order {} is ready. Show this message at the counter."
_RUSSIAN = "Ваш заказ {} готов. Покажите это сообщение на кассе."
_FINAL = {"DELIVERED", "CLICKED", "UNDELIVERABLE", "EXPIRED", "REJECTED", "UNKNOWN"}
_OUTCOMES = ("accepted", "rejected", "not_sent", "unconfirmed")
_ROUNDS = 40
_MOST_MESSAGES = 10_000_000


@click.command(epilog="Example: devino demo --messages 1000000")
@click.option("--messages", type=click.IntRange(1, _MOST_MESSAGES), default=100_000, show_default=True)
@click.option("--json", "json_lines", is_flag=True, help="The summary as one line of JSON on stdout.")
def demo(messages: int, json_lines: bool) -> None:
    """Send a generated campaign of Russian and Latin messages to a pretend Devino on this machine, wait for
    deliveries, and show what became of it. Nothing leaves the machine.
    """
    run(_show(messages, json_lines))


def campaign(count: int) -> "Iterator[Message]":
    """Messages in turn Russian and Latin; every 500th has a sender that the sandbox does not approve of.

    The numbers go through all endings, those that the sandbox does not deliver to included.
    """
    from devino_async import Message  # noqa: PLC0415

    for number in range(count):
        sender = "Unknown" if number % 500 == 499 else "MyCompany"
        yield Message(sender=sender, to=f"7900{number:07}", text=(_LATIN, _RUSSIAN)[number % 2].format(number))


async def _show(count: int, json_lines: bool) -> None:
    from devino_async import DevinoClient  # noqa: PLC0415

    from ..sandbox import Sandbox  # noqa: PLC0415
    from .progress import counting  # noqa: PLC0415

    async with Sandbox() as sandbox, DevinoClient("demo-key", base_url=sandbox.url) as devino:
        say(f"the sandbox listens at {sandbox.url}; sending {count:,} messages")
        began = time.monotonic()
        with counting("sending", count) as advance:
            report = await _send(devino, count, advance)
        seconds = time.monotonic() - began
        say(f"sent in {seconds:.1f} s, {count / seconds:,.0f} messages a second; waiting for deliveries")
        with counting("delivery", len(report.accepted)) as advance:
            statuses = await _last_statuses(devino, [each.message_id for each in report.accepted], advance)
        now = datetime.now(UTC).replace(tzinfo=None)
        statistics = await devino.statistics(now - timedelta(days=1), now + timedelta(days=1))
        account = await devino.account()
    if json_lines:
        click.echo(as_json(_told(report, statuses, statistics, account)))
    else:
        _print(report, statuses, statistics, account)


async def _send(devino: "DevinoClient", count: int, advance: Callable[[], None]) -> "SendReport":
    from devino_async import SendReport  # noqa: PLC0415

    receipts = []
    async for receipt in devino.send_many(campaign(count)):
        receipts.append(receipt)
        advance()
    return SendReport.of(receipts)


async def _last_statuses(devino: "DevinoClient", ids: list[str], advance: Callable[[], None]) -> Counter[str]:
    """Ask in rounds, each time only for what is not final; SENT may stay so for ever, so all rounds end at a bound."""
    final: Counter[str] = Counter()
    passing: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        left, before = [], passing
        passing = Counter()
        async for each in devino.iter_statuses(ids):
            status = str(each.status)
            if status in _FINAL:
                final[status] += 1
                advance()
            else:
                left.append(each.message_id)
                passing[status] += 1
        ids = left
        if not ids or (set(passing) == {"SENT"} and passing == before):
            break
        await asyncio.sleep(0.5)
    return final + passing


def _told(report: "SendReport", statuses: Counter[str], statistics: "Statistics", account: "Account") -> dict[str, Any]:
    return {
        "outcomes": {name: len(getattr(report, name)) for name in _OUTCOMES},
        "statuses": statuses,
        "statistics": {status: statistics.total(status) for status in statuses},
        "segments": {status: statistics.total_segments(status) for status in statuses},
        "balance": account.balance,
    }


def _print(report: "SendReport", statuses: Counter[str], statistics: "Statistics", account: "Account") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="The campaign")
    table.add_column("what")
    for heading in ("messages", "in statistics", "segments"):
        table.add_column(heading, justify="right")
    for name in _OUTCOMES:
        table.add_row(f"receipt: {name.replace('_', ' ')}", f"{len(getattr(report, name)):,}", "", "")
    table.add_section()
    for status, amount in statuses.most_common():
        counted, segments = statistics.total(status), statistics.total_segments(status)
        table.add_row(f"status: {status}", f"{amount:,}", f"{counted:,}", f"{segments:,}")
    Console().print(table)
    click.echo(f"balance left: {account.balance:,}")
    click.echo(
        "\nNext: `devino sandbox` keeps one running; `devino send FILE` sends a CSV to it or to the real service;\n"
        "`devino --help` lists the rest; the README shows the same in Python."
    )
