"""Smoke: every module imports, and what needs no network works: messages, queries, callbacks, texts of errors."""

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest

import devino_async
from devino_async import (
    DetailQuery,
    InvalidCallback,
    InvalidMessage,
    InvalidQuery,
    Message,
    Priority,
    Status,
    parse_callbacks,
    parse_incoming,
)

# What a module needs beside the dependencies of the core. A room's needs are those of its modules too.
NEEDS = {
    "devino_async.cli": ("click", "rich"),
    "devino_async.contrib.django": ("django",),
    "devino_async.contrib.starlette": ("starlette",),
}
CALLBACK = {"messageId": 3597944866766620289, "ts": 1613404835977, "status": "DELIVERED", "errorCode": 0}


def modules() -> list[object]:
    """The name of every module, marked with what it needs."""
    root = Path(devino_async.__file__).parent
    names = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py")]
    names = sorted(name.removesuffix(".__init__") for name in names)
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.needs(*libraries)
                for room, libraries in NEEDS.items()
                if name == room or name.startswith(f"{room}.")
            ],
        )
        for name in names
    ]


@pytest.mark.parametrize("name", modules())
def test_imports(name: str) -> None:
    """Every module imports."""
    import_module(name)


def test_front_door() -> None:
    """Every public name is there."""
    names: dict[str, object] = {}
    exec("from devino_async import *", names)
    assert {"DevinoClient", "Message", "Accepted", "DevinoError"} <= set(names)


def test_messages() -> None:
    """A message is checked at birth, and all its problems are named at once."""
    message = Message(
        sender="MyCompany",
        to="+79000000001",
        text="Hello",
        validity=timedelta(hours=1),
        scheduled_time=datetime.now(UTC),
        priority=Priority.HIGH,
        callback_url="https://example.com/devino",
        options={"ref": "1"},
    )
    assert (message.to, message.validity, message.options) == ("79000000001", 3600, {"ref": "1"})
    with pytest.raises(InvalidMessage) as invalid:
        Message(sender="", to="8 (900)", text="")
    assert len(invalid.value.problems) >= 3
    with pytest.raises(InvalidQuery):
        DetailQuery(task_id=1, message_ids=["1"])


def test_callbacks() -> None:
    """Callbacks are read. An odd one is refused with the name of its place, and without its contents."""
    [event] = parse_callbacks(json.dumps([{**CALLBACK, "colour": "red"}]))
    assert (event.message_id, event.status, event.extra) == ("3597944866766620289", Status.DELIVERED, {"colour": "red"})
    assert event.timestamp.tzinfo is UTC
    with pytest.raises(InvalidCallback, match="status") as refused:
        parse_callbacks(json.dumps([{**CALLBACK, "status": ["odd one"]}]))
    assert "odd one" not in str(refused.value)
    with pytest.raises(InvalidCallback):
        parse_incoming(b"no JSON")
