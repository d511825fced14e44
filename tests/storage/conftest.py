"""A path for a file of notes, and the file. Modules beside the tests are found here."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from notes import notes

from devino_async.storage.sqlite import SQLiteFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[SQLiteFile]:
    made = notes(path)
    yield made
    await made.aclose()
