"""Controls: copies of the package in which one rule of the journal is broken. The crash lab must find each of them out.

    python tests/crashes/controls.py [WORD]     # only the controls whose name holds WORD

The copy that changes nothing must pass. See tests/faults/mutations.py, which does the same for single sends.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
SECONDS = 300


@frozen
class Control:
    """In each of these files, this text becomes that one. `way` is how kills.py then finds it out."""

    why: str
    edits: tuple[tuple[str, str, str], ...]
    way: str = "campaign"
    kills: int = 10


_CLAIMING = (
    "transport/claiming.py",
    "        await claim.take()\n        try:\n            return await self._pool.exchange(call)\n",
    "        try:\n            got = await self._pool.exchange(call)\n            await claim.take(); return got\n",
)
UNCHANGED = Control("nothing is changed", ())
CONTROLS = (
    Control("the claim comes after the POST", (_CLAIMING,)),
    Control("keys are claimed after the POST", (_CLAIMING,), "keys"),
    Control(
        "commits do not wait for the disk",
        (("storage/sqlite.py", "synchronous = FULL", "synchronous = OFF"),),
        "power cut",
        kills=3,
    ),
    Control(
        "what is in doubt is sent again",
        (
            (
                "campaigns/states.py",
                "MAY_BE_SENT = bytes((Mark.PLANNED, Mark.NOT_SENT))",
                "MAY_BE_SENT = bytes((Mark.PLANNED, Mark.NOT_SENT, Mark.UNCONFIRMED))",
            ),
            ("campaigns/looking.py", "([pn]+)|[^pn]+", "([pnu]+)|[^pnu]+"),
        ),
    ),
    Control(
        "what the dead had claimed is sent again",
        (
            (
                "campaigns/sqlite_parts.py",
                ".replace(bytes((Mark.CLAIMED,)), bytes((Mark.UNCONFIRMED,)))",
                ".replace(bytes((Mark.CLAIMED,)), bytes((Mark.PLANNED,)))",
            ),
        ),
    ),
    Control(
        "keys that the dead had claimed are sent again",
        (
            (
                "campaigns/sqlite_parts.py",
                "UPDATE keyed SET state = 'unconfirmed'",
                "UPDATE keyed SET state = 'planned'",
            ),
        ),
        "keys",
    ),
    Control(
        "keys are not checked again when they are claimed",
        (("campaigns/sqlite_keys.py", "    if taken:\n        return taken\n", ""),),
        "two processes",
    ),
    Control(
        "receipts are seen before they are written",
        (
            (
                "campaigns/recording.py",
                "await to_the_end(self._settle(receipts))",
                "asyncio.get_running_loop().call_later(0.05, lambda: asyncio.create_task(self._settle(receipts)))",
            ),
        ),
    ),
    Control(
        "the living look dead",
        (("campaigns/claimer.py", "return not _lock(descriptor, shared=True)", "return False"),),
        "two processes",
    ),
)


def changed(control: Control, folder: Path) -> None:
    """Make a copy with these changes in it. Raises LookupError if a text is not found just once."""
    shutil.copytree(ROOT / "devino_async", folder / "devino_async", ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in control.edits:
        path = folder / "devino_async" / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise LookupError(f"{file} does not hold this text just once: {old!r}")
        path.write_text(text.replace(old, new), encoding="utf-8")


def found_out(control: Control, *, seed: int = 1) -> list[str]:
    """Return what the crash lab says is wrong with a changed copy. Nothing if it passes."""
    with tempfile.TemporaryDirectory() as name:
        changed(control, Path(name))
        options = {"way": control.way, "messages": 4_000, "kills": control.kills, "seed": seed, "at-once": 1}
        given = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("kills.py")), *given],
            env={**os.environ, "PYTHONPATH": name},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    if done.returncode not in {0, 1}:
        raise RuntimeError(done.stderr[-2_000:])
    return [line.partition("WRONG: ")[2] for line in done.stdout.splitlines() if "WRONG: " in line]


def main(word: str = "") -> int:
    """Try all controls, and print what was found."""
    wrong = 0
    for control in (UNCHANGED, *CONTROLS):
        if word in control.why:
            found = found_out(control)
            is_right = bool(found) != (control is UNCHANGED)
            wrong += not is_right
            print(f"{'found out' if found else 'passed':<9} {control.why}: {'; '.join(found[:2])[:200]}", flush=True)
    print(f"{wrong} not as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
