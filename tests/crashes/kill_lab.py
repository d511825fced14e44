"""Runs a campaign whose process is killed again and again, the same each time, and checks what is left after each kill.

`wrong` lists every broken promise. It knows nothing of how the SDK decides: it compares receipts, the journal and what
the server counted.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from chance import chance
from counting import Truth
from counting_server import CountingServer
from inputs import Input, allowed, identities_of, is_rejected
from moments import SIGNALS, Figures, Kill
from processes import GIVE_UP, Child, child
from programs import Campaign, run_campaign

from devino_async import Message
from devino_async.campaigns import CampaignState, Outcome, SQLiteJournal

MAX_RUNS = 30
"""How many runs without a kill may end early, each for trouble with the service."""
FINAL = frozenset({"accepted", "rejected"})
Seen = tuple[str, str]
"""A kind, and the id or the reasons."""


class KillLab:
    """One campaign in a folder of its own, against one server."""

    program: Callable[[Any, Any], None] = staticmethod(run_campaign)
    finished = frozenset({0})
    name = "kills"
    signals: Sequence[int] = SIGNALS
    environment: Mapping[str, str] | None = None
    by_content = False

    def __init__(self, folder: Path, server: CountingServer, given: Input, *, seed: int, **options: Any) -> None:
        self.server = server
        self.given = given
        self._expected = given.count
        self.random = chance(seed)
        self.saw = str(folder / "saw.txt")
        self.journal = folder / "sms.journal"
        self.options = {"batch_size": 250, "in_flight": 4, **options}
        self.wrong: list[str] = []
        self.figures = Figures(campaigns=1)
        # By position: in the journal, and in the input. They are the same unless messages are recognised by content.
        self._known: dict[int, Seen] = {}
        self._seen: dict[int, Seen] = {}
        self._ids: set[str] = set()
        self.by_content: bool = self.by_content or self.options.get("only_new", False)
        identities = identities_of(given.messages())
        counts = Counter(identities)
        self._twins = {at for at, each in enumerate(identities) if counts[each] > 1} if self.by_content else set[int]()
        self._since = self._doubted = 0
        self._losses = (0, 0)

    @property
    def most_in_flight(self) -> int:
        """How many messages one kill may leave in doubt."""
        most: int = self.options["batch_size"] * self.options["in_flight"]
        return most

    def job(self, **changes: Any) -> Any:
        """One run of the campaign."""
        return Campaign(
            **{
                "url": self.server.url,
                "journal": str(self.journal),
                "name": self.name,
                "input": self.given,
                "saw": self.saw,
                **self.options,
                **changes,
            }
        )

    # Running

    def until_finished(self, kills: Iterator[Kill]) -> None:
        """Run it, each time with a kill while there are any and then without, until everything has its outcome."""
        for kill in chain(kills, repeat(None, MAX_RUNS)):
            status = self.run(kill)
            if self.is_finished(status):
                return
        self.wrong.append(f"not finished by {MAX_RUNS} runs without a kill; the last ended in {status}")

    def is_finished(self, status: int) -> bool:
        """Whether the run that ended with this status has left nothing to do."""
        receipts = self.receipts()
        is_whole = status in self.finished and len(receipts) == self._expected
        return is_whole and all(kind != "not_sent" for kind, _ in receipts.values())

    def run(self, kill: Kill | None = None, **changes: Any) -> int:
        """Run it once and check what it left. Return its exit status."""
        job = self.job(trap=kill.trap if kill else None, **changes)
        with child(self.program, job, self.environment) as process:
            if kill is not None and kill.how == "server":
                self.server.alert(kill.number, kill.phase)
            process.go()
            if kill is not None:
                strike(process, kill, self.server)
            status = process.end()
        self.figures.runs += 1
        if kill is not None and status < 0:
            self.figures.kills[f"{signal.Signals(-status).name} {kill.how}"] += 1
            self._since += 1
            self.died()
        elif kill is not None and status > 128:
            # It closed its client before it ended, so nothing may be in doubt for it.
            self.figures.kills[f"{signal.Signals(status - 128).name}, closed, {kill.how}"] += 1
        self._compare_receipts()
        # Not each time: burying the dead is then left to the next run.
        if self.random.random() < 0.5:
            self.look()
        return status

    def died(self) -> None:
        """Do what else happens at a kill."""

    # Reading

    def receipts(self) -> dict[int, Seen]:
        """The receipts that the last run gave, by position. The last line may be cut."""
        return {int(position): (kind, more) for position, kind, more in self._lines() if position != "!"}

    def errors(self) -> list[tuple[str, str]]:
        """The errors that the last run ended with: the class and the text."""
        return [(kind, text) for position, kind, text in self._lines() if position == "!"]

    def _lines(self) -> Iterator[list[str]]:
        path = Path(self.saw)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                yield line[:-1].split("\t")

    def look(self) -> tuple[CampaignState | None, list[Outcome]]:
        """Read the journal while no run is under way, and check it against all that was known before."""
        state, outcomes = asyncio.run(read_journal(self.journal, self.name))
        self.figures.looks += 1
        if state is None:
            if self._known:
                self.wrong.append("the journal forgot the campaign")
            return None, []
        kinds = Counter(str(each.state) for each in outcomes)
        told = {
            kind: getattr(state, kind)
            for kind in ("accepted", "rejected", "not_sent", "unconfirmed", "assumed_sent", "in_flight", "planned")
        }
        if sum(told.values()) != state.messages or {k: v for k, v in told.items() if v} != dict(kinds):
            self.wrong.append(f"the counts do not add up: {state.messages} messages, {told}, outcomes {dict(kinds)}")
        positions = [each.position for each in outcomes]
        if positions != sorted({*positions}):
            self.wrong.append("a position stands twice in the journal, or out of order")
        if state.in_flight:
            self.wrong.append(f"{state.in_flight} in flight, but no process lives")
        self._check_doubt(outcomes)
        self._compare_journal(outcomes)
        return state, outcomes

    # Checking

    def _check_doubt(self, outcomes: Sequence[Outcome]) -> None:
        """After a kill, what is newly in doubt is at most what was in flight, apart from what met a lossy fault."""
        lossy, incomplete = self.server.losses()
        doubted = sum(each.state == "unconfirmed" for each in outcomes)
        new, self._doubted = doubted - self._doubted, doubted
        excused = lossy - self._losses[0] + (incomplete - self._losses[1]) * self.options["batch_size"]
        in_doubt = max(0, new - excused)
        if in_doubt > self._since * self.most_in_flight:
            self.wrong.append(f"{new} in doubt after {self._since} kills, {excused} of them for a fault")
        if self._since:
            self.figures.in_doubt += in_doubt
            self.figures.most_in_doubt = max(self.figures.most_in_doubt, in_doubt // self._since)
        self._losses, self._since = (lossy, incomplete), 0

    def _compare_receipts(self) -> None:
        """What one run gave as final is final in all others, and what was in doubt stays in doubt.

        Where messages are recognised by content, equal ones may change places. All others keep their receipts.
        """
        receipts = {at: seen for at, seen in self.receipts().items() if seen[0] != "unlooked"}
        known = self._seen if self.by_content else self._known
        self.wrong += contradictions("a receipt", known, receipts, but=self._twins)
        known |= receipts
        self._ids |= {more for kind, more in receipts.values() if kind == "accepted"}

    def _compare_journal(self, outcomes: Sequence[Outcome]) -> None:
        """What was final stays as it was. Whatever was seen stands in the journal."""
        now = {each.position: seen_in(each) for each in outcomes if each.position is not None}
        self.wrong += contradictions("the journal", self._known, now)
        for position, (kind, _) in self._known.items():
            if position not in now and kind in FINAL | {"unconfirmed"}:
                self.wrong.append(f"{position} was {kind}, and the journal does not know it")
        self._known |= now
        lost = self._ids - {more for kind, more in now.values() if kind == "accepted"}
        if lost:
            self.wrong.append(f"{len(lost)} messages were seen as accepted, and the journal does not say so")

    def check(self) -> Truth:
        """Check the finished campaign: who was sent what, and the whole stream of receipts."""
        messages = list(self.given.messages())
        final = self.receipts()
        state, outcomes = self.look()
        truth = self.server.truth()
        self._check_stream(messages, final, truth)
        recorded = [seen_in(each) for each in outcomes]
        told = [final[at] for at in sorted(final)]
        if (sorted(recorded) != sorted(told)) if self.by_content else (recorded != told):
            self.wrong.append("the stream and the journal differ")
        if state is not None and (state.messages != len(messages) or not state.complete):
            self.wrong.append(f"the journal has {state.messages} of {len(messages)} messages")
        posts = truth.posts
        if not self.is_finished(self.run()) or self.receipts() != final:
            self.wrong.append("a finished campaign that ran again gave another stream")
        if self.server.posts() != posts:
            self.wrong.append("a finished campaign that ran again sent something")
        self._count(messages, final, truth)
        return truth

    def _check_stream(self, messages: Sequence[Message], final: Mapping[int, Seen], truth: Truth) -> None:
        self.wrong += twice(messages, truth)
        if sorted(final) != list(range(len(messages))):
            self.wrong.append(f"{len(final)} receipts for {len(messages)} messages")
        given: set[str] = set()
        for position, (identity, message) in enumerate(zip(identities_of(messages), messages, strict=True)):
            kind, more = final.get(position, ("none", ""))
            expected = "rejected" if is_rejected(message.to) else "accepted"
            if kind not in {expected, "unconfirmed"}:
                self.wrong.append(f"{position}: {kind}, where an uninterrupted run gives {expected}")
            if kind == "accepted" and (more in given or more not in truth.ids.get(identity, ())):
                self.wrong.append(f"{position}: the id {more} is not its own")
            given.add(more)

    def _count(self, messages: Sequence[Message], final: Mapping[int, Seen], truth: Truth) -> None:
        figures = self.figures
        figures.messages += len(messages)
        figures.twice += len(twice(messages, truth))
        figures.without += len(messages) - len(final)
        figures.unconfirmed += sum(kind == "unconfirmed" for kind, _ in final.values())
        figures.lossy += truth.lossy.total()
        figures.posts += truth.posts
        figures.met += truth.met


def contradictions(
    where: str, before: Mapping[int, Seen], now: Mapping[int, Seen], but: Container[int] = ()
) -> Iterator[str]:
    """Every place where something final changed, or something in doubt no longer is."""
    for at, (kind, more) in now.items():
        was = before.get(at)
        if was is None or at in but:
            continue
        if (was[0] in FINAL and was != (kind, more)) or (was[0] == "unconfirmed" and kind != was[0]):
            yield f"{at} was {' '.join(was)}, and {where} says {kind} {more}"


def strike(process: Child, kill: Kill, server: CountingServer) -> None:
    """Kill a process that has just begun, at the moment that was chosen for it."""
    if kill.how == "statement":
        # It kills itself, or ends before that statement.
        return
    if kill.how == "server":
        process.ends_within(GIVE_UP, server.events)
        server.alert(0, None)
    process.ends_within(kill.delay)
    process.signal(kill.signal)


def seen_in(outcome: Outcome) -> Seen:
    """What a receipt of this outcome shows."""
    return str(outcome.state), outcome.message_id or ",".join(map(str, outcome.reasons))


def twice(messages: Sequence[Message], truth: Truth) -> list[str]:
    """Every message that the server accepted more often than it stands in the input, or that nobody wanted to send."""
    wanted = allowed(messages)
    return [
        f"{identity.rpartition(' ')[2]}: accepted {len(ids)} times, wanted {wanted[identity]} times"
        for identity, ids in truth.ids.items()
        if len(ids) > wanted[identity]
    ]


async def read_journal(path: Path, name: str) -> tuple[CampaignState | None, list[Outcome]]:
    """Return what a journal knows of a campaign."""
    async with SQLiteJournal(path) as journal:
        found = [each for each in await journal.campaigns() if each.name == name]
        return (found[0], [each async for each in journal.outcomes(name)]) if found else (None, [])
