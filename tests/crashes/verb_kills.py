"""Kills real processes in the middle of verbs, hundreds of times, and says what was left.

    python tests/crashes/verb_kills.py --kills 50 --seed 3      # 50 kills of each verb

Prints a line for each verb, then all figures. Exit status 1 if any promise was broken, with the first such places.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
sys.path.insert(0, str(Path(__file__).parents[1] / "campaigns"))
sys.path.insert(0, str(Path(__file__).parent))

from verb_lab import OLD_KEYS, VERBS, World, world

_SHOWN = 5
_ATTEMPTS_A_KILL = 4


def kill(made: World, verb: str, kills: int) -> list[str]:
    """Kill so many processes in the middle of one verb. Return every broken promise."""
    already, kills_before = len(made.wrong), made.kills.total()
    after, statements = made.uninterrupted(verb)
    for _ in range(kills * _ATTEMPTS_A_KILL):
        made.one(verb, after, statements)
        if made.kills.total() - kills_before >= kills:
            break
    else:
        made.wrong.append(f"{verb}: only {made.kills.total() - kills_before} kills hit")
    return made.wrong[already:]


def main() -> int:
    """Kill in the middle of each verb as often as asked for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--kills", type=int, default=50, help="of each verb")
    options.add_argument("--seed", type=int, default=20_261_128)
    options.add_argument("--verb", action="append", choices=[*VERBS])
    given = options.parse_args()
    wrong, total, begun = 0, Counter[str](), time.monotonic()
    for number, verb in enumerate(given.verb or VERBS):
        keys = {"old_keys": OLD_KEYS} if verb == "prune" else {}
        with tempfile.TemporaryDirectory() as folder, world(Path(folder), given.seed + number, **keys) as made:
            broken = kill(made, verb, given.kills)
        total += made.kills
        wrong += len(broken)
        print(f"{time.monotonic() - begun:6.0f} s  {verb}: {made.kills.total()} kills, {len(broken)} wrong", flush=True)
        for each in broken[:_SHOWN]:
            print(f"        WRONG: {each}", flush=True)
    print(f"{total.total()} kills: " + ", ".join(f"{count} {how}" for how, count in sorted(total.items())))
    print("every promise was kept" if not wrong else f"{wrong} promises were broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
