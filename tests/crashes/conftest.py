"""The crash lab: its modules lie beside the tests and are found here, those of the fault lab too."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
sys.path.insert(0, str(Path(__file__).parents[1] / "client"))
sys.path.insert(0, str(Path(__file__).parents[1] / "campaigns"))
sys.path.insert(0, str(Path(__file__).parent))

from counting_server import CountingServer, counting_server


@pytest.fixture
def server() -> Iterator[CountingServer]:
    """A service in a process of its own that counts every message and does nothing wrong unless it is told to."""
    with counting_server() as made:
        yield made
