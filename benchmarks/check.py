"""`devino check` beside reading the same file and counting its segments by hand: rows a second, and peak memory.

Each is a process of its own, so that its start and its peak memory count. By hand means csv.DictReader, a set of the
numbers and `math.ceil`, which knows nothing of escapes and emoji, and finds no bad row.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import show

SHORT, LONG = 200_000, 1_000_000
ROUNDS = 3
TEXTS = (
    "Ваш заказ {} готов. Покажите это сообщение на кассе.",
    "Your order {} is ready. Show this message at the counter.",
    "Your order’s ready – pick it up today between 10 and 18 at our store. Show the number {} at the counter, please",
)
PEAK = """
try:
    lines = open("/proc/self/status").read().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024))
"""
BY_HAND = """
import csv, math, sys
numbers, segments = set(), 0
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file, delimiter=";"):
        numbers.add(row["to"])
        limits = (160, 153) if row["text"].isascii() else (70, 67)
        size = len(row["text"])
        segments += 1 if size <= limits[0] else math.ceil(size / limits[1])
"""
OURS = """
import os, sys
sys.stdout = open(os.devnull, "w")
from devino_async.cli import devino
try:
    devino(["check", sys.argv[1], "--sender", "MyCompany", "--price", "4.20", "--json"])
except SystemExit as ended:
    sys.stdout = sys.__stdout__
    assert ended.code == 0, ended.code
"""
WAYS = {"by hand": BY_HAND, "devino check": OURS}


def write(path: Path, count: int) -> None:
    """Write a file of rows. Every thousandth row has a number that came before."""
    with path.open("w", encoding="utf-8") as file:
        file.write("to;text\n")
        for number in range(count):
            to = number - 1 if number % 1000 == 999 else number
            file.write(f"7900{to * 7_919 % 10_000_000:07};{TEXTS[number % 3].format(number)}\n")


def taken(program: str, path: Path) -> tuple[float, float]:
    """How many seconds a process takes for the file, and its peak memory in MB."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEVINO_")}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program + PEAK, path], env=environment, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - began, float(done.stdout)


def table() -> None:
    """A row for each way."""
    rows = []
    with TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.csv", Path(folder) / "long.csv"
        write(short, SHORT)
        write(long, LONG)
        for name, program in WAYS.items():
            _, small = taken(program, short)
            runs = [taken(program, long) for _ in range(ROUNDS)]
            best = min(seconds for seconds, _ in runs)
            peak = max(memory for _, memory in runs)
            rows.append([name, f"{LONG / best:,.0f}", f"{small:.0f}", f"{peak:.0f}"])
    show(
        f"a file of {LONG:,} rows, read once and counted, whole process; best of {ROUNDS}; peak memory in MB",
        ["", "rows/s", f"MB, {SHORT:,} rows", f"MB, {LONG:,} rows"],
        rows,
    )


if __name__ == "__main__":
    table()
