"""A reordered input: each message gets what is recorded of it, and the work grows with the campaign, not its square."""

import random
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from loopback_service import Service, accept_all
from test_campaign import NAME, _cut, _refused, answers, kinds, messages, run, sent
from test_results import receipt, shown

from devino_async import Accepted, Message, NotSent, Receipt, Rejected, Unconfirmed
from devino_async.campaigns import JournalFailed, SQLiteJournal, scattered
from devino_async.campaigns.blobs import pack_bytes
from devino_async.campaigns.looking import Known, Looked, stretches, to_send
from devino_async.campaigns.results import Results, pack
from devino_async.campaigns.scattered import Scattered
from devino_async.campaigns.states import Mark, Record
from devino_async.flow.steps import Turns, at_once
from devino_async.protocol.receipt_runs import MixedRun, Receipts

MESSAGE = Message(sender="MyCompany", to="79001234567", text="secret text")


def recorded(token: str, positions: Sequence[int], some: Sequence[Receipt], moved: Sequence[int] = ()) -> Record:
    receipts = Receipts()
    receipts.ready(list(some))
    marks, results = at_once(pack(receipts))
    assert not moved or all(isinstance(some[place], NotSent) for place in moved)
    marks = bytes(Mark.MOVED if place in moved else mark for place, mark in enumerate(marks))
    return Record(token=token, positions=positions, fingerprints=b"", marks=marks, results=results)


class Parts:
    """As much of a journal as Scattered reads."""

    def __init__(self, *parts: Record) -> None:
        self._parts = parts

    async def recorded(self, name: str) -> int:
        return max((max(each.positions) + 1 for each in self._parts), default=0)

    async def records(self, name: str, start: int, stop: int) -> list[Record]:
        return [each for each in self._parts if any(start <= at < stop for at in each.positions)]


@pytest.mark.parametrize("window", [1, 3, 8_000])
@given(data=st.data())
async def test_any_positions_in_any_order(window: int, data: st.DataObject) -> None:
    """What is made for a chunk holds the receipts of its messages in its order. What has none may be sent."""
    made = [receipt(data.draw(st.sampled_from("arun")), number) for number in range(12)]
    order = data.draw(st.permutations(range(12)))
    cut = data.draw(st.integers(1, 11))
    parts = [recorded("one", order[:cut], made[:cut]), recorded("two", order[cut:], made[cut:])]
    # What was not sent has moved into a later part.
    places = [place for place, each in enumerate(made[:cut]) if isinstance(each, NotSent)]
    now: dict[int, Receipt] = dict(zip(order, made, strict=True))
    if places:
        later = [receipt("a", 100 + place) for place in places]
        parts[0] = recorded("one", order[:cut], made[:cut], places)
        parts.append(recorded("three", [order[place] for place in places], later))
        now.update(zip([order[place] for place in places], later, strict=True))
    whole = pytest.MonkeyPatch()
    with whole.context() as patch:
        patch.setattr(scattered, "_MIN_WINDOW", window)
        read = await Scattered.of(Parts(*parts), NAME, Turns())  # type: ignore[arg-type]
    wanted = data.draw(st.lists(st.sampled_from([-1, *range(12)]), unique=False, max_size=15))
    record = at_once(read.record(wanted, "token"))
    expected = [now[each] if each >= 0 else None for each in wanted]
    assert [mark in b"pn" for mark in record.marks] == [each is None or isinstance(each, NotSent) for each in expected]
    results = Results(record.marks, record.results)
    for place, each in enumerate(expected):
        if each is not None and not isinstance(each, NotSent):
            again = Receipts()
            at_once(results.replay(place, [MESSAGE], again))
            assert [(type(one), shown(one)) for one in again] == [(type(each), shown(each))]


class CountingJournal(SQLiteJournal):
    """Counts the parts that it hands out."""

    parts = 0

    async def records(self, name: str, start: int, stop: int) -> Sequence[Record]:
        found = await super().records(name, start, stop)
        self.parts += len(found)
        return found


@pytest.mark.parametrize("batches", [40, 80])
async def test_each_part_is_read_a_few_times(service: Service, tmp_path: Path, batches: int) -> None:
    """A reordered input reads each part of its campaign a few times, however many batches there are."""
    some = messages(20 * batches)
    async with CountingJournal(tmp_path / "sms.journal") as journal:
        await run(service, journal, some, batch_size=20)
        random.Random(14).shuffle(some)
        journal.parts = 0
        again = await run(service, journal, some, batch_size=20, only_new=True)
        assert [each.message for each in again] == some
        assert kinds(again) == [Accepted] * len(some)
        assert journal.parts <= 4 * batches
    assert len(sent(service)) == len(some)


@pytest.mark.parametrize("batch_size", [7, 100, 1_000])
async def test_every_kind_of_receipt(service: Service, tmp_path: Path, batch_size: int) -> None:
    """A reordered input with new messages in between gives each message its recorded receipt, and sends the rest."""

    async def some_rejected(request: Any, body: Any) -> Any:
        return web.json_response(
            {
                "result": [
                    {"code": "OK", "messageId": each["to"][1:], "segmentsId": ["1", "2"]}
                    if int(each["to"]) % 3
                    else {"code": "REJECTED", "description": "no", "reasons": [{"key": "k", "ref": each["to"][-4:]}]}
                    for each in body["messages"]
                ]
            }
        )

    service.answering = answers({0: some_rejected, 1: _cut, 2: _refused, 3: some_rejected, 4: accept_all})
    some = messages(500)
    async with SQLiteJournal(tmp_path / "sms.journal") as journal:
        first = {each.message.to: each for each in await run(service, journal, some, batch_size=100)}
        assert set(map(type, first.values())) == {Accepted, Rejected, Unconfirmed, NotSent}
        service.requests.clear()
        mixed = messages(700)
        random.Random(14).shuffle(mixed)
        again = await run(service, journal, mixed, batch_size=batch_size, only_new=True)
    assert [each.message for each in again] == mixed
    unsent = {each.message.to for each in first.values() if isinstance(each, NotSent)}
    assert sorted(sent(service)) == sorted(unsent | {each.to for each in mixed if each.to not in first})
    for each in again:
        before = first.get(each.message.to)
        if before is None or isinstance(before, NotSent):
            assert isinstance(each, Accepted)
        else:
            assert (type(each), shown(each)) == (type(before), shown(before))


async def test_damage_sends_nothing(service: Service, tmp_path: Path) -> None:
    """If results cannot be read, a reordered input ends with an error that says so, and nothing is sent."""
    some = messages(300)
    async with SQLiteJournal(tmp_path / "sms.journal") as journal:
        await run(service, journal, some, batch_size=100)
        service.requests.clear()
        # As packed as any other results, and valid JSON, but of another part.
        damage = recorded("x", range(2), [receipt("a", 1), receipt("a", 2)]).results
        await journal._together(
            lambda db: db.execute("UPDATE part SET results = ? WHERE id = 2", (pack_bytes(damage),))
        )
        some.reverse()
        with pytest.raises(JournalFailed, match="results of campaign"):
            await run(service, journal, [*some, *messages(50, first=300)], batch_size=100, only_new=True)
    assert not sent(service)


def steps_of(work: Generator[None, None, Any]) -> tuple[int, Any]:
    steps = 0
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return steps, ended.value
        steps += 1


async def test_the_steps_are_short() -> None:
    """The length of a step depends neither on the campaign nor on the batch: not of reading, finding, nor choosing."""
    count = 10_000
    some = [receipt("au"[number % 2], number) for number in range(count)]
    part = recorded("one", range(count), some)
    read = Scattered(count)
    assert steps_of(read._add(part))[0] >= count / scattered._MESSAGES_A_STEP
    steps, record = steps_of(read.record(range(count), "token"))
    assert steps >= count / scattered._MESSAGES_A_STEP - 1
    mixed = Record(token="t", positions=range(count), fingerprints=b"", marks=b"an" * (count // 2))
    looked = Looked([MESSAGE] * count, [], 0, range(count), bytes(8 * count), [Known(0, count, mixed, 0)], end=count)
    steps, (chosen, positions, fingerprints) = steps_of(to_send([looked]))
    assert steps >= count / 256 - 1
    assert (len(chosen), positions, len(fingerprints)) == (count // 2, [*range(1, count, 2)], 4 * count)
    assert len(list(stretches(looked))) == count
    assert steps_of(Results(record.marks, record.results).replay(0, [MESSAGE] * count, Receipts()))[0] >= count / 256


@given(st.lists(st.sampled_from("arun"), max_size=130))
def test_receipts_are_made_again(some: list[str]) -> None:
    """Receipts that are kept as plain values are equal to those that were added."""
    made = [receipt(kind, number) for number, kind in enumerate(some)]
    run = MixedRun([MESSAGE] * len(made))
    for each in made:
        run.append(each)
    assert run.receipts() == made
