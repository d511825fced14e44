"""Journals on one store of any kind, and the modules of this folder. What all tests share is one folder up."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from stores import Process, SQLiteStores

from devino_async.campaigns import Journal


@pytest.fixture(params=[SQLiteStores], ids=["sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> SQLiteStores:
    made: SQLiteStores = request.param(tmp_path)
    return made


@pytest.fixture
async def journal(stores: SQLiteStores) -> AsyncIterator[Journal]:
    made = stores.journal()
    yield made
    await made.aclose()


@pytest.fixture
async def other(stores: SQLiteStores) -> AsyncIterator[Journal]:
    """A second journal on the same store."""
    made = stores.journal()
    yield made
    await made.aclose()


@pytest.fixture
def process(stores: SQLiteStores) -> Iterator[Callable[[], Process]]:
    """Starts journals in processes of their own."""
    made: list[Process] = []

    def start() -> Process:
        made.append(Process(stores))
        return made[-1]

    yield start
    for each in made:
        with suppress(OSError):
            each.kill()
