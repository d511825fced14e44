"""Endpoints: each chapter's address, and what all calls of it have in common."""

import pytest

from devino_async import Refused
from devino_async.exchange import Answer
from devino_async.protocol import account, details, sending, statistics, statuses
from devino_async.protocol.wire.endpoint import Endpoint

ENDPOINTS = [each.ENDPOINT for each in (account, details, sending, statistics, statuses)]


def test_addresses() -> None:
    """The five chapters ask five addresses under five names. Only a send must not be repeated."""
    assert {(each.operation, each.method, each.path) for each in ENDPOINTS} == {
        ("account", "GET", "/billing-api/companies/current/account"),
        ("details", "GET", "/sms-stat/detail"),
        ("send", "POST", "/sms/messages"),
        ("statistics", "GET", "/sms-stat/statistics/of-group"),
        ("statuses", "POST", "/sms-stat/statuses/get-by-ids"),
    }
    assert [each.operation for each in ENDPOINTS if not each.repeatable] == ["send"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation)
def test_calls(endpoint: Endpoint) -> None:
    """A call has the endpoint's name, address and limits, and refuses in the service's own words."""
    call = endpoint.call(query="a=b", body=(b"{}",), messages=2, urgent=True)
    assert (call.operation, call.method, call.path) == (endpoint.operation, endpoint.method, endpoint.path)
    assert (call.query, call.body, call.messages, call.urgent) == ("a=b", (b"{}",), 2, True)
    assert call.repeatable is endpoint.repeatable
    assert call.answer_limit == endpoint.max_answer_bytes + 2 * endpoint.max_answer_bytes_per_message
    assert (call.carries_result, call.ids_in) == (endpoint.carries_result, endpoint.ids_in)
    answer = Answer(status=400, body=b'{"result": null, "reasons": [{"key": "too.odd"}]}')
    error = call.refusal(answer, endpoint.operation)
    assert type(error) is Refused
    assert "too.odd" in str(error)
