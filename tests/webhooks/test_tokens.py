"""Tokens: found in an address, compared, made, refused if weak, and never shown."""

import logging
import secrets
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_servers import EVENT, OTHER, TOKEN, Seen, everywhere, post, refused
from yarl import URL

from devino_async.errors import ConfigurationError
from devino_async.webhooks import tokens as tokens_module
from devino_async.webhooks.receiver import MAX_BODY
from devino_async.webhooks.tokens import Tokens, new_token


@everywhere
async def test_tokens(server: Any) -> None:
    """Any of the tokens is let in, by path or query. Wrong, missing or cut ones are 404, whatever the method."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        for right in (f"{url}/{TOKEN}", f"{url}/{OTHER}", f"{url}?token={TOKEN}", f"{url}/x?token={OTHER}"):
            assert await post(right, EVENT) == 200
        for wrong in (f"{url}/{new_token()}", f"{url}?token=", url, f"{url}/{TOKEN[:-1]}", f"{url}/%D0%AF"):
            assert await post(wrong, EVENT) == 404
            async with aiohttp.ClientSession() as session, session.get(wrong) as response:
                assert response.status == 404
    assert seen.calls == 4


@everywhere
async def test_where_the_token_is(server: Any) -> None:
    """The same address means the same everywhere: the first `token=` counts, then the path, both decoded."""
    seen, wrong = Seen(), new_token()
    encoded = f"%{ord(TOKEN[0]):02X}{TOKEN[1:]}"
    async with server(seen.receiver()) as url:
        for right in (f"{url}?token={TOKEN}&token={wrong}", f"{url}/{wrong}?token={encoded}", f"{url}/{encoded}"):
            assert await post(URL(right, encoded=True), EVENT) == 200
        for other in (f"{url}?token={wrong}&token={TOKEN}", f"{url}/{TOKEN}?token={wrong}", f"{url}/{TOKEN}/x"):
            assert await post(URL(other, encoded=True), EVENT) == 404
    assert seen.calls == 3


@everywhere
async def test_no_token_in_logs(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """No line of our log and no repr holds a token, right or wrong, whatever was answered."""
    receiver, wrong = Seen().receiver(), new_token()
    with caplog.at_level(logging.DEBUG, logger="devino_async"):
        async with server(receiver) as url:
            for token, body in ((TOKEN, EVENT), (TOKEN, b"x"), (wrong, EVENT), (TOKEN, b"x" * (MAX_BODY + 1))):
                await refused(f"{url}/{token}", body)
    said = " ".join(str(vars(record)) for record in caplog.records if record.name == "devino_async")
    assert said
    assert not any(token in said + repr(receiver) for token in (TOKEN, OTHER, wrong))


@given(st.text(max_size=60) | st.sampled_from([TOKEN, OTHER, TOKEN.upper(), TOKEN + " ", "\ud800"]))
def test_only_equal_tokens(token: str) -> None:
    """A token is right exactly if it equals one of them. Odd ones are wrong and do no harm."""
    assert (token in Tokens([TOKEN, OTHER])) == (token in {TOKEN, OTHER})


def test_all_tokens_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token is compared in constant time, whichever is right, so that the time of an answer says nothing."""
    compared: list[bool] = []
    honest = tokens_module.hmac.compare_digest
    monkeypatch.setattr(
        tokens_module.hmac, "compare_digest", lambda a, b: compared.append(honest(a, b)) or compared[-1]
    )
    assert TOKEN in Tokens([TOKEN, OTHER])
    assert compared == [True, False]


WEAK: dict[str, Any] = {
    "short": "short", "empty list": [], "empty tuple": (), "None": None, "number": 5, "number in a list": [TOKEN, 5],
    "short in a list": [TOKEN, "short"], "spaces": "x y" * 20, "line break": TOKEN + "\n", "long": "x" * 513,
    "digits": "7" * 63, "24 bytes": secrets.token_hex(24),
}  # fmt: skip


@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK)
def test_weak_tokens(weak: Any) -> None:
    """What cannot hold 32 random bytes in URL-safe characters is refused, and the error does not show it."""
    with pytest.raises(ConfigurationError, match="token must be a str") as raised:
        Tokens(weak)
    assert TOKEN not in str(raised.value)
    assert not isinstance(weak, str) or weak not in str(raised.value)


def test_new_tokens() -> None:
    """Tokens differ, are safe in URLs and hold 32 random bytes."""
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) >= 43 and each.replace("-", "").replace("_", "").isalnum() for each in made)
    for strong in (*made, secrets.token_hex(32)):
        assert strong in Tokens(strong)
