"""`devino send FILE` killed at random moments, and always the same command again."""

import signal
import sys
from pathlib import Path

import pytest
from chance import SEED
from command_lab import CommandLab
from counting_server import CountingServer
from inputs import Input
from kills import described, many
from moments import Kill

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
STOPPING = [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture
def lab(tmp_path: Path, server: CountingServer) -> CommandLab:
    server.fail({}, latency=0.05)
    return CommandLab(tmp_path, server, Input(1, 8_000), seed=1, batch_size=250, in_flight=2)


def test_kills() -> None:
    """No recipient gets an SMS twice, and the results are those of an uninterrupted command."""
    figures, wrong = many(SEED, 12, 4_000, "command, SIGKILL")
    assert not wrong, described(figures)


def test_signals() -> None:
    """The same holds for SIGTERM and SIGHUP, after which the command finishes what is in flight."""
    figures, wrong = many(SEED + 1, 12, 4_000, "command")
    assert not wrong, described(figures)


@pytest.mark.parametrize(("number", "status"), STOPPING)
def test_a_stop_leaves_nothing_in_doubt(lab: CommandLab, number: int, status: int) -> None:
    """After a signal the command finishes what is in flight, so nothing is in doubt. The same command goes on."""
    assert lab.run(Kill(number, "server", 3, "received")) == status
    state, _ = lab.look()
    assert state is not None
    assert (state.unconfirmed, state.in_flight) == (0, 0)
    assert lab.is_finished(lab.run())
    lab.check()
    assert not lab.wrong


@pytest.mark.parametrize(("number", "status"), STOPPING)
def test_a_later_stop(lab: CommandLab, number: int, status: int) -> None:
    """The results of a later run never say not_sent of a row that an earlier run sent."""
    assert lab.run(Kill(number, "server", 12, "received")) == status
    before = {at for at, (kind, _) in lab.receipts().items() if kind == "accepted"}
    lab.server.hold(True)
    assert lab.run(Kill(number, "statement", 40)) == status
    lab.server.hold(False)
    assert not [at for at, (kind, _) in lab.receipts().items() if kind == "not_sent" and at in before]


def test_stopped_is_not_finished(lab: CommandLab) -> None:
    """A campaign that was stopped before the end of its file is not finished."""
    lab.run(Kill(signal.SIGTERM, "server", 3, "received"))
    state, _ = lab.look()
    assert state is not None
    assert not state.finished
