"""GET /billing-api/companies/current/account: the balance after sending."""

import json
from decimal import Decimal

from asking import Asking, message


async def test_the_balance_falls(asking: Asking) -> None:
    """Every accepted segment costs its price."""
    path = "/billing-api/companies/current/account"
    _, before = await asking.ask("GET", path)
    await asking.send(message(text="Я" * 140), message(to="nonsense"))
    _, after = await asking.ask("GET", path)
    paid = before["result"]["account"]["balance"] - after["result"]["account"]["balance"]
    assert round(paid, 2) == 7.05


async def test_the_balance_is_exact(asking: Asking) -> None:
    """The balance is the opening one less the price of every segment, exact to the kopeck."""
    await asking.send(*[message(text="Я" * 140)] * 1_001)
    path = f"{asking.sandbox.url}/billing-api/companies/current/account"
    async with asking.session.get(path) as response:
        account = json.loads(await response.read(), parse_float=Decimal)["result"]["account"]
    assert account["balance"] == Decimal("1000000.80") - Decimal("2.35") * 3 * 1_001
