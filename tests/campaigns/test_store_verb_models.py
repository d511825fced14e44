"""Random interleavings of every verb with claims, answers, callbacks, evidence and kills, against plain models.

The rules of claims and answers are those of test_store_models.py. STORE_EXAMPLES=300 tries more.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test
from stores import ADDRESS, part_of
from test_store_models import (
    EXAMPLES,
    KEYS,
    Campaigns,
    Keys,
    KnownCampaign,
    KnownPart,
    Machine,
    names,
    numbers,
    some_marks,
    some_positions,
)

from devino_async import StatusCallback
from devino_async.campaigns import CampaignBusy, JournalError
from devino_async.campaigns.evidence import InDoubt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
ways = st.sampled_from(("resend", "assume_sent"))
LONG_AGO = timedelta(seconds=-5)
"""Everything is older than that."""


def must_say(refusal: JournalError, words: str) -> None:
    assert words in str(refusal)


class Verbs(Campaigns):
    """Campaigns, with all that a person decides, and all that evidence shows."""

    def __init__(self) -> None:
        super().__init__()
        self.doubts: list[InDoubt] = []
        self.used: set[str] = set()

    def decide(self, number: int, name: str, verb: str, *arguments: Any) -> Any:
        """Call a verb. Returns None if the journal does not know the campaign, which is right."""
        try:
            return self.processes[number].call(verb, name, *arguments)
        except CampaignBusy:
            raise
        except JournalError as refusal:
            must_say(refusal, "no campaign")
            assert not self.known[name].begun
            return None

    @rule(number=numbers, name=names, positions=some_positions, marks=some_marks, complete=st.booleans())
    def a_whole_run(self, number: int, name: str, positions: tuple[int, ...], marks: str, complete: bool) -> None:
        """Claim and settle a part in one step, as verbs are about answers."""
        known = self.known[name]
        if known.owner is None:
            self.begin(number, name)
        run, owner = known.run, known.owner
        if run is None or owner is None or known.stopped or not known.may_be_claimed(positions):
            return
        count = len(positions)
        part = KnownPart(part_of(positions), run, owner, ["c"] * count, [""] * count, len(known.parts))
        self.processes[owner].call("claim", run, part.part)
        known.take(part)
        self.answered(part, marks)
        if complete:
            self.processes[owner].call("end", run, complete=True)
            known.run, known.owner, known.complete = None, None, True

    @rule(number=numbers, name=names, how=ways, named=st.none() | some_positions)
    def resolve(self, number: int, name: str, how: str, named: Any) -> None:
        found = self.decide(number, name, "resolve", how, named)
        changed = passed_over = 0
        for part in self.known[name].parts.values():
            arrived = {*part.marks} & {*"ar"}
            for at, position in enumerate(part.part.positions):
                if part.marks[at] != "u" or (named is not None and position not in named):
                    continue
                if how == "resend" and arrived and named is None:
                    passed_over += 1
                else:
                    part.marks[at] = "p" if how == "resend" else "s"
                    changed += 1
        assert found is None or found == (changed, passed_over)

    @rule(number=numbers, name=names, data=st.data())
    def reopen(self, number: int, name: str, data: st.DataObject) -> None:
        parts = self.known[name].parts.values()
        said = sorted({told for part in parts for told, mark in zip(part.said, part.marks, strict=True) if mark == "r"})
        chosen = {each for each in said if data.draw(st.booleans())}
        found = self.decide(number, name, "reopen", [f"to.invalid.{each}" for each in chosen])
        places = [(part, at) for part in parts for at, mark in enumerate(part.marks) if mark == "r"]
        places = [(part, at) for part, at in places if part.said[at] in chosen]
        for part, at in places:
            part.marks[at] = "n"
        assert found in (None, len(places))

    @rule(number=numbers, name=names, verb=st.sampled_from(("pause", "unpause", "unpause")))
    def pause(self, number: int, name: str, verb: str) -> None:
        self.decide(number, name, verb)
        if self.known[name].begun:
            self.known[name].paused = verb == "pause"

    @rule(number=numbers, name=names, really=st.integers(0, 3))
    def cancel(self, number: int, name: str, really: int) -> None:
        # Seldom, as it is final.
        if really == 0:
            self.decide(number, name, "cancel")
            self.known[name].cancelled = self.known[name].begun

    @rule(number=numbers, name=names, even_unconfirmed=st.booleans(), really=st.integers(0, 3))
    def forget(self, number: int, name: str, even_unconfirmed: bool, really: int) -> None:
        known = self.known[name]
        if really or not known.begun:
            return
        marks = [mark for part in known.parts.values() for mark in part.marks]
        try:
            found = self.processes[number].call("forget", name, even_unconfirmed)
        except CampaignBusy:
            assert known.owner is not None
        except JournalError as refusal:
            must_say(refusal, "reconcile or resolve them first")
            assert {*marks} & {*"uc"}
            assert not even_unconfirmed
        else:
            assert known.owner is None
            assert even_unconfirmed or not {*marks} & {*"uc"}
            assert found == len(marks) - marks.count("m")
            self.known[name] = KnownCampaign(forgotten=True)

    @rule(number=numbers)
    def prune(self, number: int) -> None:
        found = self.processes[number].call("prune", LONG_AGO)
        finished = [
            name
            for name, known in self.known.items()
            if known.complete
            and known.owner is None
            and not {mark for part in known.parts.values() for mark in part.marks} & {*"pcnu"}
        ]
        assert found == (len(finished), 0)
        self.known |= {name: KnownCampaign(forgotten=True) for name in finished}

    @rule(number=numbers)
    def look(self, number: int) -> None:
        """Each part in doubt is yielded with its messages. What was never claimed is not."""
        self.doubts = self.processes[number].call("evidence.in_doubt", ADDRESS)
        found = {each.token: ("".join(map(str, each.positions)), each.arrived) for each in self.doubts}
        parts = [part for known in self.known.values() for part in known.parts.values()]
        expected = {}
        for part in parts:
            open_ = [at for at, mark in zip(part.part.positions, part.marks, strict=True) if mark in "uc"]
            if open_ and part.was_claimed:
                expected[part.part.token] = "".join(map(str, open_)), "a" in part.marks
        assert found == expected

    @rule(number=numbers, data=st.data(), looks_first=st.booleans())
    def settle_found(self, number: int, data: st.DataObject, looks_first: bool) -> None:
        """What was found is settled if it is in doubt still, and the id is new."""
        if looks_first:
            self.look(number)
        if not self.doubts:
            return
        doubt = data.draw(st.sampled_from(self.doubts))
        places = [each for each in doubt.places if data.draw(st.booleans())]
        found = {place: self.an_id(data) for place in places}
        if len({*found.values()}) < len(found):
            return
        settled = self.processes[number].call("evidence.settle", doubt, found)
        assert settled == self.take_ids(self.part_named(doubt.token), found, "u")

    @rule(number=numbers, data=st.data(), place=st.integers(0, 6))
    def called_back(self, number: int, data: st.DataObject, place: int) -> None:
        """A callback settles what is in doubt, under way or planned again, whoever sends it."""
        parts = [part for known in self.known.values() for part in known.parts.values()]
        token = data.draw(st.sampled_from([*(each.part.token for each in parts), "0" * 32]))
        message_id = self.an_id(data)
        event = StatusCallback(
            message_id=message_id,
            timestamp=datetime.now(UTC),
            status="DELIVERED",
            options={"dv_ref": f"{token}-{place}"},
        )
        self.processes[number].call("on_status", [event])
        self.take_ids(self.part_named(token), {place: message_id}, "cup")

    def an_id(self, data: st.DataObject) -> str:
        """A new id mostly, and one that was used now and then."""
        if self.used and data.draw(st.integers(0, 2)) == 0:
            return data.draw(st.sampled_from(sorted(self.used)))
        self.answers += 1
        return f"9{self.answers:05}"

    def part_named(self, token: str) -> KnownPart | None:
        return next((known.parts[token] for known in self.known.values() if token in known.parts), None)

    def take_ids(self, part: KnownPart | None, found: dict[int, str], is_open: str) -> frozenset[int]:
        settled = set()
        for place, each in found.items():
            if part is None or place >= len(part.marks) or part.marks[place] not in is_open or each in self.used:
                continue
            self.used.add(each)
            part.marks[place], part.said[place] = "a", f"={each}"
            # Its release would contradict what was found, and changes nothing.
            part.taken = True
            settled.add(place)
        return frozenset(settled)

    @invariant()
    def decided(self) -> None:
        """What was decided is shown, and nothing else."""
        for each in self.watcher.call("campaigns"):
            known = self.known[each.name]
            marks = [mark for part in known.parts.values() for mark in part.marks]
            assert each.assumed_sent == marks.count("s")
            assert (each.paused, each.cancelled) == (known.paused, known.cancelled)


class KeyVerbs(Keys):
    """Keyed sends, with what a person decides and what evidence shows."""

    @rule(number=numbers, key=st.sampled_from(KEYS), how=ways)
    def resolve(self, number: int, key: str, how: str) -> None:
        mark, token, _ = self.known.get(key, ("", "", ""))
        try:
            changed = self.processes[number].call("resolve_key", key, how)
        except JournalError:
            assert not mark
            return
        assert changed == (mark == "u")
        if changed:
            self.known[key] = ("p" if how == "resend" else "s", token, "")

    @rule(number=numbers)
    def prune(self, number: int) -> None:
        gone = [key for key, (mark, *_) in self.known.items() if mark not in "uc"]
        assert self.processes[number].call("prune", LONG_AGO) == (0, len(gone))
        for key in gone:
            del self.known[key]

    @rule(number=numbers, data=st.data())
    def settle_found(self, number: int, data: st.DataObject) -> None:
        doubts = self.processes[number].call("evidence.in_doubt", ADDRESS)
        assert sorted(key for each in doubts for key in each.keys) == sorted(
            key for key, (mark, *_) in self.known.items() if mark in "uc"
        )
        for doubt in doubts:
            places = [each for each in doubt.places if data.draw(st.booleans())]
            self.answers += 1
            found = {place: f"1{self.answers}-{place}" for place in places}
            settled = self.processes[number].call("evidence.settle", doubt, found)
            assert settled == {place for place in places if self.known[doubt.keys[place]][0] == "u"}
            for place in settled:
                key = doubt.keys[place]
                self.known[key] = ("a", self.known[key][1], found[place][1:])


@pytest.mark.parametrize("machine", [Verbs, KeyVerbs])
def test_any_order_of_verbs(machine: type[Machine]) -> None:
    """In whatever order verbs, claims, answers and kills come, the store agrees with the model."""
    rules = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        derandomize=True,
    )
    run_state_machine_as_test(machine, settings=rules)
