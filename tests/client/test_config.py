"""Credentials and address: what is taken, what is refused, and what never shows."""

import base64
import copy
import traceback

import pytest

from devino_async import ConfigurationError, DevinoClient
from devino_async.client.config import DEFAULT_BASE_URL, Credentials, base_url_from, credentials_from
from devino_async.redaction import Redaction

KEY = "s3cret-KEY=="
LOGIN = "campaigner"
PASSWORD = "pa55-phrase"


def test_key() -> None:
    """An API key becomes `Key ...` and is listed as a secret."""
    assert credentials_from(KEY, None, None, {}) == Credentials(f"Key {KEY}", Redaction((KEY,)))


@pytest.mark.parametrize(("login", "password"), [(LOGIN, PASSWORD), ("логин", "пароль: с двоеточием"), ("a", ":")])
def test_login_and_password(login: str, password: str) -> None:
    """Login and password become `Basic base64(login:password)` in UTF-8. All three are secrets."""
    made = credentials_from(None, login, password, {})
    kind, token = made.header.split(" ")
    assert kind == "Basic"
    assert base64.b64decode(token).decode() == f"{login}:{password}"
    assert made.redaction == Redaction((token, password, login))


@pytest.mark.parametrize(
    "given",
    [
        (None, None, None),
        (KEY, LOGIN, None),
        (KEY, None, PASSWORD),
        (KEY, LOGIN, PASSWORD),
        (None, LOGIN, None),
        (None, None, PASSWORD),
        ("", None, None),
        (None, "", PASSWORD),
        (None, LOGIN, ""),
    ],
)
def test_missing_or_doubled(given: tuple[str | None, str | None, str | None]) -> None:
    """Neither, both, half or empty credentials are refused at once, without showing them."""
    with pytest.raises(ConfigurationError) as raised:
        credentials_from(*given, {})
    told = "".join(traceback.format_exception(raised.value)).split("ConfigurationError: ")[-1]
    assert not any(secret in told for secret in (KEY, LOGIN, PASSWORD))


@pytest.mark.parametrize(
    "broken", ["{}\r\nX: 1", "{}\n", "{}\x00b", "{}\x7f", "\t{}", "{}ключ", "{}\x85", " {}", "{} "]
)
def test_unusable_key(broken: str) -> None:
    """A key with control characters, non-ASCII or outer spaces is refused, and not shown."""
    with pytest.raises(ConfigurationError) as raised:
        credentials_from(broken.format(KEY), None, None, {})
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("broken", ["a\r\nb", "a\x00b", "a\nb", "a\x7f"])
def test_control_characters_in_login_or_password(broken: str) -> None:
    """Control characters are refused in login and password too. A colon would move the border between them."""
    for login, password in ((broken, PASSWORD), (LOGIN, broken), ("a:b", PASSWORD)):
        with pytest.raises(ConfigurationError):
            credentials_from(None, login, password, {})


def test_any_printable_key() -> None:
    """The key format is not documented: every printable ASCII character may stand in it."""
    key = "".join(map(chr, range(0x21, 0x7F)))
    assert credentials_from(key, None, None, {}).header == f"Key {key}"
    assert credentials_from("two words", None, None, {}).header == "Key two words"


def test_environment() -> None:
    """The environment counts only if no argument is given, with the same rules. An empty value counts as absent."""
    assert credentials_from(None, None, None, {"DEVINO_API_KEY": KEY}).header == f"Key {KEY}"
    pair = {"DEVINO_LOGIN": LOGIN, "DEVINO_PASSWORD": PASSWORD}
    assert credentials_from(None, None, None, pair) == credentials_from(None, LOGIN, PASSWORD, {})
    assert credentials_from(None, None, None, {**pair, "DEVINO_API_KEY": ""}).header.startswith("Basic ")
    assert credentials_from("other", None, None, {**pair, "DEVINO_API_KEY": KEY}).header == "Key other"
    assert credentials_from(None, LOGIN, PASSWORD, {"DEVINO_API_KEY": KEY}).header.startswith("Basic ")
    for environment in ({**pair, "DEVINO_API_KEY": KEY}, {"DEVINO_LOGIN": LOGIN}, {"DEVINO_PASSWORD": PASSWORD}, {}):
        with pytest.raises(ConfigurationError):
            credentials_from(None, None, None, environment)


def test_half_given_is_not_completed() -> None:
    """A login given as argument is never paired with a password of the environment."""
    with pytest.raises(ConfigurationError, match="password"):
        credentials_from(None, LOGIN, None, {"DEVINO_PASSWORD": PASSWORD})


def test_credentials_never_show() -> None:
    """Neither key, login, password nor the Basic token stands in the text of Credentials."""
    for made in (credentials_from(KEY, None, None, {}), credentials_from(None, LOGIN, PASSWORD, {})):
        secrets = (KEY, LOGIN, PASSWORD, made.header.split(" ")[1])
        for shown in (repr(made), str(made), repr(copy.copy(made)), repr([made])):
            assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, DEFAULT_BASE_URL),
        ("https://api.devino.online", "https://api.devino.online"),
        ("https://api.devino.online///", "https://api.devino.online"),
        ("HTTPS://gateway.example/devino/", "HTTPS://gateway.example/devino"),
        ("https://gateway.example:8443", "https://gateway.example:8443"),
        ("http://localhost:8025", "http://localhost:8025"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:8025", "http://127.0.0.1:8025"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8025", "http://[::1]:8025"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_base_url(given: str | None, kept: str) -> None:
    """https to anywhere and http to loopback are accepted. A slash at the end is dropped."""
    assert base_url_from(given, {}) == kept


@pytest.mark.parametrize(
    "given",
    [
        "http://api.devino.online",
        "http://0.0.0.0:8025",
        "http://10.0.0.1",
        "http://[::2]",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://2130706433",
        "ftp://localhost",
        "ws://localhost",
        "api.devino.online",
        "//api.devino.online",
        "https://",
        "https:///path",
        "https://user:word@api.devino.online",
        "https://user@api.devino.online",
        "https://api.devino.online?x=1",
        "https://api.devino.online#x",
        "https://api.devino.online:99999",
        "https://api.devino.online:port",
        "https://api devino.online",
        "https://api.devino.online\r\n",
        "https://api.\ndevino.online",
        "https://девино.онлайн",
        "https://[::1",
    ],
)
def test_unusable_base_url(given: str) -> None:
    """Plain http off the machine, credentials, query, fragment and broken URLs are refused, from either source."""
    with pytest.raises(ConfigurationError) as raised:
        base_url_from(given, {})
    assert "word" not in str(raised.value)
    with pytest.raises(ConfigurationError):
        base_url_from(None, {"DEVINO_BASE_URL": given})


def test_an_empty_base_url() -> None:
    """An address that is given and empty is a mistake, and never means the real service."""
    with pytest.raises(ConfigurationError, match="base_url"):
        base_url_from("", {})


def test_base_url_of_the_environment() -> None:
    """DEVINO_BASE_URL counts only if no address is given."""
    environment = {"DEVINO_BASE_URL": "http://127.0.0.1:1/"}
    assert base_url_from(None, environment) == "http://127.0.0.1:1"
    assert base_url_from("https://gateway.example", environment) == "https://gateway.example"


def test_client_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself falls back to the environment, needs no loop, and shows no credential."""
    monkeypatch.setenv("DEVINO_API_KEY", KEY)
    monkeypatch.setenv("DEVINO_BASE_URL", "http://[::1]:8025")
    client = DevinoClient()
    assert "http://[::1]:8025" in repr(client)
    assert KEY not in repr(client)


def test_values_that_are_no_text() -> None:
    """Credentials and addresses of the wrong kind are ConfigurationError too, not a TypeError from inside."""
    with pytest.raises(ConfigurationError):
        credentials_from(12345, None, None, {})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        credentials_from(KEY.encode(), None, None, {})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        base_url_from(8025, {})  # type: ignore[arg-type]


def test_failed_construction_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConfigurationError is all that is seen of a client that could not be made."""
    seen: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda found: seen.append(found.exc_type))

    def attempt() -> None:
        with pytest.raises(ConfigurationError):
            DevinoClient("bad\nkey")

    attempt()
    assert not seen
