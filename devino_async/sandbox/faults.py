"""Deliberate faults of callbacks: duplicates, disorder, delay and loss.

All faults are drawn from one seeded generator, so a run can be repeated. POSTing and retrying are in callbacks.py.
"""

import random
from collections import defaultdict
from typing import Any

from attrs import define, field, frozen

__all__ = ["CallbackFaults", "Mishaps"]


@frozen(kw_only=True)
class CallbackFaults:
    """How callbacks go wrong, as real ones may. The faults of an event are drawn once.

    - `duplicate`: the chance, 0 to 1, that an event comes twice.
    - `drop`: the chance, 0 to 1, that an event never comes.
    - `delay`: the longest time that an event is held back, in seconds.
    - `disorder`: the events of a round come in any order, so DELIVERED may come before SENT.
    - `seed`: the seed of the random generator.
    """

    duplicate: float = 0.0
    drop: float = 0.0
    delay: float = 0.0
    disorder: bool = False
    seed: int = 0

    @property
    def active(self) -> bool:
        """Whether any callback goes wrong."""
        return bool(self.duplicate or self.drop or self.delay or self.disorder)

    def __attrs_post_init__(self) -> None:
        for name, maximum in (("duplicate", 1.0), ("drop", 1.0), ("delay", 86_400.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= maximum:
                raise ValueError(f"CallbackFaults.{name} must be a number from 0 to {maximum:,.0f}")
        if not isinstance(self.disorder, bool):
            raise ValueError("CallbackFaults.disorder must be true or false")
        if type(self.seed) is not int:
            raise ValueError("CallbackFaults.seed must be a whole number")


@define
class Mishaps:
    """Draws the faults of each event, and holds the events that come later."""

    faults: CallbackFaults
    _chance: random.Random = field(init=False)
    _held: list[tuple[float, str, dict[str, Any]]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.follow(self.faults)

    def follow(self, faults: CallbackFaults) -> None:
        """Draw by these faults from now on. What is held stays so until it is due."""
        self.faults = faults
        self._chance = random.Random(faults.seed)  # noqa: S311 - no secret depends on it

    def befall(self, url: str, events: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
        """Draw the faults of each event, and hold the events until they are due. Return those that are dropped."""
        dropped = []
        for event in events:
            if self._chance.random() < self.faults.drop:
                dropped.append(event)
                continue
            self._hold(url, event, now)
            if self._chance.random() < self.faults.duplicate:
                self._hold(url, event, now)
        return dropped

    def take(self, now: float) -> dict[str, list[dict[str, Any]]]:
        """Take the events that are due, grouped by address."""
        due: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for until, url, event in self._held:
            if until <= now:
                due[url].append(event)
        self._held = [held for held in self._held if held[0] > now]
        if self.faults.disorder:
            for events in due.values():
                self._chance.shuffle(events)
        return due

    def keep(self, url: str, events: list[dict[str, Any]], now: float) -> None:
        """Hold events that could not be delivered, for another try."""
        self._held += [(now, url, event) for event in events]

    def _hold(self, url: str, event: dict[str, Any], now: float) -> None:
        self._held.append((now + self._chance.random() * self.faults.delay, url, event))
