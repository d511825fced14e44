"""The envelope of every look-up: read strictly, refused calls told from broken ones."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from devino_async import BadAnswer, Forbidden, Reason, Refused, TooManyRequests, Unauthorized
from devino_async.exchange import Answer
from devino_async.flow.steps import at_once
from devino_async.protocol import account, details, statistics, statuses

READERS: dict[str, Callable[[Answer], Any]] = {
    "statuses": lambda answer: statuses.read(answer, ["5"]),
    "details": lambda answer: at_once(details.read(answer)),
    "statistics": statistics.read,
    "account": account.read,
}
BROKEN = {
    "empty": b"",
    "blank": b"\n",
    "html": b"<html>502 Bad Gateway</html>",
    "null": b"null",
    "text": b'"OK"',
    "list": b"[]",
    "empty object": b"{}",
    "null result": b'{"result": null}',
    "no reasons": b'{"result": null, "reasons": [], "description": null}',
    "reasons that are none": b'{"result": null, "reasons": "x"}',
    "trailing text": b'{"result": {}} x',
    "double result": b'{"result": {}, "result": {}}',
    "nan": b'{"result": NaN}',
    "infinity": b'{"result": Infinity}',
    "bottomless": b'{"result": ' + b"[" * 100_000,
    "cut": b'{"result": {"messages": {"sent": [',
    "cut refusal": b'{"description": "Key error", "resu',
    "cp1251": '{"description": "Ошибка"}'.encode("cp1251"),
}


@pytest.mark.parametrize("operation", READERS)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken(operation: str, body: bytes) -> None:
    """A body that is not an envelope is BadAnswer with operation, status and attempts, without a decoder's error."""
    with pytest.raises(BadAnswer) as raised:
        READERS[operation](Answer(status=200, body=body, attempts=3))
    error = raised.value
    assert (error.operation, error.status, error.attempts) == (operation, 200, 3)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("operation", READERS)
@pytest.mark.parametrize(
    ("status", "kind"), [(200, Refused), (400, Refused), (401, Unauthorized), (403, Forbidden), (429, TooManyRequests)]
)
def test_refused(operation: str, status: int, kind: type[Refused]) -> None:
    """A null result with reasons or a description is a refused call, its class by its status."""
    for more in ({"reasons": [{"key": "forbidden"}]}, {"description": "Key error: (...)"}, {"reasons": [{}]}):
        with pytest.raises(Refused) as raised:
            READERS[operation](Answer(status=status, body=json.dumps({"result": None, **more}).encode()))
        assert type(raised.value) is kind
        assert raised.value.operation == operation
        if "reasons" in more:
            assert raised.value.reasons[0] in {Reason("forbidden"), Reason("unknown")}
