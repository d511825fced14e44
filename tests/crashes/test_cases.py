"""What happens to campaigns in real life, case by case: every run is a process, and many of them are killed."""

import signal
import sys
from pathlib import Path

import pytest
from case_lab import CaseLab, Ended, numbered
from counting import Truth
from counting_server import CountingServer, counting_server
from inputs import Stuck, identities_of, is_rejected
from programs import ENDED_EARLY

from devino_async import Message

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
COUNT = 500
MESSAGES = numbered(*range(COUNT))
BAD = next(number for number, each in enumerate(MESSAGES) if is_rejected(each.to))


@pytest.fixture
def case(tmp_path: Path, server: CountingServer) -> CaseLab:
    return CaseLab(tmp_path, server)


def accepted_by_identity(messages: list[Message], ended: Ended) -> dict[str, str]:
    """The id of each accepted message."""
    return {
        identity: message_id
        for identity, (kind, message_id) in zip(identities_of(messages), ended.receipts, strict=True)
        if kind == "accepted"
    }


def proved_wrong(messages: list[Message], ended: Ended, truth: Truth) -> list[str]:
    """Messages that a receipt calls NotSent although the server has accepted them."""
    told = zip(identities_of(messages), ended.receipts, strict=False)
    return [identity for identity, (kind, _) in told if kind == "not_sent" and identity in truth.ids]


def test_run_again(case: CaseLab) -> None:
    """A finished campaign that is run again gives the same receipts and makes no request."""
    first = case.run(MESSAGES)
    posts = case.server.posts()
    assert case.run(MESSAGES) == first
    assert first.kinds == {"accepted": COUNT - 10, "rejected": 10}
    assert case.server.posts() == posts
    assert case.look()[0].finished


def test_go_on(case: CaseLab) -> None:
    """A killed campaign goes on: what was settled is replayed, what was in flight is unconfirmed, the rest is sent."""
    before = case.killed(MESSAGES, 5)
    after = case.run(MESSAGES)
    assert after.receipts[: len(before.receipts)] == before.receipts
    assert len(after.receipts) == COUNT
    assert after.kinds["unconfirmed"] <= 100
    assert "not_sent" not in after.kinds
    case.truth(MESSAGES)


def test_other_sizes(case: CaseLab) -> None:
    """Batch size and limits may differ from run to run."""
    case.killed(MESSAGES, 4, batch_size=70, in_flight=1)
    case.killed(MESSAGES, 3, batch_size=30, in_flight=4)
    after = case.run(MESSAGES, batch_size=500)
    assert len(after.receipts) == COUNT
    assert after.kinds["unconfirmed"] <= 70 + 120
    case.truth(MESSAGES)


def test_not_sent(case: CaseLab) -> None:
    """What a run did not send, the next one sends. It gathers what lies near."""
    case.server.fail({"400": 0.5}, seed=3)
    first = case.run(MESSAGES, batch_size=10)
    assert first.kinds["not_sent"] > 100
    case.server.fail({})
    posts = case.server.posts()
    second = case.run(MESSAGES, batch_size=200)
    assert second.kinds == {"accepted": COUNT - 10, "rejected": 10}
    assert case.server.posts() - posts <= 3
    case.truth(MESSAGES)


def test_a_key_that_was_withdrawn(case: CaseLab) -> None:
    """A run that ends early never says NotSent of what an earlier run sent, or may have sent."""
    case.run(MESSAGES[50:], only_new=True)
    case.server.fail({"401": 1.0})
    case.server.hold(True)
    case.server.alert(1, "received")
    # While the first new messages are on their way, it has read some of the others and waits for the rest.
    with case.begun((), input=Stuck(tuple(MESSAGES[:80])), only_new=True) as running:
        assert not running.process.ends_within(60, case.server.events)
        case.server.hold(False)
        ended = running.end()
    assert (ended.error, ended.receipts[0][0]) == ("Unauthorized", "not_sent")
    assert proved_wrong(MESSAGES, ended, case.server.truth()) == []


def test_a_mended_row(case: CaseLab) -> None:
    """With `only_new` a row that was mended is sent, and nothing else. Without it the campaign has changed."""
    first = case.run(MESSAGES)
    assert first.receipts[BAD][0] == "rejected"
    mended = [*MESSAGES[:BAD], *numbered(9_000), *MESSAGES[BAD + 1 :]]
    strict = case.run(mended)
    assert (strict.status, strict.error) == (ENDED_EARLY, "CampaignChanged")
    assert f"message {BAD}," in strict.text
    again = case.run(mended, only_new=True)
    assert again.receipts[BAD][0] == "accepted"
    assert [*again.receipts[:BAD], *again.receipts[BAD + 1 :]] == [*first.receipts[:BAD], *first.receipts[BAD + 1 :]]
    assert case.truth([*MESSAGES, *numbered(9_000)]).messages == COUNT + 1


def test_a_deleted_row(case: CaseLab) -> None:
    """With `only_new` a row that is gone changes nothing for the others, and nothing is sent."""
    first = case.run(MESSAGES)
    posts = case.server.posts()
    again = case.run([*MESSAGES[:BAD], *MESSAGES[BAD + 1 :]], only_new=True)
    assert again.receipts == (*first.receipts[:BAD], *first.receipts[BAD + 1 :])
    assert case.server.posts() == posts


def test_a_longer_stop_list(case: CaseLab) -> None:
    """With `only_new` those who asked for no more messages meanwhile get none, and the others get one."""
    case.killed(MESSAGES, 4)
    reached = set(case.server.truth().ids)
    left = [each for number, each in enumerate(MESSAGES) if number % 7]
    after = case.run(left, only_new=True)
    assert len(after.receipts) == len(left)
    assert "not_sent" not in after.kinds
    stopped = set(identities_of(MESSAGES)) - set(identities_of(left))
    assert not (set(case.truth(MESSAGES).ids) - reached) & stopped


def test_another_order(case: CaseLab) -> None:
    """With `only_new` the rows may come in any order. Each keeps its own receipt."""
    before = case.killed(MESSAGES, 4)
    turned = MESSAGES[::-1]
    after = case.run(turned, only_new=True)
    known = accepted_by_identity(MESSAGES[: len(before.receipts)], before)
    now = accepted_by_identity(turned, after)
    assert known.items() <= now.items()
    assert "not_sent" not in after.kinds
    truth = case.truth(MESSAGES)
    assert all(message_id in truth.ids[identity] for identity, message_id in now.items())


def test_twins(case: CaseLab) -> None:
    """With `only_new` equal messages are told apart by their number: one more of them is sent once more."""
    two, three = numbered(1, 2, 1), numbered(1, 1, 2, 1)
    first = case.run(two, only_new=True)
    again = case.run(three, only_new=True)
    assert again.kinds == {"accepted": 4}
    assert {id_ for _, id_ in first.receipts} < {id_ for _, id_ in again.receipts}
    assert len(case.truth(three).ids[identities_of(two)[0]]) == 3


@pytest.mark.parametrize("position", [0, 60, 149, 320, 499])
def test_a_changed_input(case: CaseLab, position: int) -> None:
    """Nothing at or behind a message that changed is sent. What stands before it is."""
    first = case.killed(MESSAGES, 8, in_flight=4)
    reached = case.server.truth()
    recorded = case.look()[0].messages
    changed = [*MESSAGES[:position], *numbered(9_000), *MESSAGES[position + 1 :]]
    second = case.run(changed)
    truth = case.server.truth()
    if position < recorded:
        assert (second.error, f"message {position}," in second.text) == ("CampaignChanged", True)
        behind = set(identities_of(changed[position:]))
        assert not (set(truth.ids) - set(reached.ids)) & behind
    else:
        assert second.status == 0
    assert second.receipts[: min(len(first.receipts), position)] == first.receipts[:position]


def test_what_stands_behind_a_change(case: CaseLab) -> None:
    """A run of a changed input never says NotSent of what an earlier run sent, or may have sent."""
    case.run(MESSAGES)
    ended = case.run([*MESSAGES[:60], *numbered(9_000), *MESSAGES[61:]])
    assert ended.error == "CampaignChanged"
    assert proved_wrong(MESSAGES, ended, case.server.truth()) == []


def test_an_input_that_shrank(case: CaseLab) -> None:
    """An input that ended too early is a changed one."""
    case.run(MESSAGES)
    posts = case.server.posts()
    again = case.run(MESSAGES[:-1])
    assert (again.status, again.error) == (ENDED_EARLY, "CampaignChanged")
    assert len(again.receipts) == COUNT - 1
    assert case.server.posts() == posts


def test_an_input_that_grew(case: CaseLab) -> None:
    """An input that grew at its end goes on."""
    first = case.run(MESSAGES[:-60])
    again = case.run(MESSAGES)
    assert again.status == 0
    assert again.receipts[: COUNT - 60] == first.receipts
    assert case.truth(MESSAGES).messages == COUNT


def test_another_address(case: CaseLab) -> None:
    """A campaign belongs to the address of its service. Another one under its name is refused, and gets nothing."""
    case.killed(MESSAGES, 3)
    with counting_server() as other:
        refused = case.run(MESSAGES, url=other.url)
        assert (refused.error, refused.receipts) == ("CampaignChanged", ())
        assert "another address" in refused.text
        assert other.posts() == 0
    assert case.run(MESSAGES).status == 0


def test_a_trial_first(case: CaseLab) -> None:
    """A trial at another address, under a name of its own, hides nothing from the real campaign in the same journal."""
    with counting_server() as trial:
        assert case.run(MESSAGES, url=trial.url, name="sale@trial").status == 0
    assert case.run(MESSAGES).kinds == {"accepted": COUNT - 10, "rejected": 10}
    assert case.truth(MESSAGES).messages == COUNT


def test_two_at_once(case: CaseLab) -> None:
    """A second run of a campaign that is under way is refused and sends nothing."""
    case.server.hold(True)
    case.server.alert(1, "received")
    with case.begun(MESSAGES) as first:
        assert not first.process.ends_within(60, case.server.events)
        second = case.run(MESSAGES)
        case.server.hold(False)
        ended = first.end()
    assert (second.status, second.error, second.receipts) == (ENDED_EARLY, "CampaignBusy", ())
    assert ended.kinds == {"accepted": COUNT - 10, "rejected": 10}
    assert case.truth(MESSAGES).messages == COUNT


def test_two_heirs(case: CaseLab) -> None:
    """Of two runs that take over from a killed one at the same moment, one goes on and the other is refused."""
    case.sizes["batch_size"] = 10
    case.server.fail({}, latency=0.05)
    case.killed(MESSAGES, 3)
    for _ in range(3):
        case.server.alert(2, "received")
        with case.begun(MESSAGES) as one, case.begun(MESSAGES) as other:
            # On a busy machine the kill before may have come so late that nothing is left to send.
            if one.process.ends_within(60, case.server.events) and not case.server.events.poll(0):
                other.process.ends_within(60, case.server.events)
            one.process.signal(signal.SIGKILL)
            other.process.signal(signal.SIGKILL)
            assert {one.end().error, other.end().error} <= {"", "CampaignBusy"}
    with case.begun(MESSAGES) as one, case.begun(MESSAGES) as other:
        ended = [one.end(), other.end()]
    assert 0 in [each.status for each in ended]
    for each in ended:
        # The second one may have begun when the first had ended.
        assert each.status == 0 or (each.error, each.receipts) == ("CampaignBusy", ())
    case.truth(MESSAGES)


@pytest.mark.parametrize("only_new", [False, True])
def test_frozen_and_revived(case: CaseLab, only_new: bool) -> None:
    """A process that is frozen still runs its campaign. When it goes on, it finishes as if nothing had been."""
    # Its one request waits for an answer. In the middle of a commit it would keep the file locked.
    case.server.hold(True)
    case.server.alert(1, "received")
    with case.begun(MESSAGES, only_new=only_new, in_flight=1) as first:
        assert not first.process.ends_within(60, case.server.events)
        first.process.signal(signal.SIGSTOP)
        second = case.run(MESSAGES, only_new=only_new)
        first.process.signal(signal.SIGCONT)
        case.server.hold(False)
        ended = first.end()
    assert (second.status, second.error, second.receipts) == (ENDED_EARLY, "CampaignBusy", ())
    assert ended.kinds == {"accepted": COUNT - 10, "rejected": 10}
    assert case.truth(MESSAGES).messages == COUNT


def test_frozen_and_killed(case: CaseLab) -> None:
    """A frozen process that is killed leaves its campaign to the next run."""
    case.server.alert(3, "received")
    with case.begun(MESSAGES) as first:
        assert not first.process.ends_within(60, case.server.events)
        first.process.signal(signal.SIGSTOP)
        first.process.signal(signal.SIGKILL)
        first.end()
    after = case.run(MESSAGES)
    assert after.status == 0
    assert after.kinds["unconfirmed"] <= 100
    case.truth(MESSAGES)


def until_nothing_is_in_flight(case: CaseLab) -> None:
    """Wait for the attempts that were in flight when the first one opened the lane."""
    while (state := case.look()[0]) is not None and state.in_flight:
        pass


def test_killed_while_the_lane_is_open(case: CaseLab) -> None:
    """A kill during an outage, with everything waiting for the service, leaves nothing in doubt."""
    case.server.listen(False)
    with case.begun(MESSAGES, events=True) as running:
        running.process.hear("open")
        until_nothing_is_in_flight(case)
        running.process.signal(signal.SIGKILL)
        running.end()
    case.server.listen(True)
    after = case.run(MESSAGES)
    assert after.kinds == {"accepted": COUNT - 10, "rejected": 10}
    case.truth(MESSAGES)


def test_killed_in_a_later_outage(case: CaseLab) -> None:
    """The same holds for a campaign that had sent something before. What was in doubt then is all that is."""
    case.killed(MESSAGES, 4)
    state, _ = case.look()
    case.server.listen(False)
    with case.begun(MESSAGES, events=True) as running:
        running.process.hear("open")
        until_nothing_is_in_flight(case)
        running.process.signal(signal.SIGKILL)
        running.end()
    assert case.look()[0].unconfirmed == state.unconfirmed
    case.server.listen(True)
    assert case.run(MESSAGES).kinds["unconfirmed"] == state.unconfirmed
    case.truth(MESSAGES)


def test_a_program_that_stops_in_order(case: CaseLab) -> None:
    """A program that closes its client at SIGTERM, as a deploy has it, leaves nothing in doubt."""
    case.server.fail({}, latency=0.05)
    case.server.alert(3, "received")
    with case.begun(MESSAGES, graceful=True) as running:
        assert not running.process.ends_within(60, case.server.events)
        running.process.signal(signal.SIGTERM)
        assert running.end().status == 128 + signal.SIGTERM
    assert case.look()[0].unconfirmed == 0
    assert case.run(MESSAGES).kinds == {"accepted": COUNT - 10, "rejected": 10}
    assert case.truth(MESSAGES).messages == COUNT
