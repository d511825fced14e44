"""Arrivals: what waits for new messages is woken up by each POST that was stored."""

import asyncio

__all__ = ["Arrivals"]


class Arrivals:
    """Wakes up all waiting tasks at each `notify`. Belongs to one event loop."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """The event that the next `notify` sets. Take it before you look, so that nothing comes in between."""
        return self._arrived

    def notify(self) -> None:
        """Wake up what waits."""
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()
