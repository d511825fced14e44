"""Memory and start: peak memory of a campaign against its length, and imports against those of the libraries alone."""

import subprocess
import sys
import time
from pathlib import Path

from canned_server import canned_server

HERE = Path(__file__).parent
ROUNDS = 5

CAMPAIGN = """
import asyncio, resource, sys
sys.path.insert(0, {here!r})
from campaign import made_messages, ours
count = {count}
assert asyncio.run(ours({url!r}, made_messages(count))) == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(url: str, count: int) -> float:
    """Peak memory in MB of a process that sends so many messages."""
    program = CAMPAIGN.format(here=str(HERE), count=count, url=url)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def start(program: str) -> float:
    """The shortest time that a fresh interpreter takes for it, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run([sys.executable, *program.split(" ")], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def table() -> None:
    """Both."""
    print("\npeak memory of a campaign, MB")
    with canned_server() as url:
        small, large = peak(url, 200_000), peak(url, 1_000_000)
    print(f"200,000 messages: {small:.0f}   1,000,000 messages: {large:.0f}   ratio: {large / small:.2f}")
    print(f"\nfresh interpreters, ms, best of {ROUNDS}")
    bare = start("-c 0")
    libraries = start("-c import\taiohttp,attrs,cattrs,tenacity") - bare
    ours = start("-c import\tdevino_async") - bare
    print(
        f"import of the four libraries: {libraries:.0f}   of devino_async: {ours:.0f}   ratio: {ours / libraries:.2f}"
    )
    print(f"devino --help, whole process: {start('-m devino_async --help'):.0f}")


if __name__ == "__main__":
    table()
