"""`devino check`: what a file would send and cost, before anything is sent. Needs no credentials.

The counting is in campaigns/preflighting.py, and what it found is written in summary.py.
"""

import os
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from attrs import define, evolve, field

import devino_async
from devino_async.campaigns import Preflight

from .approval import Approval
from .console import FAILED, MESSAGES_FAILED, as_json, printable, run, say
from .costs import costing, costs_of, money
from .intake import Intake
from .learning import learnt
from .options import connection, connection_of
from .reading import Reading, opened, reading, reading_of
from .summary import as_data, table, unmatched

__all__ = ["check"]

_CREDENTIALS = ("api_key", "login", "password")
_PATIENT_FOR = 10.0


@define
class Known:
    """What the account says. `lines` are for people."""

    balance: Decimal | None = None
    price: Decimal | None = None
    lines: list[str] = field(factory=list)
    failure: "devino_async.DevinoError | None" = None


@click.command(epilog="Example: devino check campaign.csv --sender MyCompany --price 4.20")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@reading
@costing
@click.option("--strict", is_flag=True, help="As for `devino send`. Here bad rows always count.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows.")
@click.option("--learn-prices", type=click.IntRange(1, 366), metavar="DAYS", help="Learn what segments cost lately.")
@click.option("--show", is_flag=True, help="Show the numbers in the first messages.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object on stdout.")
@connection
def check(file: Path, json_lines: bool, show: bool, **options: Any) -> None:
    """Say what FILE would send and cost, and what is wrong with it. Nothing is sent.

    The options about the rows are those of `devino send`. Without credentials the balance is not looked up.
    --learn-prices reads what the account's own messages of so many days cost, and needs credentials. If something is
    wrong with the file, the exit status is 1.
    """
    run(_check(file, options, json_lines=json_lines, show=show))


async def _check(path: Path, options: dict[str, Any], *, json_lines: bool, show: bool) -> int:
    days = options["learn_prices"]
    if days is not None and options["price"] is not None:
        raise click.UsageError("--price and --learn-prices cannot be used together")
    costs = costs_of(options, learns=days is not None)
    given_rows = reading_of(options)
    client = _client_of(options)
    if client is None and days is not None:
        raise click.UsageError("--learn-prices needs credentials, in DEVINO_API_KEY or --api-key")
    approval = Approval(costs, costs.counter, strict=False, yes=True, unique=options["unique"])
    with ExitStack() as stack:
        intake = Intake(Reading(opened(path, stack), given_rows).runs(), options["limit"])
        status = await approval.read(intake)
    if status is not None:
        return status
    known = Known() if client is None else await _asked(client, days)
    if known.price is not None:
        costs = evolve(costs, price=known.price)
    found = approval.result(costs.price)
    if json_lines:
        click.echo(as_json(as_data(found, known.balance, show=show)))
        for line in [*([unmatched(found)] if found.unmatched else []), *known.lines]:
            say(line)
    else:
        for line in (f"{printable(path.name)}:", *table(found, show=show), *_money(found, known.balance), *known.lines):
            click.echo(line)
    passed = [*costs.passed(found.segments_max)]
    for line in passed:
        say(line)
    if known.failure is not None:
        say(f"devino: what the account says could not be looked up: {known.failure}")
        return FAILED
    return MESSAGES_FAILED if found.invalid or found.unfilled or passed else 0


async def _asked(client: "devino_async.DevinoClient", days: int | None) -> "Known":
    """Return what the account says: its balance and, of the last days if there are any, the price of a segment."""
    known = Known()
    async with client:
        try:
            known.balance = (await client.account()).balance
            if days is not None:
                known.price, known.lines = await learnt(client, days)
        except devino_async.DevinoError as error:
            known.failure = error
    return known


def _client_of(options: dict[str, Any]) -> "devino_async.DevinoClient | None":
    """Return a client if there are credentials. Raises ConfigurationError if they cannot be used."""
    named = any(options[name] for name in _CREDENTIALS)
    named = named or any(os.environ.get(f"DEVINO_{name.upper()}") for name in _CREDENTIALS)
    given = connection_of(options)
    retry = devino_async.RetryPolicy(deadline=_PATIENT_FOR)
    return devino_async.DevinoClient(**given, retry=retry) if named else None


def _money(found: Preflight, balance: Decimal | None) -> list[str]:
    if balance is None:
        return []
    lines = ["", f"{'balance':11} {money(balance)}"]
    most = found.cost_max
    if most is not None and most > balance:
        lines.append(f"the balance does not cover a cost of {money(most)}: {money(most - balance)} are missing")
    return lines
