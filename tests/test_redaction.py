"""Redaction: what may be shown of a call and of an answer."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async import DetailQuery, Message
from devino_async.exchange import Answer
from devino_async.protocol import details, sending
from devino_async.redaction import Redaction

PHONE = "79001234567"
TEXT = 'Код "4711", скажите оператору'
KEY = "s3cretKEY"


def answer(body: bytes | str, sent: tuple[bytes, ...] = (), secrets: tuple[str, ...] = ()) -> Answer:
    encoded = body if isinstance(body, bytes) else body.encode()
    return Answer(status=400, body=encoded, redaction=Redaction(secrets).for_request(sent, ""))


def sent() -> tuple[bytes, ...]:
    body = sending.call([*map(str.encode, sending.encode([Message(sender="brandname", to=PHONE, text=TEXT)]))], 1).body
    assert body is not None
    return body


def test_reprs_hold_no_body() -> None:
    """Neither a call nor an answer shows its body, what was sent, or a secret."""
    shown = repr(sending.call(sent(), 1))
    shown += repr(answer(TEXT, sent=sent(), secrets=(KEY,)))
    assert not any(each in shown for each in (TEXT, PHONE, KEY, "4711", "brandname"))


def test_call_repr_holds_no_query_values() -> None:
    """The query of a details call holds a recipient and a search text: the repr of the call shows neither."""
    call = details.call(DetailQuery(task_id=1, recipient=PHONE, search_text="sesame"), offset=0, limit=1)
    assert PHONE not in repr(call)
    assert "sesame" not in repr(call)


def test_plain_page() -> None:
    """Of a plain page the beginning is shown, so that a gateway's page can be told from the service."""
    assert answer("<html><h1>502 Bad Gateway</h1>").excerpt() == "<html><h1>502 Bad Gateway</h1>"
    assert len(answer("ab " * 1000).excerpt()) == 300
    assert answer(b"").excerpt() == ""


def test_envelope() -> None:
    """Of an error envelope the telling words are shown and no rows of data."""
    body = {
        "result": {"data": [{"text": "private", "recipient": PHONE, "description": "row"}]},
        "reasons": [{"key": "name.must.be.not.null", "ref": "name", "defaultMessage": "must not be null"}],
        "description": "Key error",
        "userLogin": "anna",
    }
    shown = answer(json.dumps(body)).excerpt()
    assert shown == "name.must.be.not.null; name; must not be null; Key error"


@pytest.mark.parametrize("body", ["{", "[" * 100_000, '"abc', '{"a":NaN,}', "[1,2"])
def test_broken_json_is_withheld(body: str) -> None:
    """What begins as JSON and cannot be read is withheld: nobody knows what it holds."""
    assert answer(body).excerpt() == f"<{len(body)} bytes withheld>" or len(body) > 16_384


def test_long_bodies_are_withheld() -> None:
    """A long body is data, not an explanation."""
    assert answer("x" * 20_000).excerpt() == "<20000 bytes withheld>"


def test_broken_utf8() -> None:
    """Bytes that are no UTF-8 do not stop the telling."""
    assert "oops" in answer(b"oops \xff\xfe").excerpt()


@pytest.mark.parametrize(
    "body",
    [
        f"refused: {TEXT} for {PHONE}",
        json.dumps({"description": f"Invalid field value. Value: {TEXT}", "message": PHONE}),
        json.dumps({"description": f"Value: {TEXT}"}, ensure_ascii=False),
        f"<p>{TEXT.replace(chr(34), '&quot;')}</p><p>+7 (900) 123-45-67</p>",
        "message 7900%31234567 %D1%81%D0%BA%D0%B0%D0%B6%D0%B8%D1%82%D0%B5",
        "&#55;9001234567 &#1089;кажите",
    ],
)
def test_no_echo(body: str) -> None:
    """Words of the request that the service echoes, escaped or not, are never shown, nor is a phone number."""
    shown = answer(body, sent=sent()).excerpt()
    for private in ("4711", "скажите", "оператору", PHONE, "900", "123-45-67"):
        assert private not in shown


@settings(deadline=None)
@given(st.lists(st.sampled_from(TEXT.replace('"', " ").replace(",", " ").split()), min_size=1, max_size=5))
def test_no_word_of_the_text(words: list[str]) -> None:
    """Whatever words of the text an answer repeats, none of two letters or more stays."""
    shown = answer("oops " + " ".join(words), sent=sent()).excerpt()
    assert not any(word in shown for word in words if len(word) > 1)


def test_large_sends_withhold() -> None:
    """Where looking for echoes would take too long, the whole excerpt is withheld."""
    assert answer("Bad Request", sent=(b"x" * 600_000,)).excerpt() == "<11 bytes withheld>"


def test_secrets() -> None:
    """A credential that the service repeats is never shown, also where JSON escapes it."""
    assert KEY not in answer(f"unknown key {KEY}!", secrets=(KEY,)).excerpt()
    escaped = json.dumps({"description": "unknown " + KEY}).replace("s3", "\\u0073\\u0033")
    assert KEY not in answer(escaped, secrets=(KEY,)).excerpt()
    assert KEY not in answer("s3cret%4bEY", secrets=(KEY,)).excerpt()


def test_secret_at_the_cut() -> None:
    """The cut of a long excerpt does not leave the first half of a credential standing."""
    body = "x " * 147 + KEY * 2
    assert KEY[:6] not in answer(body, secrets=(KEY * 2,)).excerpt()


@pytest.mark.parametrize("key", ["ab%2Fcd%2Fef", "ab&amp;cd"])
def test_secret_with_percent_or_ampersand(key: str) -> None:
    """A key may hold any printable ASCII; one with `%2F` or `&amp;` in it is not shown in its decoded form either."""
    shown = answer(f"unknown key {key}", secrets=(key,)).excerpt()
    assert "cd" not in shown


def test_answers_pickle_apart() -> None:
    """An answer is a plain value: pickled and revived it is equal."""
    made = answer("x", sent=(b"y",), secrets=(KEY,))
    assert pickle.loads(pickle.dumps(made)) == made
