"""Random interleavings of claim, release, settle, kill and replay, in several real processes, against plain models.

The models hold the rules of the design: a message is in one state and the counts add up, a message returns to planned
only by proof, what is in doubt is never claimed, and a refused step changes nothing.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

sys.path.insert(0, str(Path(__file__).parent))

from stores import ADDRESS, LATER, Process, SQLiteStores, answer, keyed, keyed_outcome, outcome_of, part_of

from devino_async.campaigns import (
    CampaignBusy,
    CampaignCancelled,
    CampaignForgotten,
    CampaignPaused,
    JournalFailed,
    Outcome,
    State,
)
from devino_async.campaigns.states import STATES, Part, Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")

# The suite tries few. STORE_EXAMPLES=300 takes some minutes.
EXAMPLES = int(os.environ.get("STORE_EXAMPLES", "8"))
PROCESSES = 3
MESSAGES = 7
NAMES = ("one", "two")
numbers = st.integers(0, PROCESSES - 1)
names = st.sampled_from(NAMES)
some_positions = st.lists(st.integers(0, MESSAGES - 1), min_size=1, max_size=MESSAGES, unique=True).map(tuple)
some_marks = st.lists(st.sampled_from("arnu"), min_size=MESSAGES, max_size=MESSAGES).map("".join)


@define
class KnownPart:
    """What the model knows about a part: the mark of each message, and which answer its result is from."""

    part: Part
    run: Run
    owner: int
    marks: list[str]
    said: list[str]
    number: int
    taken: bool = False
    was_claimed: bool = True


@define
class KnownCampaign:
    """What the model knows of a campaign. `owner` is the process of the run that is under way."""

    run: Run | None = None
    owner: int | None = None
    runs: list[tuple[int, Run]] = field(factory=list)
    complete: bool = False
    begun: bool = False
    paused: bool = False
    cancelled: bool = False
    forgotten: bool = False
    parts: dict[str, KnownPart] = field(factory=dict)

    @property
    def stopped(self) -> bool:
        return self.paused or self.cancelled

    def place_of(self, position: int) -> tuple[KnownPart, int] | None:
        found = [
            (each, at)
            for each in self.parts.values()
            for at, place in enumerate(each.part.positions)
            if place == position and each.marks[at] != "m"
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def may_be_claimed(self, positions: Any) -> bool:
        places = [self.place_of(each) for each in positions]
        return all(place is None or place[0].marks[place[1]] in "pn" for place in places)

    def take(self, known: KnownPart) -> None:
        for position in known.part.positions:
            place = self.place_of(position)
            if place:
                place[0].marks[place[1]] = "m"
        self.parts[known.part.token] = known


class Machine(RuleBasedStateMachine):
    """Journals in processes, all on one store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.stores = SQLiteStores(Path(self.folder.name))
        self.processes = [Process(self.stores) for _ in range(PROCESSES)]
        self.watcher = Process(self.stores)
        self.answers = 0

    def teardown(self) -> None:
        for each in (*self.processes, self.watcher):
            each.kill()
        self.folder.cleanup()

    def restarted(self, number: int) -> None:
        self.processes[number] = Process(self.stores)


def outcome_told(position: int, mark: str, said: str) -> Outcome:
    """The outcome of a message with this mark, which an answer, or an id that was found ("=..."), gave it."""
    if mark == "a" and said.startswith("="):
        return Outcome(position=position, state=State.ACCEPTED, message_id=said[1:])
    return outcome_of(position, mark, said) if mark in "ar" else Outcome(position=position, state=STATES[ord(mark)])


class Campaigns(Machine):
    """Campaigns against KnownCampaign."""

    def __init__(self) -> None:
        super().__init__()
        self.known = {name: KnownCampaign() for name in NAMES}

    def live_parts(self) -> list[tuple[KnownCampaign, KnownPart]]:
        """The parts whose process still runs, so that it can release or settle them."""
        return [(each, part) for each in self.known.values() for part in each.parts.values() if part.owner >= 0]

    def a_part(self, data: st.DataObject) -> tuple[KnownCampaign, KnownPart] | None:
        parts = self.live_parts()
        return data.draw(st.sampled_from(parts)) if parts else None

    def a_run(self, data: st.DataObject) -> tuple[KnownCampaign, int, Run] | None:
        runs = [(each, *one) for each in self.known.values() for one in each.runs]
        # The last runs more often: earlier ones are refused.
        return data.draw(st.sampled_from(runs[-4:])) if runs else None

    @rule(number=numbers, name=names)
    def begin(self, number: int, name: str) -> None:
        known = self.known[name]
        try:
            run = self.processes[number].call("begin", name, ADDRESS)
        except CampaignBusy:
            assert known.owner is not None
            return
        except CampaignForgotten:
            assert known.forgotten
            return
        except CampaignPaused:
            assert known.paused
            assert not known.cancelled
            return
        assert not known.forgotten
        assert known.cancelled or not known.paused
        assert known.owner is None
        assert run.recorded == max((max(each.part.positions) + 1 for each in known.parts.values()), default=0)
        known.run, known.owner, known.begun = run, number, True
        known.runs.append((number, run))

    @rule(data=st.data(), complete=st.booleans())
    def end(self, data: st.DataObject, complete: bool) -> None:
        found = self.a_run(data)
        if found:
            known, number, run = found
            self.processes[number].call("end", run, complete=complete)
            if known.run is run:
                known.run = known.owner = None
                known.complete |= complete

    @rule(data=st.data(), positions=some_positions)
    def claim(self, data: st.DataObject, positions: tuple[int, ...]) -> None:
        found = self.a_run(data)
        if not found:
            return
        known, number, run = found
        part = part_of(range(min(positions), max(positions) + 1) if data.draw(st.booleans()) else positions)
        try:
            self.processes[number].call("claim", run, part)
        except CampaignBusy:
            assert known.run is not run
        except (CampaignPaused, CampaignCancelled):
            assert known.stopped
        except JournalFailed:
            assert not known.may_be_claimed(part.positions)
        else:
            assert known.run is run
            assert not known.stopped
            assert known.may_be_claimed(part.positions)
            count = len(part.positions)
            known.take(KnownPart(part, run, number, ["c"] * count, [""] * count, len(known.parts)))

    @rule(data=st.data())
    def claim_again(self, data: st.DataObject) -> None:
        found = self.a_part(data)
        if not found:
            return
        known, part = found
        try:
            self.processes[part.owner].call("claim", part.run, part.part)
        except CampaignBusy:
            assert known.run is not part.run
        except (CampaignPaused, CampaignCancelled):
            assert known.stopped
        except JournalFailed:
            assert {*part.marks} - {*"pnc"}
        else:
            assert known.run is part.run
            # What is still claimed may be claimed again by its own token: a release of it may have failed.
            assert not {*part.marks} - {*"pnc"}
            part.marks = ["c"] * len(part.marks)
            part.taken, part.was_claimed = False, True

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        found = self.a_part(data)
        if found and not found[1].taken:
            _, part = found
            self.processes[part.owner].call("release", part.run, part.part.token)
            part.marks = ["p" if each == "c" else each for each in part.marks]

    @rule(data=st.data(), marks=some_marks)
    def settle(self, data: st.DataObject, marks: str) -> None:
        found = self.a_part(data)
        if found:
            self.answered(found[1], marks)

    def answered(self, part: KnownPart, marks: str) -> None:
        """Settle a part with an answer of its own process."""
        self.answers += 1
        said = str(self.answers)
        marks = marks[: len(part.marks)]
        packed = answer(part.part.positions, marks, said)
        self.processes[part.owner].call("settle", part.run, part.part, *packed)
        part.taken = True
        for at, mark in enumerate(marks):
            if part.marks[at] in "cup":
                part.marks[at], part.said[at] = mark, said

    @rule(data=st.data(), positions=some_positions, marks=some_marks)
    def settle_without_claim(self, data: st.DataObject, positions: tuple[int, ...], marks: str) -> None:
        found = self.a_run(data)
        if not found:
            return
        known, number, run = found
        self.answers += 1
        said, marks, part = str(self.answers), marks[: len(positions)], part_of(positions)
        try:
            self.processes[number].call("settle", run, part, *answer(positions, marks, said))
        except CampaignBusy:
            assert known.run is not run
        except JournalFailed:
            assert not known.may_be_claimed(positions)
        else:
            assert known.run is run
            assert known.may_be_claimed(positions)
            count = len(positions)
            known.take(
                KnownPart(part, run, number, [*marks], [said] * count, len(known.parts), taken=True, was_claimed=False)
            )

    def ended(self, number: int) -> None:
        for known in self.known.values():
            known.runs = [each for each in known.runs if each[0] != number]
            if known.owner == number:
                known.run = known.owner = None
            for part in known.parts.values():
                if part.owner == number:
                    part.owner = -1
                    part.marks = ["u" if each == "c" else each for each in part.marks]

    @rule(number=numbers)
    def die(self, number: int) -> None:
        self.processes[number].kill()
        self.ended(number)
        self.restarted(number)

    @rule(number=numbers)
    def close(self, number: int) -> None:
        self.processes[number].close()
        self.ended(number)
        self.restarted(number)

    @invariant()
    def figures(self) -> None:
        """Each message is in one state, and the counts add up."""
        states = {each.name: each for each in self.watcher.call("campaigns")}
        assert {*states} == {name for name, known in self.known.items() if known.begun}
        for name, state in states.items():
            known = self.known[name]
            marks = [mark for each in known.parts.values() for mark in each.marks if mark != "m"]
            assert state.messages == len(marks)
            found = (state.in_flight, state.planned, state.accepted, state.rejected, state.not_sent, state.unconfirmed)
            assert found == tuple(map(marks.count, "cparnu"))
            assert state.complete == known.complete

    @invariant()
    def replay(self) -> None:
        """The recorded outcome of each message is the one that its own answer gave."""
        for name, known in self.known.items():
            expected = []
            for position in range(MESSAGES):
                place = known.place_of(position)
                if place:
                    expected.append(outcome_told(position, place[0].marks[place[1]], place[0].said[place[1]]))
            if expected:
                assert self.watcher.call("outcomes", name) == expected
            for start, stop in ((0, MESSAGES), (2, 4)):
                records = self.watcher.call("records", name, start, stop)
                parts = [
                    each
                    for each in sorted(
                        known.parts.values(),
                        key=lambda one: (min(one.part.positions), max(one.part.positions), one.number),
                    )
                    if any(
                        start <= at < stop and mark != "m"
                        for at, mark in zip(each.part.positions, each.marks, strict=True)
                    )
                ]
                assert [each.token for each in records] == [each.part.token for each in parts]
                assert [each.marks.decode() for each in records] == ["".join(each.marks) for each in parts]
                assert [list(each.positions) for each in records] == [list(each.part.positions) for each in parts]
                assert [each.fingerprints for each in records] == [each.part.fingerprints for each in parts]


KEYS = ("a", "b", "c")
some_keys = st.sets(st.sampled_from(KEYS), min_size=1).map(sorted)


class Keys(Machine):
    """Keyed sends against a dict of key -> mark, token, and which answer its result is from."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, tuple[str, str, str]] = {}
        self.owners: dict[str, int] = {}

    @rule(number=numbers, keys=some_keys)
    def claim(self, number: int, keys: list[str]) -> None:
        self.claim_as(str(len(self.owners)), number, keys)

    def claim_as(self, token: str, number: int, keys: list[str]) -> None:
        taken = {
            key
            for key in keys
            if key in self.known and self.known[key][0] not in "pn" and self.known[key][:2] != ("c", token)
        }
        found = self.processes[number].call("claim_keys", token, ADDRESS, [keyed(key) for key in keys], LATER)
        assert {*found} == taken
        assert all(found[key].state is STATES[ord(self.known[key][0])] for key in taken)
        self.owners[token] = number
        if not taken:
            self.known.update(dict.fromkeys(keys, ("c", token, "")))

    @rule(data=st.data(), keys=some_keys)
    @precondition(lambda self: any(each >= 0 for each in self.owners.values()))
    def claim_again(self, data: st.DataObject, keys: list[str]) -> None:
        token = self.a_token(data)
        self.claim_as(token, self.owners[token], keys)

    def a_token(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([token for token, number in self.owners.items() if number >= 0][-3:]))

    @rule(data=st.data())
    @precondition(lambda self: any(each >= 0 for each in self.owners.values()))
    def release(self, data: st.DataObject) -> None:
        token = self.a_token(data)
        self.processes[self.owners[token]].call("release_keys", token)
        for key, (mark, owner, _) in self.known.items():
            if (mark, owner) == ("c", token):
                self.known[key] = ("p", token, "")

    @rule(data=st.data(), keys=some_keys, marks=some_marks)
    @precondition(lambda self: any(each >= 0 for each in self.owners.values()))
    def settle(self, data: st.DataObject, keys: list[str], marks: str) -> None:
        token = self.a_token(data)
        self.answers += 1
        said = str(self.answers)
        outcomes = {key: keyed_outcome(mark, said) for key, mark in zip(keys, marks, strict=False)}
        self.processes[self.owners[token]].call("settle_keys", token, outcomes)
        for key, mark in zip(keys, marks, strict=False):
            before = self.known.get(key)
            if before and before[1] == token and before[0] in "cup":
                self.known[key] = (mark, token, said)

    @rule(number=numbers, kills=st.booleans())
    def end(self, number: int, kills: bool) -> None:
        if kills:
            self.processes[number].kill()
        else:
            self.processes[number].close()
        for key, (mark, token, _) in self.known.items():
            if mark == "c" and self.owners[token] == number:
                self.known[key] = ("u", token, "")
        self.owners = {token: -1 if owner == number else owner for token, owner in self.owners.items()}
        self.restarted(number)

    @invariant()
    def look_up(self) -> None:
        """Each key has the state and the results of the last answer to its own claim."""
        found = self.watcher.call("find_keys", KEYS)
        assert {key: each.state for key, each in found.items()} == {
            key: STATES[ord(mark)] for key, (mark, _, _) in self.known.items()
        }
        listed = {each.key: each for each in self.watcher.call("keys")}
        assert list(listed) == sorted(self.known)
        for key, (mark, _, said) in self.known.items():
            assert listed[key].message_id == (f"1{said}" if mark == "a" else None)
        accepted = [key for key in sorted(self.known) if self.known[key][0] == "a"]
        assert [each.key for each in self.watcher.call("keys", State.ACCEPTED)] == accepted


@pytest.mark.parametrize("machine", [Campaigns, Keys])
def test_any_order_of_steps(machine: type[Machine]) -> None:
    """In whatever order steps, kills and new processes come, the store agrees with the model."""
    rules = settings(
        max_examples=EXAMPLES,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    run_state_machine_as_test(machine, settings=rules)
