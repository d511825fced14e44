"""Options that several commands share: types of values, and the connection."""

from datetime import datetime
from typing import Any

import click
import pytest

from devino_async.cli.options import connection_of, moment, upper

NONE_GIVEN = {"api_key": None, "login": None, "password": None, "base_url": None}


def test_types() -> None:
    """A moment is a date, or a date and time. Names are written in capitals."""
    assert moment("2026-01-31") == datetime.fromisoformat("2026-01-31T00:00:00")
    assert moment("2026-01-31T10:00:00+03:00").utcoffset() is not None
    with pytest.raises(click.BadParameter, match="must be YYYY-MM-DD"):
        moment("31.01.2026")
    assert upper("delivered") == "DELIVERED"


@pytest.mark.parametrize(
    ("given", "password"), [({"login": "user"}, "secret"), ({"login": "user", "password": "own"}, "own"), ({}, None)]
)
def test_a_connection(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], password: str | None) -> None:
    """A password that is missing beside a login comes from the environment. All other options stay in place."""
    monkeypatch.setenv("DEVINO_PASSWORD", "secret")
    options = {**NONE_GIVEN, **given, "json_lines": True}
    assert connection_of(options) == {**NONE_GIVEN, **given, "password": password}
    assert options == {"json_lines": True}
