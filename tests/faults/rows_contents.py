"""The table, third part: whole answers of every status and with every content, and answers that come too early."""

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from fault_check import PATIENT, Row
from fault_script import GOOD, End, Say, Take, altered, http, id_for, ok, with_status

from devino_async import (
    Accepted,
    BadAnswer,
    CallFailed,
    Forbidden,
    NotSent,
    OutcomeUnknown,
    Receipt,
    Refused,
    Rejected,
    RequestNotSent,
    RetryPolicy,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
    Unconfirmed,
)

Verdicts = type[Receipt] | tuple[type[Receipt], ...]
_ID = id_for("79000000000")
_OK = '{"code": "OK", "messageId": "' + _ID + '"}'
_REFUSING = {
    400: Refused, 401: Unauthorized, 403: Forbidden, 404: Refused, 405: Refused, 408: Refused, 411: Refused,
    413: Refused, 415: Refused, 417: Refused, 431: Refused,
}  # fmt: skip
_TELLING_NOTHING = (
    300, 301, 302, 303, 304, 305, 307, 308, 402, 406, 409, 410, 418, 422, 425, 428, 451, 499, 500, 501, 502, 503, 504,
    505, 507, 520, 529, 599, 600, 999,
)  # fmt: skip


def _said(name: str, what: Any, verdict: Verdicts, count: int = 1, tries: int = 1, **more: Any) -> Row:
    """A whole answer to a whole request."""
    say = what if isinstance(what, Say) else Say(what)
    script = (Take("request"), say, End("eof"))
    return Row(name=name, scripts=(script,), verdict=verdict, count=count, tries=tries, **more)


def _body(name: str, body: str | bytes, verdict: Verdicts = Unconfirmed, **more: Any) -> Row:
    more.setdefault("error", BadAnswer if verdict is Unconfirmed else None)
    return _said(f"200 with {name}", http(200, body), verdict, **more)


def _statuses() -> list[Row]:
    rows = []
    for status, error in _REFUSING.items():
        tries = 2 if status == 408 else 1
        for name, body in (("JSON", '{"result": null, "description": "no"}'), ("HTML", "<h1>No</h1>"), ("nothing", "")):
            say = Say(http(status, body), refuses=True)
            rows.append(_said(f"{status} with {name}", say, NotSent, tries=tries, error=error))
    for status in _TELLING_NOTHING:
        error = ServerFailed if status >= 500 else OutcomeUnknown
        if status != 304:
            rows.append(_said(f"{status} with JSON", http(status, '{"description": "no"}'), Unconfirmed, error=error))
        rows.append(_said(f"{status} with nothing", http(status), Unconfirmed, error=error))
    rows += [
        *(_said(f"{status} that accepts", with_status(status), Accepted) for status in (200, 201, 202, 203, 206)),
        *(_said(f"{status} that accepts", with_status(status), Accepted) for status in (400, 403, 413)),
        *(_said(f"{status} that accepts", with_status(status), Unconfirmed) for status in (302, 409, 500, 503)),
        _said("204", b"HTTP/1.1 204 No Content\r\n\r\n", Unconfirmed, error=BadAnswer),
        _said("205", http(205), Unconfirmed, error=BadAnswer),
        _said(
            "400 that accepts in part",
            altered(lambda rows: [rows[0], {"code": "REJECTED"}], 400),
            (Accepted, Rejected),
            count=2,
        ),
        _said("400 that accepts without an id", http(400, '{"result": [{"code": "OK"}]}'), Unconfirmed),
    ]
    return rows


def _too_many() -> list[Row]:
    def refused(name: str, *headers: str, **more: Any) -> Row:
        say = Say(http(429, "{}", *headers), refuses=True)
        return _said(f"429 {name}", say, NotSent, error=TooManyRequests, **more)

    def then_good(name: str, *headers: str) -> Row:
        first = (Take("request"), Say(http(429, "{}", *headers), refuses=True), End("eof"))
        return Row(name=f"429 {name}, then good", scripts=(first, GOOD), verdict=Accepted, tries=2)

    soon = RetryPolicy(attempts=2, backoff=0.0, deadline=20.0)
    return [
        refused("wait 10 s", "Retry-After: 10"),
        refused("wait a day", "Retry-After: 86400", retry=soon),
        refused("wait a lifetime", "Retry-After: 999999999999999999999", retry=soon),
        refused("wait until 2100", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT", retry=soon),
        then_good("without Retry-After"),
        then_good("wait 1 s", "Retry-After: 1"),
        then_good("wait until the past", f"Retry-After: {formatdate(0, usegmt=True)}"),
        then_good("wait for garbage", "Retry-After: soon"),
        then_good("wait -5 s", "Retry-After: -5"),
    ]


def _contents() -> list[Row]:
    nested = '{"result": ' + "[" * 100_000 + "]" * 100_000 + "}"
    digits = "1" * 5_000
    bodies: dict[str, str | bytes] = {
        "nothing": "",
        "a blank": " \r\n",
        "HTML": "<html><body>OK</body></html>",
        "text": "OK",
        "null": "null",
        "a number": "1",
        "a string": '"OK"',
        "an empty object": "{}",
        "an empty list": "[]",
        "an object for a result": '{"result": {}}',
        "a null result": '{"result": null}',
        "no results": '{"result": []}',
        "a list": f"[{_OK}]",
        "another name": f'{{"results": [{_OK}]}}',
        "half of it": f'{{"result": [{_OK}',
        "more behind it": f'{{"result": [{_OK}]}} x',
        "two answers": f'{{"result": [{_OK}]}}' * 2,
        "two results for one": f'{{"result": [{_OK}, {_OK}]}}',
        "a double result": f'{{"result":[{_OK}],"result":[{_OK}]}}',
        "NaN": f'{{"result": [{_OK}], "x": NaN}}',
        "Infinity": f'{{"x": -Infinity, "result": [{_OK}]}}',
        "deep nesting": nested,
        "a deep member": f'{{"result": [{_OK}], "x": {"[" * 99_999}{"]" * 99_999}}}',
        "a huge integer": f'{{"result": [{_OK}], "x": {digits}}}',
        "a huge id": f'{{"result": [{{"code": "OK", "messageId": {digits}}}]}}',
        "UTF-16": f'{{"result": [{_OK}]}}'.encode("utf-16"),
        "broken UTF-8": b'{"result": [' + _OK.encode() + b'], "x": "\xff"}',
        "a code of its own": '{"result": [{"code": "QUEUED", "messageId": "1"}]}',
        "a small ok": _OK.replace("OK", "ok").join(('{"result": [', "]}")),
        "OK without an id": '{"result": [{"code": "OK"}]}',
        "OK with id null": '{"result": [{"code": "OK", "messageId": null}]}',
        "OK with id ''": '{"result": [{"code": "OK", "messageId": ""}]}',
        "OK with id true": '{"result": [{"code": "OK", "messageId": true}]}',
        "OK with id 1.5": '{"result": [{"code": "OK", "messageId": 1.5}]}',
        "OK with broken segments": f'{{"result": [{_OK[:-1]}, "segmentsId": "x"}}]}}',
        "double keys in a row": f'{{"result": [{{"code": "REJECTED", {_OK[1:]}]}}',
        "null for a row": '{"result": [null]}',
        "a number for a row": '{"result": [1]}',
        "a list for a row": '{"result": [[]]}',
    }
    rows = [_body(name, body) for name, body in bodies.items()]
    return rows + [
        _body("a byte order mark", b"\xef\xbb\xbf" + f'{{"result": [{_OK}]}}'.encode(), Accepted),
        _body("one object", f'{{"result": {_OK}}}', Accepted),
        _body("the row itself", _OK, Accepted),
        _body("a number for an id", f'{{"result": [{{"code": "OK", "messageId": {_ID}}}]}}', Accepted),
        _body("new keys", f'{{"new": [1], "result": [{_OK[:-1]}, "new": {{}}}}], "more": null}}', Accepted),
        _body("a rejection", '{"result": [{"code": "REJECTED", "messageId": null, "reasons": []}]}', Rejected),
        _said(
            "200 that refuses the call",
            Say(http(200, '{"result": null, "reasons": [{"key": "forbidden"}]}'), refuses=True),
            NotSent,
            error=Refused,
        ),
        _changed("one too few", lambda rows: rows[:-1], Unconfirmed, error=BadAnswer),
        _changed("one too many", lambda rows: [*rows, rows[0]], Unconfirmed, error=BadAnswer),
        _changed("none", lambda rows: [], Unconfirmed, error=BadAnswer),
        _changed(
            "one malformed row", lambda rows: [rows[0], {"code": "OK"}, rows[2]], (Accepted, Unconfirmed, Accepted)
        ),
        _changed("one number", lambda rows: [rows[0], 7, rows[2]], (Accepted, Unconfirmed, Accepted)),
        _changed("one rejection", lambda rows: [{"code": "REJECTED"}, *rows[1:]], (Rejected, Accepted, Accepted)),
        _changed("one too few of 2,000", lambda rows: rows[1:], Unconfirmed, count=2000, error=BadAnswer),
        _changed("one too few of 32,000", lambda rows: rows[1:], Unconfirmed, count=32_000, error=BadAnswer),
        _changed("one malformed of 500", lambda rows: [*rows[:-1], None], (*(Accepted,) * 499, Unconfirmed), count=500),
    ]


def _changed(
    name: str, change: Callable[[list[Any]], list[Any]], verdict: Verdicts, count: int = 3, **more: Any
) -> Row:
    return _said(f"results: {name}", altered(change), verdict, count=count, **more)


def _early() -> list[Row]:
    """The answer comes before the body was read. A refusal counts; anything else proves nothing but what is proved."""
    accepts = http(200, json.dumps({"result": [{"code": "OK", "messageId": _ID}]}))
    rows = []
    for status in (400, 401, 413):
        early = (Take("head"), Say(http(status, "no"), refuses=True), End("stall"))
        for count in (1, 2000, 32_000):
            name = f"early {status}, {count:,}"
            rows.append(Row(name=name, scripts=(early,), verdict=NotSent, count=count, long=count == 2000))
    kinds: list[tuple[str, bytes, Verdicts, type[CallFailed] | None]] = [
        ("200", accepts, Accepted, None),
        ("500", http(500, "oops"), Unconfirmed, ServerFailed),
        ("307", http(307, "", "Location: http://127.0.0.1:9/"), Unconfirmed, OutcomeUnknown),
        ("409", http(409), Unconfirmed, OutcomeUnknown),
    ]
    for name, answer, verdict, error in kinds:
        small = (Take("head"), Say(answer), End("eof"))
        rows.append(Row(name=f"early {name}, 1", scripts=(small,), verdict=verdict, error=error))
        long = (Take("head"), Say(answer), End("stall"))
        rows.append(
            Row(name=f"early {name}, 2,000", scripts=(long,), verdict=NotSent, tries=2, count=2000, long=True,
                error=RequestNotSent, timeouts=PATIENT)
        )  # fmt: skip
    once = (Take("request"), Say(http(408), refuses=True), End("eof"))
    rows.append(Row(name="408, then good", scripts=(once, GOOD), verdict=Accepted, tries=2))
    cut = (Take(0.1), End("rst"))
    rows.append(
        Row(name="cut, then good, 2,000", scripts=(cut, GOOD), verdict=Accepted, tries=2, count=2000, long=True)
    )
    lost = (Take("request"), End("rst"))
    rows.append(
        Row(name="cut, then lost, 2,000", scripts=(cut, lost), verdict=Unconfirmed, tries=2, count=2000, long=True)
    )
    rows.append(_said("a stray answer before the question's", lambda got: ok(got) + http(500), Accepted))
    return rows


CONTENTS: list[Row] = [*_statuses(), *_too_many(), *_contents(), *_early()]
