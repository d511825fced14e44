"""Kills thousands of real processes at random moments, and says what their recipients got.

    python tests/crashes/kills.py --kills 2000 --seed 14        # campaigns of 160,000 messages
    python tests/crashes/kills.py --kills 200 --messages 4000   # small ones

Prints a line for each campaign, then all figures. 2,000 kills take 40 minutes on two busy cores, and
small ones ten. Exit status 1 if any promise was broken, with the first such places.
Each seed gives the same campaigns, faults and kinds of kills. The moments are those of a real machine.
"""

import argparse
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from chance import chance
from command_lab import CommandLab
from counting import FAULTS
from counting_server import counting_server
from inputs import Input
from key_lab import KeyLab
from kill_lab import KillLab
from moments import SIGNALS, Figures, Pace, kills
from power_cut import PowerCutLab

_SHOWN = 5
_KILLS_A_CAMPAIGN = 40
WAYS = ("campaign", "campaign", "only new", "closing", "command", "keys", "two processes")


def one(seed: int, most_kills: int, messages: int, way: str) -> tuple[Figures, list[str]]:
    """Run one campaign to its end under kills. Return its figures, and what was wrong."""
    random = chance(seed)
    batch_size = min(random.choice((500, 1_000, 2_000, 8_000)), max(100, messages // 16))
    in_flight = random.choice((1, 2, 4))
    faults = random.choice(({}, FAULTS))
    requests = max(2, messages // batch_size // 12)
    pace = Pace(seconds=messages / 2_000_000 + 0.01, requests=requests, statements=4 * requests)
    with counting_server() as server, tempfile.TemporaryDirectory() as name:
        server.fail(faults, seed=seed, latency=random.choice((0.01, 0.05)))
        folder, given = Path(name), Input(seed, messages)
        sizes: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "in_flight": in_flight}
        lab: KillLab | KeyLab
        if way in {"keys", "two processes"}:
            callers, processes = (50, 1) if way == "keys" else (200, 2)
            lab = KeyLab(folder, server, messages // 5, seed=seed, callers=callers, processes=processes)
        elif way in {"command", "command, SIGKILL"}:
            lab = CommandLab(folder, server, given, **sizes)
            lab.signals = SIGNALS if way == "command" else (signal.SIGKILL,)
        elif way == "power cut":
            lab = PowerCutLab(folder, server, given, **sizes)
        else:
            lab = KillLab(folder, server, given, only_new=way == "only new", graceful=way == "closing", **sizes)
        lab.until_finished(islice(kills(random, pace, lab.signals), most_kills))
        lab.check()
        return lab.figures, lab.wrong


def many(seed: int, most_kills: int, messages: int, way: str) -> tuple[Figures, list[str]]:
    """Run campaigns until there were so many kills."""
    total, wrong = Figures(), list[str]()
    for number in count():
        left = most_kills - total.kills.total()
        if left <= 0:
            break
        figures, broken = one(seed * 1_003 + number, min(left, _KILLS_A_CAMPAIGN), messages, way)
        total.add(figures)
        wrong += broken
    return total, wrong


def described(figures: Figures) -> str:
    """All figures in a few lines."""
    total = figures.kills.total()
    lines = [
        f"{figures.campaigns} campaigns, {figures.messages:,} messages, {figures.runs:,} runs, {figures.posts:,} POSTs",
        f"{total:,} kills: " + ", ".join(f"{count:,} {how}" for how, count in sorted(figures.kills.items())),
        f"{figures.twice} sent twice, {figures.without} without an outcome",
        f"{figures.unconfirmed:,} unconfirmed: {figures.lossy:,} met a lossy fault, {figures.in_doubt:,} were on their",
        f"    way at a kill: {figures.in_doubt / max(1, total):,.0f} a kill",
        f"{figures.looks:,} looks into the journal",
        "faults: " + (", ".join(f"{count:,} {fault}" for fault, count in sorted(figures.met.items())) or "none"),
    ]
    return "\n".join(lines)


def main() -> int:
    """Run campaigns until there were as many kills as asked for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--kills", type=int, default=2_000)
    options.add_argument("--seed", type=int, default=20_261_128)
    options.add_argument("--messages", type=int, default=160_000)
    options.add_argument("--at-once", type=int, default=2)
    options.add_argument("--way", action="append", choices=[*dict.fromkeys(WAYS), "command, SIGKILL", "power cut"])
    given = options.parse_args()
    total, wrong, begun = Figures(), 0, time.monotonic()

    def run(number: int) -> tuple[int, str, tuple[Figures, list[str]] | None]:
        ways = given.way or WAYS
        way = ways[number % len(ways)]
        seed = given.seed * 1_000_003 + number
        left = given.kills - total.kills.total()
        return seed, way, one(seed, min(left, _KILLS_A_CAMPAIGN), given.messages, way) if left > 0 else None

    with ThreadPoolExecutor(given.at_once) as pool:
        for seed, way, found in pool.map(run, range(given.kills)):
            if found is None:
                break
            figures, broken = found
            total.add(figures)
            wrong += len(broken)
            print(
                f"{time.monotonic() - begun:6.0f} s  seed {seed} {way}: {figures.kills.total()} kills, "
                f"{figures.unconfirmed:,} unconfirmed, {len(broken)} wrong",
                flush=True,
            )
            for each in broken[:_SHOWN]:
                print(f"        WRONG: {each}", flush=True)
        pool.shutdown(cancel_futures=True)
    print(described(total))
    print("every promise was kept" if not wrong else f"{wrong} promises were broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
