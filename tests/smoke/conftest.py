"""What the smoke part shares. It uses public names only, and nothing from the rest of the tests.

It runs on the lowest allowed versions with one extra at a time, and against an installed wheel: see .ci/run.
"""

import importlib.util
from collections.abc import AsyncIterator

import pytest

from devino_async.sandbox import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*libraries): skipped where one is absent; one that is broken fails")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for library in mark.args:
            if importlib.util.find_spec(library) is None:
                pytest.skip(f"{library} is not installed")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox that lets in one key only, which is `right`."""
    async with Sandbox(api_key="right", stage=0.05) as running:
        yield running
