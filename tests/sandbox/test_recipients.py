"""The table of magic recipients, and that every place shows all of it."""

import re
from pathlib import Path

import pytest
from asking import Asking, Receiver, message

from devino_async.sandbox import MAGIC_RECIPIENTS, recipients

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("magic", MAGIC_RECIPIENTS, ids=lambda magic: magic.ending)
def test_the_readme_has_each(magic: recipients.Magic) -> None:
    """The README's table is the one of the code, word for word."""
    assert f"| `{magic.ending}` | {magic.means} |" in README


def test_the_readme_has_no_other() -> None:
    """The README's table has no row that the code does not have."""
    table = README.partition("| the number ends in |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\d+)` \|", table, re.MULTILINE) == [each.ending for each in MAGIC_RECIPIENTS]


def test_help_has_each() -> None:
    """The text for terminals has every ending."""
    assert all(f"...{each.ending} " in recipients.help_text() for each in MAGIC_RECIPIENTS)


def test_no_number_is_two_of_them() -> None:
    """No ending ends with another one, so no number has two meanings."""
    endings = [each.ending for each in MAGIC_RECIPIENTS]
    assert not [(a, b) for a in endings for b in endings if a != b and a.endswith(b)]


async def test_over_http(asking: Asking) -> None:
    """The table is answered for the inbox."""
    _, body = await asking.ask("GET", "/_sandbox/recipients")
    told = [{"ending": each.ending, "means": each.means} for each in MAGIC_RECIPIENTS]
    assert body["result"]["recipients"] == told


async def test_a_recipient_that_is_never_reported(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """One number is delivered, as a look-up tells, and no callback is made."""
    made, url = receiver
    silent, told = await asking.send(message("79009990002", callbackUrl=url), message(callbackUrl=url))
    asking.clock.advance(100)
    await asking.sandbox.report()
    assert {event["messageId"] for event in made.events} == {told["messageId"]}
    assert (await asking.statuses(silent["messageId"])) == {silent["messageId"]: "DELIVERED"}
