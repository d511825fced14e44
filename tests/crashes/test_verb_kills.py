"""Kills in the middle of each verb, and the verb again. verb_kills.py does hundreds."""

import os
import sys
from collections.abc import Iterator

import pytest
from chance import SEED
from verb_kills import kill
from verb_lab import OLD_KEYS, VERBS, World, world

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
KILLS = int(os.environ.get("VERB_KILLS", "20"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("verbs"), SEED) as one:
        yield one


@pytest.mark.parametrize("verb", [each for each in VERBS if each != "prune"])
def test_a_verb(made: World, verb: str) -> None:
    """A killed verb is done or not done, message by message, and carried out again it ends like one without a kill."""
    assert not kill(made, verb, KILLS)


def test_prune(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same holds for more keys than one transaction deletes."""
    with world(tmp_path_factory.mktemp("prune"), SEED, old_keys=OLD_KEYS) as one:
        assert not kill(one, "prune", KILLS // 2)
