"""Smoke: the pytest plugin of the installed package, found without configuration."""

import asyncio
from importlib.metadata import entry_points

import pytest

from devino_async import Message


def test_the_fixtures(request: pytest.FixtureRequest) -> None:
    """What the client sends is in the sandbox, in a test without an event loop."""
    if not any(each.value == "devino_async.pytest_plugin" for each in entry_points(group="pytest11")):
        pytest.skip("the entry point of the pytest plugin is not installed: install the package again")
    sandbox, client = request.getfixturevalue("devino_sandbox"), request.getfixturevalue("devino_client")
    # asyncio.run() would leave the thread without a loop. Then pytest-asyncio 1.3 makes one that it does not close.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(client.send(Message(sender="MyCompany", to="79000000001", text="Hello")))
    assert sandbox.wait_for(to="79000000001").text == "Hello"
    sandbox.assert_nothing_sent_twice()
