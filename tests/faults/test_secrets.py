"""Whatever goes wrong, no error, event, log line or warning shows the key, a text or a phone, nor holds aiohttp's."""

import json
import logging
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from certs import Certificates
from fault_check import KEY, Row, run
from fault_script import End, Say, Take, http
from rows_answers import ANSWERS
from rows_contents import CONTENTS
from rows_tls import TLS
from rows_wire import WIRE
from seen import LOGIN, PASSWORD, PHONE, TEXT, chain, foreign, leaks, logged, recorded, shown, strangers

from devino_async import Accepted, ConfigurationError, DevinoClient, DevinoError, PoolOptions

pytestmark = pytest.mark.usefixtures("no_leaks")

# Every fault that is quick and small: the big ones differ in nothing that is shown.
ROWS = [row for row in [*WIRE, *TLS, *ANSWERS, *CONTENTS] if row.count <= 3 and "stall" not in row.name]


def errors_of(outcome: Any) -> Iterator[BaseException]:
    for receipt in outcome.receipts:
        try:
            receipt.raise_for_outcome()
        except DevinoError as error:
            yield from chain(error)
    for event in outcome.events:
        if isinstance(getattr(event, "error", None), BaseException):
            yield from chain(event.error)


async def scan(row: Row, certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        outcome = await run(row, certificates)
    found = list(errors_of(outcome))
    texts = [text for error in found for text in (*shown(error), *recorded(error))]
    assert [each for error in found for each in strangers(error)] == []
    texts += [repr(receipt) for receipt in outcome.receipts] + [repr(event) for event in outcome.events]
    texts += logged(caplog.records)
    texts += [str(each.message) for each in warned]
    assert leaks(texts) == []
    assert not foreign(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_no_fault_shows_a_secret(row: Row, certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    """After any fault nothing that can be seen holds the key, the text or the phone, nor another library's error."""
    await scan(row, certificates, caplog)


def echoes() -> dict[str, Any]:
    """Answers that give back what they were sent, in many forms."""

    def head(request: Any) -> str:
        return request.head.decode()

    def body(request: Any) -> str:
        return request.body.decode()

    return {
        "head in HTML": lambda got: f"<pre>{head(got)}</pre>",
        "body in HTML": lambda got: f"<pre>{body(got)}</pre>",
        "head in JSON": lambda got: json.dumps({"description": head(got)}),
        "body in JSON": lambda got: json.dumps({"description": body(got)}),
        "body as it is": body,
        "body in reasons": lambda got: json.dumps(
            {"result": None, "reasons": [{"key": "x", "ref": body(got), "defaultMessage": body(got)}]}
        ),
        "key in reasons": lambda got: json.dumps(
            {"result": None, "reasons": [{"key": f"bad {KEY}", "ref": KEY, "defaultMessage": KEY}]}
        ),
        "rejection": lambda got: json.dumps(
            {"result": [{"code": "REJECTED", "reasons": [{"key": "to", "ref": "to", "defaultMessage": PHONE}]}]}
        ),
        "percent coded": lambda got: urllib.parse.quote(head(got) + body(got)),
        "as a string": lambda got: json.dumps(head(got) + body(got)),
        "names": lambda got: json.dumps({KEY: 1, PHONE: 2, TEXT: 3}),
        "key at the end of the excerpt": lambda got: "x" * 285 + " " + KEY,
    }


def echo_row(status: int, echo: Any) -> Row:
    script = (Take("request"), Say(lambda got: http(status, echo(got))), End("eof"))
    return Row(name="", scripts=(script,), verdict=Accepted)


ECHOES = [(name, status) for name in echoes() for status in (200, 400, 401, 429, 500)]


@pytest.mark.parametrize(("name", "status"), ECHOES)
async def test_no_echo_is_shown(
    name: str, status: int, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that gives back the request cannot bring it into an error or a log."""
    await scan(echo_row(status, echoes()[name]), certificates, caplog)


@pytest.mark.parametrize("before", range(270, 301, 3))
async def test_no_part_of_the_key_is_shown(before: int, certificates: Certificates) -> None:
    """A key that the end of the excerpt cuts in two is not shown in part."""
    outcome = await run(echo_row(400, lambda got: "x" * before + " " + KEY), certificates)
    texts = [text for error in errors_of(outcome) for text in shown(error)]
    assert not [text for text in texts if KEY[:8] in text]


MADE: dict[str, Callable[[], Any]] = {
    "a key with a line break": lambda: DevinoClient(f"{KEY}\n"),
    "a key of the wrong kind": lambda: DevinoClient(KEY.encode()),  # type: ignore[arg-type]
    "a key and a login": lambda: DevinoClient(KEY, login=LOGIN, password=PASSWORD),
    "a login alone": lambda: DevinoClient(login=LOGIN),
    "a password alone": lambda: DevinoClient(password=PASSWORD),
    "a login with a colon": lambda: DevinoClient(login=f"{LOGIN}:", password=PASSWORD),
    "a password with a line break": lambda: DevinoClient(login=LOGIN, password=f"{PASSWORD}\n"),
    "an address with credentials": lambda: DevinoClient(KEY, base_url=f"https://{LOGIN}:{PASSWORD}@devino.test"),
    "an address with an odd port": lambda: DevinoClient(KEY, base_url=f"https://devino.test:{KEY}"),
    "an address with odd letters": lambda: DevinoClient(KEY, base_url=f"https://{LOGIN}\u2100.test"),
    "plain http": lambda: DevinoClient(KEY, base_url="http://devino.test"),
    "an option of the wrong kind": lambda: DevinoClient(KEY, timeouts=5),  # type: ignore[arg-type]
    "a hook that is none": lambda: DevinoClient(login=LOGIN, password=PASSWORD, on_event=5),  # type: ignore[arg-type]
    "an option that is unknown": lambda: DevinoClient(KEY, pasword=PASSWORD),  # type: ignore[call-arg]
    "too many arguments": lambda: DevinoClient(KEY, PASSWORD),  # type: ignore[misc]
    "a proxy by https": lambda: PoolOptions(proxy=f"https://{LOGIN}:{PASSWORD}@proxy.test"),
    "a proxy of the wrong kind": lambda: PoolOptions(proxy=PASSWORD.encode()),  # type: ignore[arg-type]
    "a proxy with an odd port": lambda: PoolOptions(proxy=f"http://proxy.test:{PASSWORD}"),
    "a proxy beside a wrong number": lambda: PoolOptions(proxy=f"http://u:{PASSWORD}@proxy.test", connections=0),
    "a proxy beside a wrong address": lambda: PoolOptions(proxy=f"http://u:{PASSWORD}@proxy.test", local_address="x"),
}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a key with a line break": {"DEVINO_API_KEY": f"{KEY}\n"},
    "both": {"DEVINO_API_KEY": KEY, "DEVINO_LOGIN": LOGIN, "DEVINO_PASSWORD": PASSWORD},
    "a password alone": {"DEVINO_PASSWORD": PASSWORD},
    "an address with credentials": {"DEVINO_API_KEY": KEY, "DEVINO_BASE_URL": f"https://{LOGIN}@devino.test"},
}


def check_construction(make: Callable[[], Any]) -> None:
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        make()
    assert leaks(text for error in chain(caught.value) for text in (*shown(error), *recorded(error))) == []


@pytest.mark.parametrize("name", MADE)
def test_no_failed_construction_shows_a_secret(name: str) -> None:
    """What cannot be made of credentials says why, and no frame of its traceback holds what was given."""
    check_construction(MADE[name])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_environment_is_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a frame hold the environment that credentials were looked for in."""
    monkeypatch.setenv("LAB_TOKEN", KEY)
    for variable in ("DEVINO_API_KEY", "DEVINO_LOGIN", "DEVINO_PASSWORD", "DEVINO_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in ENVIRONMENTS[name].items():
        monkeypatch.setenv(variable, value)
    check_construction(DevinoClient)
