"""One campaign, run step by step: whole, or killed at a chosen moment, each time with an input of its own."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from counting import Truth
from counting_server import CountingServer
from inputs import Listed, message_of
from kill_lab import Seen, read_journal, twice
from processes import GIVE_UP, Child, child
from programs import Campaign, run_campaign

from devino_async import Message
from devino_async.campaigns import CampaignState, Outcome


@frozen
class Ended:
    """How one run ended: its status, a kind and an id for each receipt in order, the error and its text."""

    status: int
    receipts: tuple[Seen, ...]
    error: str = ""
    text: str = ""

    @property
    def kinds(self) -> Counter[str]:
        """How many receipts there were of each kind."""
        return Counter(kind for kind, _ in self.receipts)


def numbered(*numbers: int) -> list[Message]:
    """Messages by number. None of the first hundreds is rejected but 5, 58, 111 and so on."""
    return [message_of(each) for each in numbers]


class CaseLab:
    """A journal in a folder, and runs of the campaign `sale` at one server."""

    def __init__(self, folder: Path, server: CountingServer) -> None:
        self.journal = folder / "sms.journal"
        self.server = server
        self._folder = folder
        self._count = 0
        self.sizes: dict[str, Any] = {"batch_size": 50, "in_flight": 2}

    @contextmanager
    def begun(self, messages: Sequence[Message], **options: Any) -> Iterator["Running"]:
        """A run that has begun, in a process of its own that does not outlive the block."""
        self._count += 1
        saw = self._folder / f"saw-{self._count}.txt"
        job = Campaign(
            **{
                "url": self.server.url,
                "journal": str(self.journal),
                "name": "sale",
                "input": Listed(tuple(messages)),
                "saw": str(saw),
                **self.sizes,
                **options,
            }
        )
        with child(run_campaign, job) as process:
            process.go()
            yield Running(process, saw)

    def run(self, messages: Sequence[Message], **options: Any) -> Ended:
        """Run it to its end."""
        with self.begun(messages, **options) as running:
            return running.end()

    def killed(self, messages: Sequence[Message], after: int, phase: str = "answered", **options: Any) -> Ended:
        """Run it until the request that is `after` from now is begun, received or answered, and kill it there."""
        self.server.alert(after, phase)
        with self.begun(messages, **options) as running:
            assert not running.process.ends_within(GIVE_UP, self.server.events), "it ended before"
            running.process.signal(signal.SIGKILL)
            return running.end()

    def look(self) -> tuple[CampaignState, list[Outcome]]:
        """Read the journal."""
        state, outcomes = asyncio.run(read_journal(self.journal, "sale"))
        assert state is not None
        return state, outcomes

    def truth(self, messages: Sequence[Message]) -> Truth:
        """What the server knows. Nothing may have been accepted more often than it stands in these messages."""
        truth = self.server.truth()
        assert twice(messages, truth) == []
        return truth


class Running:
    """A run that has begun."""

    def __init__(self, process: Child, saw: Path) -> None:
        self.process = process
        self._saw = saw

    def end(self) -> Ended:
        """Wait for its end."""
        status = self.process.end()
        text = self._saw.read_text(encoding="utf-8") if self._saw.exists() else ""
        lines = [line[:-1].split("\t") for line in text.splitlines(keepends=True) if line.endswith("\n")]
        receipts = tuple((kind, more) for at, kind, more in lines if at != "!")
        error, words = next(((kind, more) for at, kind, more in lines if at == "!"), ("", ""))
        return Ended(status, receipts, error, words)
