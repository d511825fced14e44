"""Kills at each SQL statement of a run, one after the other, and the run again."""

import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from case_lab import CaseLab, numbered
from counting_server import CountingServer
from traps import Trap

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")


def test_every_statement_of_a_first_run(tmp_path: Path, server: CountingServer) -> None:
    """A first run may be killed at any of its SQL statements, those that create the tables included."""
    case, few = CaseLab(tmp_path, server), numbered(*range(40))
    before: Counter[str] = Counter()
    for number in range(1, 1_000):
        case.journal = tmp_path / f"{number}.journal"
        killed = case.run(few, batch_size=20, in_flight=1, trap=Trap(signal.SIGKILL, number))
        after = case.run(few, batch_size=20, in_flight=1)
        assert (after.status, len(after.receipts)) == (0, 40)
        assert after.receipts[: len(killed.receipts)] == killed.receipts
        assert after.kinds["unconfirmed"] <= 20
        now = Counter({identity: len(ids) for identity, ids in case.server.truth().ids.items()})
        assert max((now - before).values()) == 1, f"sent twice after a kill at statement {number}"
        before = now
        if killed.status == 0:
            break
    assert number > 30
