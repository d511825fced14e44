"""The same contenders for pytest-benchmark: pytest benchmarks (not part of the tests, which never assert a time).

Each is measured as by hand, but over pytest-benchmark's rounds and with its tables and comparisons.
"""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import campaign
import codec
import footprint
import json_libraries
import latency
import pytest
import reads
import singles
from canned_server import canned_server
from measuring import Contender, percentile

pytest.importorskip("pytest_benchmark")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def run(benchmark: Any, group: str, contender: Contender, rounds: int = 5) -> None:
    """Measure one contender. What it prepares is not on the clock."""
    benchmark.group = group
    benchmark.pedantic(contender.work, setup=lambda: ((contender.prepare(),), {}), rounds=rounds, warmup_rounds=1)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The server that answers from memory."""
    with canned_server() as address:
        yield address


def names(contenders: Iterable[Contender]) -> list[str]:
    return [each.name for each in contenders]


NOWHERE = "http://127.0.0.1:9"
CODEC = {(group, each.name): each for group, everybody in codec.contenders().items() for each in everybody}
SINGLES = names(singles.contenders(NOWHERE))
WAYS = list(latency.WAYS)
STARTS = list(footprint.starting())
JSON = {(group, each.name): each for group, (_, everybody) in json_libraries.contenders().items() for each in everybody}


@pytest.mark.parametrize(("group", "name"), CODEC, ids=map(", ".join, CODEC))
def test_codec(benchmark: Any, group: str, name: str) -> None:
    """Building, encoding and decoding one batch."""
    run(benchmark, group, CODEC[group, name])


@pytest.mark.parametrize(("group", "name"), JSON, ids=map(", ".join, JSON))
def test_json_libraries(benchmark: Any, group: str, name: str) -> None:
    """Reading answers as JSON alone."""
    run(benchmark, group, JSON[group, name])


@pytest.mark.parametrize("which", [0, 1], ids=names(campaign.contenders(NOWHERE)["ready"]))
@pytest.mark.parametrize("group", campaign.contenders(NOWHERE))
def test_campaign(benchmark: Any, url: str, group: str, which: int) -> None:
    """A campaign over full batches."""
    run(benchmark, f"campaign, {group}", campaign.contenders(url, 4 * campaign.BATCH)[group][which])


@pytest.mark.parametrize("which", range(len(SINGLES)), ids=SINGLES)
def test_singles(benchmark: Any, url: str, which: int) -> None:
    """Messages that come one by one."""
    run(benchmark, "singles", singles.contenders(url)[which], rounds=1)


@pytest.mark.parametrize("which", [0, 1, 2], ids=names(reads.contenders(NOWHERE)["statuses"]))
@pytest.mark.parametrize("group", reads.contenders(NOWHERE))
def test_reads(benchmark: Any, url: str, group: str, which: int) -> None:
    """Statuses of 100,000 ids, and 100,000 detail rows."""
    warnings.simplefilter("ignore", ResourceWarning)
    run(benchmark, group, reads.contenders(url)[group][which], rounds=2)


@pytest.mark.parametrize("which", range(len(WAYS)), ids=WAYS)
@pytest.mark.parametrize("after", latency.SERVICE_TIMES)
def test_lone_sends(benchmark: Any, url: str, after: int, which: int) -> None:
    """Messages that are sent one after the other, to a service that takes so many milliseconds."""
    address = f"{url}/after/{after}" if after else url
    run(benchmark, f"lone sends, {after} ms", latency.contenders(address)[which])


@pytest.fixture(scope="module")
def starts() -> Iterator[list[Contender]]:
    """Programs whose byte code is made already."""
    with footprint.contenders() as programs:
        yield programs


@pytest.mark.parametrize("which", range(len(STARTS)), ids=STARTS)
def test_starts(benchmark: Any, starts: list[Contender], which: int) -> None:
    """Imports and the command, in fresh interpreters."""
    run(benchmark, "starts", starts[which])


class Gauge:
    """A clock that goes on by what is measured, so that pytest-benchmark shows figures that are not its own times."""

    def __init__(self) -> None:
        self.shown = 0.0

    def __call__(self) -> float:
        return self.shown

    def add(self, measured: float) -> None:
        self.shown += measured


GAUGE = Gauge()


@pytest.mark.benchmark(timer=GAUGE)
@pytest.mark.parametrize("what", ["longest", "p99"])
@pytest.mark.parametrize("which", [0, 1], ids=names(campaign.contenders(NOWHERE)["ready"]))
@pytest.mark.parametrize("group", campaign.contenders(NOWHERE))
def test_stalls(benchmark: Any, url: str, group: str, which: int, what: str) -> None:
    """How long the event loop is blocked during a campaign, garbage collection on."""
    part = 1.0 if what == "longest" else 0.99

    def work() -> None:
        contender = campaign.contenders(url, 4 * campaign.BATCH)[group][which]
        GAUGE.add(percentile(campaign.seen(contender, collecting=True).stalls, part) / 1000)

    benchmark.group = f"{what} stall, {group}"
    benchmark.pedantic(work, rounds=3)


@pytest.mark.benchmark(timer=GAUGE)
@pytest.mark.parametrize("count", [footprint.SHORT, footprint.LONG])
def test_memory(benchmark: Any, url: str, count: int) -> None:
    """Peak memory of a campaign."""
    benchmark.group = "peak memory of a campaign, MB, whatever unit is shown"
    benchmark.pedantic(lambda: GAUGE.add(footprint.peak(url, count)), rounds=1)
