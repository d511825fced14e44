"""Journals on one file, and the path of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devino_async.campaigns import SQLiteJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sms.journal"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(path) as made:
        yield made


@pytest.fixture
async def other(path: Path) -> AsyncIterator[SQLiteJournal]:
    made = SQLiteJournal(path)
    yield made
    await made.aclose()
