"""Look-ups of keys in a journal: many callers share one request. What a record means is in keys.py."""

import asyncio

from .journal import Journal
from .states import KeyRecord

__all__ = ["KeyLookUps"]


class KeyLookUps:
    """Looks keys up. Those that are asked for while another look-up is under way share the next one."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._asked: dict[str, asyncio.Future[KeyRecord | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    def find(self, key: str) -> "asyncio.Future[KeyRecord | None]":
        """Return a future for what the journal knows about a key. A key is asked for by one caller at a time."""
        found = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="devino-key-look-up")
        return found

    async def _ask(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                records = await self._journal.find_keys(list(asked))
            except Exception as error:  # noqa: BLE001 - each caller that waits must hear of it
                for each in asked.values():
                    if not each.done():
                        each.set_exception(error)
                continue
            for key, each in asked.items():
                if not each.done():
                    each.set_result(records.get(key))
