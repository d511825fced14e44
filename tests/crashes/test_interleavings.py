"""Random interleavings of claim, release, settle, kill and replay, at the level of the client, in virtual time."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import pytest
from chance import chance, seeds
from inputs import Input, identities_of, is_rejected
from virtual_lab import Ended, Service, read, run, twice

from devino_async import Message

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
# A twentieth of what FAULT_RUNS says: each is a whole campaign.
SHARE = 20
COUNT = 120
FINAL = frozenset({"accepted", "rejected"})
Seen = tuple[str, str]


def contradictions(before: Mapping[int, Seen], now: Mapping[int, Seen]) -> list[int]:
    """Where something final changed, or something in doubt no longer is."""
    settled = {at: each for at, each in before.items() if each[0] in FINAL | {"unconfirmed"}}
    return [at for at, each in now.items() if settled.get(at, each) != each]


class Model:
    """What must hold after every run, whatever happened in it."""

    def __init__(self, path: Path, service: Service, messages: Sequence[Message], *, only_new: bool) -> None:
        self._path, self._service, self._messages, self._only_new = path, service, messages, only_new
        self._known: dict[int, Seen] = {}
        self.places: dict[int, str] = {}

    def check(self, ended: Ended, in_flight: int) -> None:
        """Check one run and what it left in the journal."""
        assert not twice(self._messages, self._service)
        state, outcomes = read(self._path)
        now = {
            each.position: (str(each.state), each.message_id or "") for each in outcomes if each.position is not None
        }
        assert state is None or state.messages == len(now) == len(outcomes)
        told = ended.receipts
        if self._only_new:
            # Receipts stand in the order of the input, and places in the journal in that of the claims.
            assert not Counter(each for each in told if each[0] != "not_sent") - Counter(now.values())
        else:
            assert all(each[0] == "not_sent" or now[at] == each for at, each in enumerate(told))
            assert not contradictions(self._known, dict(enumerate(told)))
        assert not contradictions(self._known, now)
        assert all(at in now for at, (kind, _) in self._known.items() if kind in FINAL | {"unconfirmed"})
        self._check_doubt(ended, now, in_flight)
        self._known |= now

    def _check_doubt(self, ended: Ended, now: dict[int, Seen], in_flight: int) -> None:
        doubted = {at for at, (kind, _) in now.items() if kind == "unconfirmed" and self._known.get(at) != now[at]}
        assert len([at for at in doubted if self.places[at] not in self._service.lossy]) <= ended.open_
        assert ended.parts <= in_flight
        assert not any(kind == "in_flight" for kind, _ in now.values())

    def check_end(self, ended: Ended) -> None:
        """Check the last run: the whole stream is that of an uninterrupted one, but for what is in doubt."""
        assert len(ended.receipts) == len(self._messages)
        for message, (kind, message_id) in zip(self._messages, ended.receipts, strict=True):
            assert kind in {"rejected" if is_rejected(message.to) else "accepted", "unconfirmed"}
            assert kind != "accepted" or message_id in self._service.ids[identities_of([message])[0]]


def once(path: Path, seed: int) -> None:
    """One campaign with a few kills and leaves, then run to its end."""
    random: Random = chance(seed)
    service = Service(chance(seed + 1), trouble=random.choice((0.0, 0.15, 0.4)))
    messages = list(Input(seed, COUNT, twins=0.1).messages())
    only_new = random.random() < 0.5
    model = Model(path, service, messages, only_new=only_new)
    for _ in range(random.randrange(6)):
        in_flight = random.choice((1, 2, 4))
        ended = run(
            path,
            service,
            messages,
            random,
            batch_size=random.choice((7, 20, 33, 120)),
            in_flight=in_flight,
            only_new=only_new,
            places=model.places,
            dies_after=random.expovariate(2.0) if random.random() < 0.8 else None,
            leaves_after=random.randrange(1, COUNT) if random.random() < 0.3 else None,
        )
        model.check(ended, in_flight)
    service.trouble = 0.0
    for _ in range(3):
        ended = run(path, service, messages, random, batch_size=20, in_flight=2, only_new=only_new, places=model.places)
        model.check(ended, 2)
    model.check_end(ended)
    calls = service.calls
    again = run(path, service, messages, random, batch_size=50, in_flight=2, only_new=only_new)
    assert again.receipts == ended.receipts
    assert service.calls == calls


@pytest.mark.parametrize("group", range(10))
def test_interleavings(tmp_path: Path, group: int) -> None:
    """No message is sent twice or lost, what was seen was written, and only what was open at a kill is in doubt."""
    for seed in seeds(group)[::SHARE]:
        once(tmp_path / f"{seed}.journal", seed)
