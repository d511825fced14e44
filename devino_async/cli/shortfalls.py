"""Shortfalls: what was missing from the answers to a look-up. Commands report it when they end."""

from typing import TYPE_CHECKING

import devino_async

from .console import say

if TYPE_CHECKING:
    from devino_async import ClientEvent

__all__ = ["Shortfalls"]


class Shortfalls:
    """Collects events that mean missing rows or cells. An instance is passed to a client as `on_event`.

    A total of 0 is compared only if `counted` is set, which means that the service was asked for a total.
    """

    def __init__(self, *, counted: bool = True) -> None:
        self._counted = counted
        self.unread = 0
        self._totals: list[devino_async.TotalDiffers] = []

    def __call__(self, event: "ClientEvent") -> None:
        """Note one event."""
        if isinstance(event, devino_async.ItemsUnread):
            self.unread += event.count
        elif isinstance(event, devino_async.TotalDiffers) and (event.total or self._counted):
            self._totals.append(event)

    def tell(self) -> bool:
        """Write what was collected to stderr. Return whether the number of rows differed from the service's total."""
        if self.unread:
            say(f"items in answers that could not be read in full: {self.unread:,}")
        for each in self._totals:
            say(f"the service counted {each.total:,} rows, but gave {each.rows:,}: rows are missing, or new ones came")
        return bool(self._totals)
