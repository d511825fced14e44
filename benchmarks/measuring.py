"""How anything is measured here: contenders run in turn, and ratios are taken round by round.

A shared machine may change its speed twofold within minutes, so a ratio of two best times says little. Contenders that
run right after one another are compared, and the median of these ratios is shown. What is measured is in the other
files.
"""

import gc
import statistics
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from attrs import frozen

OURS = "devino_async"


@frozen
class Contender:
    """One way to do a piece of work. `prepare` makes what `work` is given, and is not on the clock."""

    name: str
    work: Callable[[Any], object]
    prepare: Callable[[], Any] = lambda: None


def seconds(contender: Contender, *, collecting: bool = False) -> float:
    """How long the work took once. The garbage collector runs meanwhile only if `collecting`."""
    prepared = contender.prepare()
    gc.collect()
    if not collecting:
        gc.disable()
    try:
        began = time.perf_counter()
        done = contender.work(prepared)
        taken = time.perf_counter() - began
    finally:
        gc.enable()
    del done
    return taken


def in_turn(
    contenders: Iterable[Contender], rounds: int, measure: Callable[[Contender], Any] = seconds
) -> dict[str, list[Any]]:
    """What was measured of each, round by round. Every other round goes backwards, so that none is always first."""
    order = list(contenders)
    measured: dict[str, list[Any]] = {each.name: [] for each in order}
    for turn in range(rounds):
        for each in order if turn % 2 == 0 else reversed(order):
            measured[each.name].append(measure(each))
    return measured


def ratio(theirs: Iterable[float], ours: Iterable[float]) -> float:
    """How many times as fast ours is, from the seconds of both: the median of the ratios of each round."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def steps(work: Coroutine[Any, Any, object]) -> list[float]:
    """How long each step took between two turns of the event loop, in milliseconds. The work may only sleep(0)."""
    taken = []
    while True:
        began = time.perf_counter()
        try:
            work.send(None)
        except StopIteration:
            return taken
        finally:
            taken.append((time.perf_counter() - began) * 1000)


def percentile(values: Iterable[float], part: float) -> float:
    """The value that this part of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def show(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table. The first column is text, the others are figures."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}")
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("   ".join(cells).rstrip(), flush=True)


def speeds(count: int, contenders: list[Contender], measured: dict[str, list[float]]) -> list[list[str]]:
    """A row for each contender: items a second at best, milliseconds at best, and how many times as fast ours is."""
    rows = []
    for each in contenders:
        best = min(measured[each.name])
        times = "" if each.name == OURS else f"{ratio(measured[each.name], measured[OURS]):.2f}"
        rows.append([each.name, f"{count / best:,.0f}", f"{best * 1000:,.1f}", times])
    return rows
