"""Options that several commands share: types of values, and the connection."""

import sys
import zoneinfo
from datetime import datetime, timedelta
from typing import Any

import click
import pytest

from devino_async import ConfigurationError, PoolOptions
from devino_async.cli.options import connection_of, moment, upper, zone

CREDENTIALS = {"api_key": None, "login": None, "password": None, "base_url": None}
NONE_GIVEN = {**CREDENTIALS, "proxy": None}


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
    assert connection_of(options) == {**CREDENTIALS, **given, "password": password}
    assert options == {"json_lines": True}


@pytest.mark.parametrize("name", ["Europe/Moscow", "Asia/Yekaterinburg", "UTC"])
def test_a_zone(name: str) -> None:
    """A time zone is given by its IANA name, and goes to the client."""
    found = zone(name)
    assert str(found) == name
    assert connection_of({**NONE_GIVEN, "time_zone": found}) == {**CREDENTIALS, "time_zone": found}


@pytest.mark.parametrize("name", ["Moscow", "Europe", "", "+03:00", "../etc/passwd", "a\0b", "/etc/localtime"])
def test_a_zone_that_is_unknown(name: str) -> None:
    """A name that is not a zone's, whatever it is, is a usage error with an example."""
    with pytest.raises(click.BadParameter, match="must be an IANA name, such as Europe/Moscow"):
        zone(name)


def test_no_data_of_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine has no time zone data, as on Windows, the error names the package. UTC needs none."""
    for module in ["tzdata", *(name for name in sys.modules if name.startswith("tzdata."))]:
        monkeypatch.setitem(sys.modules, module, None)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(())
    zoneinfo.ZoneInfo.clear_cache()
    try:
        with pytest.raises(click.BadParameter, match="pip install tzdata"):
            zone("Europe/Moscow")
        assert zone("UTC").utcoffset(None) == timedelta(0)
    finally:
        zoneinfo.reset_tzpath(before)


@pytest.mark.parametrize(
    ("option", "variable"), [("http://a:1", None), (None, "http://a:1"), ("http://a:1", "http://b:2")]
)
def test_a_proxy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str | None, variable: str | None
) -> None:
    """--proxy goes before $DEVINO_PROXY, and with either of them no other proxy is named."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@c:3")
    if variable is not None:
        monkeypatch.setenv("DEVINO_PROXY", variable)
    assert connection_of({**NONE_GIVEN, "proxy": option})["pool"] == PoolOptions(proxy="http://a:1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A proxy of the environment is not used. This is said once, without the URL, which may hold a password."""
    monkeypatch.setenv(name, "http://user:secret@c:3")
    assert "pool" not in connection_of(dict(NONE_GIVEN))
    told = capsys.readouterr().err
    assert told == f"{name} is set but not used; devino takes its proxy from --proxy or $DEVINO_PROXY\n"


def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of another kind is a ConfigurationError of one line, without the URL."""
    monkeypatch.setenv("DEVINO_PROXY", "socks5://user:secret@c:3")
    with pytest.raises(ConfigurationError) as failed:
        connection_of(dict(NONE_GIVEN))
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)
