"""A campaign whose process is killed at random moments, and run again until it is finished. kills.py runs thousands."""

import sys

import pytest
from chance import SEED
from kills import described, many
from power_cut import CC

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
MESSAGES = 4_000


def test_campaigns() -> None:
    """No recipient gets an SMS twice, every message has its state, and the stream is that of an uninterrupted run."""
    figures, wrong = many(SEED, 40, MESSAGES, "campaign")
    assert not wrong, described(figures)


def test_only_new() -> None:
    """The same holds where messages are recognised by their content."""
    figures, wrong = many(SEED + 1, 15, MESSAGES, "only new")
    assert not wrong, described(figures)


def test_programs_that_close_their_client() -> None:
    """A program that closes its client at SIGTERM leaves nothing in doubt. Other signals kill it all the same."""
    figures, wrong = many(SEED + 2, 15, MESSAGES, "closing")
    assert not wrong, described(figures)


@pytest.mark.skipif(not sys.platform.startswith("linux") or CC is None, reason="needs Linux and a C compiler")
def test_power_cuts() -> None:
    """The same holds where each kill takes the journal's files back to their last fsync."""
    figures, wrong = many(SEED + 3, 8, MESSAGES, "power cut")
    assert not wrong, described(figures)
