"""Keeping the newest N messages, so that a sandbox that runs for weeks stays small."""

import asyncio
from typing import Any

from aiohttp import web

from .arrivals import Arrivals
from .bodies import json_in
from .envelope import Refusal, result
from .records import Records

__all__ = ["Keeping", "checked_keep"]


def checked_keep(value: Any) -> int | None:
    """Return a number of messages to keep, or None for all of them. Raises ValueError."""
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise ValueError("keep must be a whole number of messages from 1, or None to keep all of them")
    return value


class Keeping:
    """Deletes the oldest messages behind each POST. Meanwhile there may be more, by what that POST brought."""

    def __init__(self, records: Records, arrivals: Arrivals, keep: int | None) -> None:
        self._records = records
        self._arrivals = arrivals
        self.keep = checked_keep(keep)

    async def run(self) -> None:
        """Delete what is too much until cancelled."""
        while True:
            arrived = self._arrivals.next
            await self.trim()
            await arrived.wait()

    async def trim(self) -> None:
        """Delete what is too much now."""
        await self._records.trim_rejected()
        if self.keep is not None and await self._records.kept() > self.keep:
            await self._records.delete(self.keep)

    async def post(self, request: web.Request) -> web.Response:
        """Set how many messages are kept, as asked by {"messages": N or null}."""
        asked = await json_in(request)
        if not isinstance(asked, dict) or "messages" not in asked:
            raise Refusal("must.be.not.null", "messages", "must be a whole number from 1, or null")
        try:
            self.keep = checked_keep(asked["messages"])
        except ValueError:
            raise Refusal("invalid", "messages", "must be a whole number from 1, or null") from None
        await asyncio.shield(self.trim())
        return result({"messages": self.keep})
