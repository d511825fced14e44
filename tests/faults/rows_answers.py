"""The table, second part: the whole body arrived, and the answer is cut, broken, or no HTTP at all.

Every row is one try. Whatever cannot be read as a whole answer leaves the send Unconfirmed.
"""

import gzip
import json
import zlib

from fault_check import PATIENT, SHORT, Row
from fault_script import End, Flood, How, Say, Take, Trickle, chunked, http, id_for, ok, ok_body, part

from devino_async import Accepted, BadAnswer, CallFailed, OutcomeUnknown, Receipt, Timeouts, Unconfirmed

_ENDS: tuple[How, ...] = ("fin", "rst", "stall")
_GOOD = json.dumps({"result": [{"code": "OK", "messageId": id_for("79000000000")}]}).encode()
_BOMB = gzip.compress(b" " * 64_000_000)


def _after(
    name: str,
    *steps: Say | Flood | Trickle,
    how: How = "fin",
    verdict: type[Receipt] = Unconfirmed,
    timeouts: Timeouts | None = None,
    error: type[CallFailed] | None = None,
) -> Row:
    """A row in which the request is read whole, something is said, and the connection ends."""
    return Row(
        name=name,
        scripts=((Take("request"), *steps, End(how)),),
        verdict=verdict,
        timeouts=timeouts or (SHORT if how == "stall" else PATIENT),
        error=error,
    )


def _cut() -> list[Row]:
    rows = []
    for how in _ENDS:
        for name, what in (
            ("in the version", b"HTTP/1."),
            ("in the status line", b"HTTP/1.1 200"),
            ("after the status line", b"HTTP/1.1 200 OK\r\n"),
            ("in a header", b"HTTP/1.1 200 OK\r\nContent-Ty"),
            ("after a header", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"),
            ("after 100", b"HTTP/1.1 100 Continue\r\n\r\n"),
            ("after 103", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
            ("after 101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            ("in a 400", http(400, b'{"descr', length=100)),
            ("in a 413", http(413, b"too lar", length=100)),
            ("in a 429", http(429, b"too", "Retry-After: 0", length=100)),
            ("in a 503", http(503, b"no", length=100)),
            ("in chunked coding", chunked(_GOOD[:20], end=b"")),
            ("before the last chunk", chunked(_GOOD, end=b"")),
            ("in compressed coding", http(200, gzip.compress(_GOOD)[:20], "Content-Encoding: gzip", length=100)),
        ):
            rows.append(_after(f"{how} {name}", Say(what), how=how, error=OutcomeUnknown))
        rows += [
            _after(f"{how} at {share:.0%} of the body", Say(part(share)), how=how, error=OutcomeUnknown)
            for share in (0.0, 0.5, 0.97)
        ]
        rows.append(_after(f"{how} at 90% of the head", Say(part(0.9, of_body=False)), how=how, error=OutcomeUnknown))
    return rows


def _no_http() -> list[Row]:
    return [
        _after(f"{name} for an answer", Say(what))
        for name, what in (
            ("garbage", b"dsgf84rh!!!\r\n\r\n"),
            ("zeros", bytes(500)),
            ("binary", bytes(range(256)) * 4),
            ("HTTP/0.9", b"<html>hello</html>"),
            ("HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"),
            ("an SMTP banner", b"220 mail.example ESMTP\r\n"),
            ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x28"),
            ("blank lines", b"\r\n\r\n\r\n\r\n"),
            ("bare JSON", _GOOD),
            ("a status in letters", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
            ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
            ("a version of its own", b"HTTP/7.3 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("a request", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            ("a header without a colon", b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n"),
            ("a header with a zero", b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n"),
        )
    ]


def _framing() -> list[Row]:
    huge = b"a" * 70_000
    return [
        _after("a header of 70 KB", Say(b"HTTP/1.1 200 OK\r\nX: " + huge + b"\r\n\r\n")),
        _after("a reason of 70 KB", Say(b"HTTP/1.1 200 " + huge + b"\r\nContent-Length: 0\r\n\r\n")),
        _after("a header without end", Flood(b"X" * 10_000), timeouts=PATIENT),
        _after("headers without end", Say(b"HTTP/1.1 200 OK\r\n"), Flood(b"X-Y: z\r\n" * 1_000), timeouts=SHORT),
        _after("length too long, fin", Say(http(200, _GOOD, length=len(_GOOD) + 1)), error=OutcomeUnknown),
        _after("length too long, stall", Say(http(200, _GOOD, length=len(_GOOD) + 1)), how="stall"),
        _after("length too short", Say(http(200, _GOOD, length=len(_GOOD) - 1))),
        _after("length below zero", Say(http(200, _GOOD, length="-5"))),
        _after("length no number", Say(http(200, _GOOD, length="many"))),
        _after("two lengths", Say(http(200, _GOOD, "Content-Length: 5"))),
        _after("length and chunks", Say(http(200, _GOOD, "Transfer-Encoding: chunked"))),
        _after("a chunk size that is none", Say(chunked(end=b"zz\r\nabc\r\n0\r\n\r\n"))),
        _after("a chunk of a terabyte", Say(chunked(end=b"ffffffffff\r\nabc"))),
        _after("a chunk without its line end", Say(chunked(end=b"3\r\nabcdef\r\n0\r\n\r\n"))),
        _after("until the end, cut", Say(http(200, _GOOD[:30], length=None)), error=BadAnswer),
        _after(
            "100 and 103 before the answer",
            Say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n"),
            Say(ok),
            how="eof",
            verdict=Accepted,
        ),
        _after("good chunks", Say(chunked(_GOOD[:20], _GOOD[20:])), how="eof", verdict=Accepted),
        _after("good until the end", Say(http(200, _GOOD, length=None)), how="eof", verdict=Accepted),
        _after(
            "good gzip",
            Say(lambda got: http(200, gzip.compress(ok_body(got)), "Content-Encoding: gzip")),
            how="eof",
            verdict=Accepted,
        ),
        _after(
            "good deflate",
            Say(http(200, zlib.compress(_GOOD), "Content-Encoding: deflate")),
            how="eof",
            verdict=Accepted,
        ),
        _after("an answer and a stray one", Say(lambda got: ok(got) * 2), how="eof", verdict=Accepted),
        _after("an answer and garbage", Say(lambda got: ok(got) + b"garbage"), how="eof"),
    ]


def _volume() -> list[Row]:
    slow = Timeouts(connect=0.4, read=2.0, total=0.6)
    return [
        _after("a gzip bomb", Say(http(200, _BOMB, "Content-Encoding: gzip")), error=OutcomeUnknown),
        _after("gzip of something else", Say(http(200, gzip.compress(b"hello"), "Content-Encoding: gzip"))),
        _after("gzip that is none", Say(http(200, _GOOD, "Content-Encoding: gzip"))),
        _after("half a gzip", Say(http(200, gzip.compress(_GOOD)[:-9], "Content-Encoding: gzip"))),
        _after("an unknown coding", Say(http(200, _GOOD, "Content-Encoding: br"))),
        _after("two codings", Say(http(200, _GOOD, "Content-Encoding: gzip, gzip"))),
        _after("a body beyond the cap", Say(http(200, b" " * 2_000_000 + _GOOD)), error=OutcomeUnknown),
        _after("a body without end", Say(http(200, b"", length=None)), Flood(b" " * 100_000), error=OutcomeUnknown),
        _after(
            "chunks without end",
            Say(http(200, b"", "Transfer-Encoding: chunked", length=None)),
            Flood(b"5\r\n     \r\n" * 1_000),
            error=OutcomeUnknown,
        ),
        _after("an answer byte by byte", Say(http(200, b"", length=10_000)), Trickle(b" ", 0.05), timeouts=slow),
        _after("a head byte by byte", Say(b"HTTP/1.1 200 OK\r\nX: "), Trickle(b"a", 0.05), timeouts=slow),
        _after(
            "byte by byte, total not given",
            Say(http(200, b"", length=10_000)),
            Trickle(b" ", 0.05),
            timeouts=Timeouts(connect=0.3, read=0.5),
        ),
        _after("1xx without end", Trickle(b"HTTP/1.1 100 Continue\r\n\r\n", 0.0), timeouts=slow),
    ]


ANSWERS: list[Row] = [*_cut(), *_no_http(), *_framing(), *_volume()]
