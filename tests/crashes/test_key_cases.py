"""Keys in real life: a program that is run again, one that is frozen, and a key that is used for another message."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from counting_server import CountingServer
from inputs import message_of
from processes import Child, child
from programs import ENDED_EARLY, KeyedSends, run_keyed_sends

from devino_async import Message

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
SHIPPED = [(f"order-{number}-shipped", message_of(number)) for number in range(40)]
ONE = SHIPPED[:1]


class Sender:
    """A process that sends under keys, and what it was told for each key."""

    def __init__(self, process: Child, saw: Path) -> None:
        self.process = process
        self._saw = saw

    def end(self) -> tuple[int, dict[str, str]]:
        """Wait for its end. Return its status, and the kind and the id for each key, or the error for the key `!`."""
        status = self.process.end()
        lines = self._saw.read_text(encoding="utf-8").splitlines() if self._saw.exists() else []
        return status, {key: f"{kind} {more}".strip() for key, kind, more in (each.split("\t") for each in lines)}


class Keys:
    """A journal of keys in a folder, and the processes that use it."""

    def __init__(self, folder: Path, server: CountingServer) -> None:
        self.server = server
        self._folder = folder
        self._count = 0

    @contextmanager
    def begun(self, sends: list[tuple[str, Message]], *, total: float | None = None) -> Iterator[Sender]:
        """A process that has begun to send these."""
        self._count += 1
        saw = self._folder / f"saw-{self._count}.txt"
        journal = str(self._folder / "keys.journal")
        job = KeyedSends(url=self.server.url, journal=journal, sends=sends, saw=str(saw), total=total)
        with child(run_keyed_sends, job) as process:
            process.go()
            yield Sender(process, saw)

    def run(self, sends: list[tuple[str, Message]], *, total: float | None = None) -> tuple[int, dict[str, str]]:
        """Send these in a process, to its end."""
        with self.begun(sends, total=total) as sender:
            return sender.end()


@pytest.fixture
def keys(tmp_path: Path, server: CountingServer) -> Keys:
    return Keys(tmp_path, server)


def test_run_again(keys: Keys) -> None:
    """A program that is run again gets the same receipts and makes no request."""
    first = keys.run(SHIPPED)
    posts = keys.server.posts()
    assert keys.run(SHIPPED[::-1]) == first
    assert keys.server.posts() == posts


def test_killed_between_request_and_answer(keys: Keys) -> None:
    """A key whose answer never came is unconfirmed for good. It is not sent again."""
    keys.server.hold(True)
    keys.server.alert(1, "received")
    with keys.begun(ONE) as sender:
        assert not sender.process.ends_within(60, keys.server.events)
        sender.process.signal(signal.SIGKILL)
        sender.end()
    keys.server.hold(False)
    for _ in range(2):
        assert keys.run(ONE) == (0, {"order-0-shipped": "unconfirmed"})
    assert keys.server.truth().posts == 1


def test_another_message(keys: Keys) -> None:
    """Another message under a key that was sent is refused."""
    keys.run(ONE)
    status, told = keys.run([("order-0-shipped", message_of(1))])
    assert status == ENDED_EARLY
    assert told["!"].startswith("KeyConflict")
    assert keys.server.posts() == 1


def test_a_key_that_was_not_sent(keys: Keys) -> None:
    """A key whose message was not sent is free, for another message too."""
    keys.server.fail({"400": 1.0})
    assert keys.run(ONE) == (0, {"order-0-shipped": "not_sent"})
    keys.server.fail({})
    _, told = keys.run([("order-0-shipped", message_of(1))])
    assert told["order-0-shipped"].startswith("accepted")


def test_frozen_and_revived(keys: Keys) -> None:
    """Another process waits for a key of a frozen one only as long as its attempt may take.

    When the frozen one goes on, it reads the answer that lies there, and the key has its outcome after all.
    """
    keys.server.hold(True)
    keys.server.alert(1, "received")
    with keys.begun(ONE, total=5.0) as frozen:
        assert not frozen.process.ends_within(60, keys.server.events)
        frozen.process.signal(signal.SIGSTOP)
        # The second run takes the time of a start of Python, so the frozen process revives long after its time-out.
        for _ in range(2):
            assert keys.run(ONE) == (0, {"order-0-shipped": "unconfirmed"})
        keys.server.alert(0, "answered")
        keys.server.hold(False)
        assert keys.server.events.poll(60)
        frozen.process.signal(signal.SIGCONT)
        status, told = frozen.end()
    assert told["order-0-shipped"].startswith("accepted")
    assert keys.run(ONE) == (status, told)
    assert keys.server.truth().posts == 1
