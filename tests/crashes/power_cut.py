"""Power cuts: the process is killed, and its files go back to what they were at their last fsync.

What was never synced is gone. A file that was never synced at all is gone too. disk.c watches the syncs.
"""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counting_server import CountingServer
from inputs import Input
from kill_lab import KillLab

CC = shutil.which("cc")


class PowerCutLab(KillLab):
    """A campaign whose journal lies on a disk of which the power is cut at every kill."""

    signals = (signal.SIGKILL,)

    def __init__(self, folder: Path, server: CountingServer, given: Input, *, seed: int, **options: Any) -> None:
        super().__init__(folder, server, given, seed=seed, **options)
        self._disk, self._kept = folder / "disk", folder / "kept"
        self._disk.mkdir()
        self._kept.mkdir()
        self.journal = self._disk / "sms.journal"
        library = folder / "disk.so"
        assert CC is not None
        subprocess.run(
            [CC, "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("disk.c"), "-ldl"], check=True
        )
        self.environment: Mapping[str, str] | None = {
            "LD_PRELOAD": str(library),
            "DISK_FOLDER": str(self._disk.resolve()),
            "DISK_KEPT": str(self._kept.resolve()),
        }

    def died(self) -> None:
        """Take every file back to its last fsync."""
        for path in self._disk.iterdir():
            path.unlink()
        for path in self._kept.iterdir():
            if path.suffix != ".part":
                shutil.copy(path, self._disk / path.name)

    def look(self) -> Any:
        """Look, as the machine that was started again would."""
        found = super().look()
        # This process closed the journal in order, so what is there now is what is kept.
        shutil.rmtree(self._kept)
        shutil.copytree(self._disk, self._kept)
        return found
