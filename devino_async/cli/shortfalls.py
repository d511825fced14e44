"""Shortfalls: what the answers of a look-up lacked, from the client's events. Commands say it when they end."""

from typing import TYPE_CHECKING

import devino_async

from .console import say

if TYPE_CHECKING:
    from devino_async import ClientEvent

__all__ = ["Shortfalls"]


class Shortfalls:
    """Notes events that mean missing rows or cells. It is an `on_event` of a client.

    A total of 0 counts as a total only if `counted` says that the service was asked for one.
    """

    def __init__(self, *, counted: bool = True) -> None:
        self._counted = counted
        self._unread = 0
        self._totals: list[devino_async.TotalDiffers] = []

    def __call__(self, event: "ClientEvent") -> None:
        """Note one event."""
        if isinstance(event, devino_async.ItemsUnread):
            self._unread += event.count
        elif isinstance(event, devino_async.TotalDiffers) and (event.total or self._counted):
            self._totals.append(event)

    def tell(self) -> bool:
        """Write what was noted to stderr. Return whether there were other rows than the service's total."""
        if self._unread:
            say(f"items of the answers that could not be read whole: {self._unread:,}")
        for each in self._totals:
            say(f"the service counted {each.total:,} rows, but gave {each.rows:,}: rows are missing, or new ones came")
        return bool(self._totals)
