"""Runs keyed sends whose process is killed again and again, one process or several with the same keys at once."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from chance import chance
from counting_server import CountingServer
from inputs import identities_of, is_rejected, message_of
from kill_lab import FINAL, MAX_RUNS, Seen, seen_in, strike, twice
from moments import SIGNALS, Figures, Kill
from processes import Child, child
from programs import KeyedSends, run_keyed_sends

from devino_async import Message
from devino_async.campaigns import Outcome, SQLiteJournal

_REPEATED = 0.1


class KeyLab:
    """A list of keyed sends, some of them asked for twice, in a folder of its own."""

    signals: Sequence[int] = SIGNALS

    def __init__(
        self, folder: Path, server: CountingServer, count: int, *, seed: int, processes: int = 1, **options: Any
    ) -> None:
        self.server = server
        self.processes = processes
        self.random = chance(seed)
        self.folder = folder
        self.journal = folder / "keys.journal"
        self.options = {"callers": 50, "in_flight": 4, **options}
        numbers = list(range(count)) + self.random.sample(range(count), int(count * _REPEATED))
        self.random.shuffle(numbers)
        self.sends: Sequence[tuple[str, Message]] = [(f"order-{each}", message_of(each)) for each in numbers]
        self.wrong: list[str] = []
        self.figures = Figures(campaigns=1)
        self._known: dict[str, Seen] = {}
        self._doubted = self._since = 0
        self._losses = (0, 0)

    def until_finished(self, kills: Iterator[Kill]) -> None:
        """Run it, each time with a kill while there are any and then without, until everything has its outcome."""
        for kill in chain(kills, repeat(None, MAX_RUNS)):
            statuses, seen = self.run(kill)
            if not any(statuses) and all(kind != "not_sent" for each in seen for kind, _ in each.values()):
                return
        self.wrong.append(f"not finished by {MAX_RUNS} runs without a kill")

    def run(self, kill: Kill | None = None) -> tuple[list[int], list[dict[str, Seen]]]:
        """Run all processes at once, and kill the first. Return their statuses and the receipts of each."""
        paths = [self.folder / f"saw-{number}.txt" for number in range(self.processes)]
        with ExitStack() as stack:
            children: list[Child] = []
            for number, path in enumerate(paths):
                job = KeyedSends(
                    url=self.server.url,
                    journal=str(self.journal),
                    sends=self.sends,
                    saw=str(path),
                    trap=kill.trap if kill is not None and number == 0 else None,
                    **self.options,
                )
                path.unlink(missing_ok=True)
                children.append(stack.enter_context(child(run_keyed_sends, job)))
            if kill is not None and kill.how == "server":
                self.server.alert(kill.number, kill.phase)
            for each in children:
                each.go()
            if kill is not None:
                strike(children[0], kill, self.server)
            statuses = [each.end() for each in children]
        self.figures.runs += 1
        if kill is not None and statuses[0] < 0:
            self.figures.kills[f"{signal.Signals(-statuses[0]).name} {kill.how}"] += 1
            self._since += 1
        seen = [self._receipts(path) for path in paths]
        for each in seen:
            self._compare("a receipt", each)
        if self.random.random() < 0.5:
            self.look()
        return statuses, seen

    def _receipts(self, path: Path) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
            if not line.endswith("\n"):
                continue
            key, kind, more = line[:-1].split("\t")
            if key == "!":
                self.wrong.append(f"a send raised {kind}: {more}")
            elif found.get(key, (kind, more)) != (kind, more) and found[key][0] != "not_sent":
                self.wrong.append(f"{key}: two callers got {found[key]} and {(kind, more)}")
            else:
                found[key] = (kind, more)
        return found

    def look(self) -> dict[str, Seen]:
        """Read the journal while no process lives, and check it against all that was known before."""
        outcomes = asyncio.run(_read(self.journal))
        self.figures.looks += 1
        found = {str(each.key): seen_in(each) for each in outcomes}
        kinds = Counter(kind for kind, _ in found.values())
        if len(found) != len(outcomes):
            self.wrong.append("a key stands twice in the journal")
        if kinds["in_flight"]:
            self.wrong.append(f"{kinds['in_flight']} in flight, but no process lives")
        lossy, incomplete = self.server.losses()
        new, self._doubted = kinds["unconfirmed"] - self._doubted, kinds["unconfirmed"]
        callers: int = self.options["callers"]
        excused = lossy - self._losses[0] + (incomplete - self._losses[1]) * callers
        in_doubt = max(0, new - excused)
        if in_doubt > self._since * callers:
            self.wrong.append(f"{new} in doubt after {self._since} kills, {excused} of them for a fault")
        self.figures.in_doubt += in_doubt
        self._losses, self._since = (lossy, incomplete), 0
        for key, (kind, _) in self._known.items():
            if kind in FINAL | {"unconfirmed"} and key not in found:
                self.wrong.append(f"{key} was {kind}, and the journal does not know it")
        self._compare("the journal", found)
        return found

    def _compare(self, where: str, now: dict[str, Seen]) -> None:
        for key, (kind, more) in self._known.items():
            other = now.get(key, (kind, more))
            if (kind in FINAL and other != (kind, more)) or (kind == "unconfirmed" and other[0] != kind):
                self.wrong.append(f"{key} was {kind} {more}, and {where} says {other}")
        self._known |= now

    def check(self) -> None:
        """Check what was finished: who was sent what, and the outcome of every key."""
        found = self.look()
        truth = self.server.truth()
        once = list(dict(self.sends).values())
        self.wrong += twice(once, truth)
        for key, message in dict(self.sends).items():
            kind, more = found.get(key, ("none", ""))
            expected = "rejected" if is_rejected(message.to) else "accepted"
            if kind not in {expected, "unconfirmed"}:
                self.wrong.append(f"{key}: {kind}, where an uninterrupted run gives {expected}")
            [identity] = identities_of([message])
            if kind == "accepted" and more not in truth.ids.get(identity, ()):
                self.wrong.append(f"{key}: the id {more} is not its own")
        figures = self.figures
        figures.messages += len(once)
        figures.twice += len(twice(once, truth))
        figures.without += len(once) - len(found)
        figures.unconfirmed += sum(kind == "unconfirmed" for kind, _ in found.values())
        figures.lossy += truth.lossy.total()
        figures.posts += truth.posts
        figures.met += truth.met


async def _read(path: Path) -> list[Outcome]:
    async with SQLiteJournal(path) as journal:
        return [each async for each in journal.keys(None)]
