"""GET /billing-api/companies/current/account: the balance, which every accepted segment lowers."""

from decimal import Decimal
from typing import Any

from aiohttp import web

from .envelope import result
from .store import Store

__all__ = ["PRICE", "Account"]

PRICE = Decimal("2.35")
_OPENING_BALANCE = Decimal("1000000.80")


class Account:
    """Answers queries about the account."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, _: web.Request) -> web.Response:
        """Answer with the opening balance less the price of all accepted segments."""
        [(segments,)] = await self._store.rows("SELECT coalesce(sum(segments), 0) FROM tally")
        balance = _OPENING_BALANCE - PRICE * segments
        zeros = ("addPercent", "credit", "currencyId", "disableThreshold", "notifyThreshold")
        account: dict[str, Any] = {"accountType": "POSTPAID", "balance": float(balance), "companyId": 111}
        account |= dict.fromkeys(zeros, 0) | {"isBlocked": False, "recalcBillRate": True}
        account |= {"reserve": 0, "reserveSms": 0, "reserveViber": 0}
        return result({"account": account, "validPacketChannels": ["EMAIL"]})
