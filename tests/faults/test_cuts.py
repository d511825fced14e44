"""Property: wherever a connection is cut, in either direction, no verdict goes against what the server received."""

import random

import pytest
from certs import Certificates
from chance import GROUPS, chance, seeds
from fault_check import By, Outcome, Row, messages, run, unsound
from fault_script import GOOD, End, How, Say, Script, Take, part

from devino_async import Accepted, NotSent, Unconfirmed

pytestmark = pytest.mark.usefixtures("no_leaks")


def cut_script(dice: random.Random) -> Script:
    """A connection that is cut at a random byte of the request or of the answer."""
    how: How = dice.choice(("fin", "rst", "eof"))
    if dice.random() < 0.6:
        return (Take(dice.randrange(200) if dice.random() < 0.1 else dice.random()), End(how))
    return (Take("request"), Say(part(dice.random(), of_body=dice.random() < 0.7)), End(how))


def cut_row(seed: int) -> Row:
    """A row whose first connection is cut, and its second too or not."""
    dice = chance(seed)
    count, long = dice.choices(((1, False), (20, False), (400, False), (2000, True)), (60, 20, 15, 5))[0]
    server: By = dice.choice(("plain", "plain", "plain", "good"))
    second = GOOD if dice.random() < 0.5 else cut_script(dice)
    scripts = (cut_script(dice), second)
    return Row(name=str(seed), scripts=scripts, verdict=Accepted, count=count, long=long, server=server)


def contradictions(row: Row, outcome: Outcome) -> list[str]:
    """What is unsound, and what does not fit the number of attempts."""
    wrong = unsound(outcome.receipts, outcome.server.posts, messages(row.count, row.long))
    [kind] = {type(receipt) for receipt in outcome.receipts}
    whole = sum(post.complete for post in outcome.server.posts)
    if kind is NotSent and outcome.attempts != 2:
        wrong.append(f"NotSent after {outcome.attempts} tries")
    if kind is Unconfirmed and whole > 1:
        wrong.append(f"Unconfirmed, and {whole} whole POSTs")
    if kind is Accepted and whole != 1:
        wrong.append(f"Accepted after {whole} whole POSTs")
    if len(outcome.server.posts) > outcome.attempts:
        wrong.append("more POSTs than attempts")
    return wrong


@pytest.mark.parametrize("group", range(GROUPS))
async def test_random_cuts(group: int, certificates: Certificates) -> None:
    """A random cut never makes a verdict unsound, a message double or a receipt missing."""
    wrong = {}
    for seed in seeds(group):
        row = cut_row(seed)
        found = contradictions(row, await run(row, certificates))
        if found:
            wrong[seed] = found[:3]
    assert not wrong, f"seeds and what went wrong with them: {wrong}"
