"""Memory and start: peak memory of a campaign against its length, and imports against those of the libraries alone.

All of it in fresh interpreters, whose byte code lies in a folder that is thrown away afterwards.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from canned_server import canned_server
from measuring import Contender, in_turn, show

HERE = Path(__file__).parent
ROUNDS = 9
SHORT, LONG = 200_000, 1_000_000

# VmHWM is the peak of this very program. That of getrusage may be the parent's, as the process began as its copy.
CAMPAIGN = """
import asyncio, resource, sys
sys.path.insert(0, {here!r})
from campaign import made_messages, ours
count = {count}
assert asyncio.run(ours({url!r}, made_messages(count))) == count
try:
    lines = open("/proc/self/status").read().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024))
"""

NOTHING = "nothing"
LIBRARIES = "aiohttp, attrs, cattrs, tenacity"
FRONT_DOOR = "import devino_async"
NAMES = "from devino_async import DevinoClient, Message"
COMMAND = "devino --help"


def peak(url: str, count: int) -> float:
    """Peak memory in MB of a process that sends so many messages."""
    program = CAMPAIGN.format(here=str(HERE), count=count, url=url)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def run(arguments: list[str], environment: dict[str, str], _: object = None) -> float:
    """How long a fresh interpreter takes for it, in seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def starting() -> dict[str, list[str]]:
    """What is started, with its arguments. The command is left out if its libraries are not installed."""
    programs = {
        NOTHING: ["-c", "pass"],
        LIBRARIES: ["-c", "import aiohttp, attrs, cattrs, tenacity"],
        FRONT_DOOR: ["-c", FRONT_DOOR],
        NAMES: ["-c", NAMES],
    }
    if find_spec("click") and find_spec("rich"):
        programs[COMMAND] = ["-m", "devino_async", "--help"]
    return programs


@contextmanager
def contenders() -> Iterator[list[Contender]]:
    """Every start, with its byte code made already."""
    programs = starting()
    with TemporaryDirectory() as cache:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPYCACHEPREFIX": cache}
        for arguments in programs.values():
            run(arguments, environment)
        yield [Contender(name, partial(run, arguments, environment)) for name, arguments in programs.items()]


def memory() -> None:
    """Peak memory of two lengths."""
    with canned_server() as url:
        short, long = peak(url, SHORT), peak(url, LONG)
    show(
        "peak memory of a campaign, whole process, MB; aims: within 15 %, under 250",
        ["", f"{SHORT:,} messages", f"{LONG:,} messages", "ratio"],
        [["devino_async", f"{short:.0f}", f"{long:.0f}", f"{long / short:.2f}"]],
    )


def starts() -> None:
    """Imports and the command. The time that an empty interpreter takes is subtracted from the imports."""
    with contenders() as programs:
        taken = in_turn(programs, ROUNDS, lambda each: each.work(None))
    bare = taken[NOTHING]
    libraries = [each - nothing for each, nothing in zip(taken[LIBRARIES], bare, strict=True)]
    rows = []
    for name in (LIBRARIES, FRONT_DOOR, NAMES):
        alone = [each - nothing for each, nothing in zip(taken[name], bare, strict=True)]
        times = statistics.median(own / floor for own, floor in zip(alone, libraries, strict=True))
        rows.append([name, f"{min(taken[name]) * 1000:.0f}", f"{statistics.median(alone) * 1000:.0f}", f"{times:.2f}"])
    show(
        f"imports in fresh interpreters, ms, {ROUNDS} rounds; aim: 1.3 times the four libraries",
        ["", "whole process, best", "import alone, median", "times the four"],
        rows,
    )
    if COMMAND in taken:
        best, median = min(taken[COMMAND]) * 1000, statistics.median(taken[COMMAND]) * 1000
        print(f"{COMMAND}, whole process: best {best:.0f} ms, median {median:.0f} ms; aim: under 250 ms")
    else:
        print("the command is left out: pip install 'devino-async[cli]'")


def table() -> None:
    """Both."""
    memory()
    starts()


if __name__ == "__main__":
    table()
