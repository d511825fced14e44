"""The same by the command line: `devino send FILE`, killed again and again, and always the same command again."""

import csv
from pathlib import Path
from typing import Any

from counting_server import CountingServer
from inputs import Input, as_csv
from kill_lab import KillLab, Seen
from programs import Command, run_command


class CommandLab(KillLab):
    """One file in a folder of its own. The receipts are the rows of its results."""

    program = staticmethod(run_command)
    finished = frozenset({0, 1})
    by_content = True

    def __init__(
        self, folder: Path, server: CountingServer, given: Input, *, seed: int, more: tuple[str, ...] = (), **sizes: Any
    ) -> None:
        super().__init__(folder, server, given, seed=seed, **sizes)
        self.file = folder / "campaign.csv"
        self.file.write_text(as_csv(list(given.messages())), encoding="utf-8")
        self.results = folder / "results.csv"
        self.journal = folder / "campaign.csv.journal"
        self.name = f"campaign.csv@{server.url.removeprefix('http://')}"
        self.more = more

    def job(self, **changes: Any) -> Command:
        """The command."""
        sizes = ("--batch-size", str(self.options["batch_size"]), "--in-flight", str(self.options["in_flight"]))
        arguments = ("send", str(self.file), *sizes, "--output", str(self.results), *self.more)
        return Command(**{"url": self.server.url, "arguments": arguments, "saw": self.saw, **changes})

    def receipts(self) -> dict[int, Seen]:
        """The rows of the results by position. A killed command leaves those of an earlier run, or none."""
        if not self.results.exists():
            return {}
        with self.results.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {at: _seen(row) for at, row in enumerate(rows)}

    def told(self) -> str:
        """What the command said."""
        return Path(self.saw).read_text(encoding="utf-8")


def _seen(row: dict[str, str]) -> Seen:
    kind = "unlooked" if "not looked up" in row["error"] else row["outcome"]
    return kind, row["message_id"] if kind == "accepted" else "to: to.format.invalid" if kind == "rejected" else ""
