"""`devino demo`: a whole campaign against the built-in sandbox, in about 15 seconds and without an account."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

import devino_async

from .console import as_json, run, say
from .progress import counting

__all__ = ["demo"]

_LATIN = "Your order {} is ready. Show this message at the counter."
_RUSSIAN = "Ваш заказ {} готов. Покажите это сообщение на кассе."
_FINAL = {"DELIVERED", "CLICKED", "UNDELIVERABLE", "EXPIRED", "REJECTED", "UNKNOWN"}
_OUTCOMES = ("accepted", "rejected", "not_sent", "unconfirmed")
_ROUNDS = 40
_MAX_MESSAGES = 10_000_000


@click.command(epilog="Example: devino demo --messages 1000000")
@click.option("--messages", type=click.IntRange(1, _MAX_MESSAGES), default=100_000, show_default=True)
@click.option("--json", "json_lines", is_flag=True, help="The summary as one line of JSON on stdout.")
def demo(messages: int, json_lines: bool) -> None:
    """Send a generated campaign of Russian and Latin messages to a pretend Devino on this machine, wait for
    deliveries, and show the outcome. Nothing leaves the machine.
    """
    run(_show(messages, json_lines))


def campaign(count: int) -> "Iterator[devino_async.Message]":
    """Yield messages, Russian and Latin in turn. Every 500th has a sender that the sandbox rejects.

    The recipients' numbers have all endings, including those that the sandbox does not deliver to.
    """
    for number in range(count):
        sender = "Unknown" if number % 500 == 499 else "MyCompany"
        text = (_LATIN, _RUSSIAN)[number % 2].format(number)
        yield devino_async.Message(sender=sender, to=f"7900{number:07}", text=text)


async def _show(count: int, json_lines: bool) -> None:
    from devino_async.sandbox import Sandbox  # noqa: PLC0415

    async with Sandbox() as sandbox, devino_async.DevinoClient("demo-key", base_url=sandbox.url) as devino:
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
        click.echo(as_json(_summary(report, statuses, statistics, account)))
    else:
        _print(report, statuses, statistics, account)


async def _send(
    devino: "devino_async.DevinoClient", count: int, advance: Callable[[], None]
) -> "devino_async.SendReport":
    receipts = []
    async for receipt in devino.send_many(campaign(count)):
        receipts.append(receipt)
        advance()
    return devino_async.SendReport.of(receipts)


async def _last_statuses(
    devino: "devino_async.DevinoClient", ids: list[str], advance: Callable[[], None]
) -> Counter[str]:
    """Look up statuses in rounds, until all are final or only SENT is left, which may never change."""
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


def _summary(
    report: "devino_async.SendReport",
    statuses: Counter[str],
    statistics: "devino_async.Statistics",
    account: "devino_async.Account",
) -> dict[str, Any]:
    return {
        "outcomes": {name: len(getattr(report, name)) for name in _OUTCOMES},
        "statuses": statuses,
        "statistics": {status: statistics.total(status) for status in statuses},
        "segments": {status: statistics.total_segments(status) for status in statuses},
        "balance": account.balance,
    }


def _print(
    report: "devino_async.SendReport",
    statuses: Counter[str],
    statistics: "devino_async.Statistics",
    account: "devino_async.Account",
) -> None:
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
        "\nNext: `devino sandbox` keeps a sandbox running, `devino send FILE` sends a CSV to it or to the real"
        " service.\n`devino --help` lists the rest, and the README shows the same in Python."
    )
