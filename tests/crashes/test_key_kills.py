"""Keyed sends whose process is killed at random moments. Everything under a key is sent at most once."""

import sys

import pytest
from chance import SEED
from kills import described, many

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
MESSAGES = 2_000


def test_keys() -> None:
    """Each key's message is sent at most once, and every caller of a key gets the same receipt, now and later."""
    figures, wrong = many(SEED, 15, MESSAGES, "keys")
    assert not wrong, described(figures)


def test_keys_of_two_processes() -> None:
    """The same holds if two processes send with the same keys at once, and one of them is killed."""
    figures, wrong = many(SEED + 1, 10, MESSAGES, "two processes")
    assert not wrong, described(figures)
