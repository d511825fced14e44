"""Kills: their signals, their moments, and what they left behind in figures."""

import random as randomness
import signal
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import define, field, frozen
from traps import Trap

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)


@frozen
class Kill:
    """How one run is killed: `how` is at a moment of the clock, of the server, or at an SQL statement of its own."""

    signal: int
    how: str
    number: int = 0
    phase: str = ""
    delay: float = 0.0

    @property
    def trap(self) -> Trap | None:
        """What the process sets for itself."""
        return Trap(self.signal, self.number, self.delay) if self.how == "statement" else None


@frozen(kw_only=True)
class Pace:
    """How far apart kills are: seconds, requests and SQL statements, on average."""

    seconds: float = 0.05
    requests: int = 4
    statements: int = 12


def kills(random: randomness.Random, pace: Pace, signals: Sequence[int] = SIGNALS) -> Iterator[Kill]:
    """Kills without end, at moments that are spread over all that a run does."""
    while True:
        number, lot = random.choice(signals), random.random()
        # Some milliseconds later it is in the middle of the next step.
        later = random.choice((0.0, 0.0, random.uniform(0.0, 0.004)))
        if lot < 0.3:
            yield Kill(number, "clock", delay=random.uniform(0.0, 2 * pace.seconds))
        elif lot < 0.65:
            phase = random.choice(("begun", "received", "answered"))
            yield Kill(number, "server", random.randint(1, 2 * pace.requests), phase, later)
        else:
            yield Kill(number, "statement", random.randint(1, 2 * pace.statements), delay=later)


@define
class Figures:
    """What happened, in numbers."""

    kills: Counter[str] = field(factory=Counter)
    runs: int = 0
    campaigns: int = 0
    messages: int = 0
    twice: int = 0
    without: int = 0
    unconfirmed: int = 0
    lossy: int = 0
    in_doubt: int = 0
    most_in_doubt: int = 0
    looks: int = 0
    posts: int = 0
    met: Counter[str] = field(factory=Counter)

    def add(self, other: "Figures") -> None:
        """Count another one in."""
        for name in ("runs", "campaigns", "messages", "twice", "without", "unconfirmed", "lossy", "in_doubt"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.looks += other.looks
        self.posts += other.posts
        self.most_in_doubt = max(self.most_in_doubt, other.most_in_doubt)
        self.kills += other.kills
        self.met += other.met
