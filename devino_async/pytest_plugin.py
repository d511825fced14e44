"""The pytest plugin: the fixtures `devino_sandbox` and `devino_client`. They need no async plugin and no configuration.

pytest loads this file wherever the package is installed. It imports nothing else until a test asks for a fixture.
"""

from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from . import DevinoClient
    from .sandbox import SandboxThread

__all__ = ["devino_client", "devino_sandbox"]

# Seconds that a message spends in each status. It is DELIVERED after three of them.
_STAGE = 0.05


@pytest.fixture
def devino_sandbox(monkeypatch: pytest.MonkeyPatch) -> "Iterator[SandboxThread]":
    """A new, empty sandbox in a thread of its own.

    During the test DEVINO_BASE_URL and DEVINO_API_KEY point at it, so an app that configures its client from the
    environment talks to it too.
    """
    from .sandbox import SandboxThread  # noqa: PLC0415

    # Without kept connections, a client whose event loop is closed leaves nothing open.
    with SandboxThread(stage=_STAGE, keep_alive=False) as sandbox:
        monkeypatch.setenv("DEVINO_BASE_URL", sandbox.url)
        monkeypatch.setenv("DEVINO_API_KEY", "any-key")
        for name in ("DEVINO_LOGIN", "DEVINO_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        yield sandbox


@pytest.fixture
def devino_client(devino_sandbox: "SandboxThread") -> "Iterator[DevinoClient]":
    """A client that talks to the sandbox. It is closed after the test, on whichever event loop the test used it."""
    from .client.release import ReleasableClient  # noqa: PLC0415

    client = ReleasableClient("any-key", base_url=devino_sandbox.url)
    yield client
    client.release(_elsewhere)


def _elsewhere(work: "Coroutine[Any, Any, None]") -> None:
    """Run a coroutine in another thread. This one may run an event loop, and a test may have stopped the sandbox."""
    import asyncio  # noqa: PLC0415
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
