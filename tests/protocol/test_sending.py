"""Reading the answer to a send: exactly one receipt a message, and never a false proof that nothing was sent."""

import gc
import json
from itertools import product
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import (
    Accepted,
    BadAnswer,
    CallFailed,
    Forbidden,
    Message,
    NotSent,
    OutcomeUnknown,
    Reason,
    Receipt,
    Refused,
    Rejected,
    RequestNotSent,
    SendReport,
    ServerFailed,
    Unauthorized,
    Unconfirmed,
)
from devino_async.exchange import Answer
from devino_async.flow.steps import at_once
from devino_async.protocol import send_results, sending
from devino_async.protocol.packing import Packed
from devino_async.protocol.send_results import Facts, Meaning, decide
from devino_async.redaction import Redaction

OK = {"code": "OK", "messageId": "3701172084729885952", "segmentsId": None}
NO = {"code": "REJECTED", "messageId": None, "reasons": [{"key": "to.format.invalid", "ref": "to"}]}


def messages(count: int) -> list[Message]:
    return [Message(sender="devino", to=f"7900{index:07}", text="Hello") for index in range(count)]


def read(body: Any, count: int = 1, status: int = 200) -> list[Receipt]:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    encoded = text if isinstance(text, bytes) else text.encode()
    return list(at_once(send_results.read(Answer(status=status, body=encoded), messages(count))))


def failure(body: Any, count: int = 1, status: int = 200) -> CallFailed:
    with pytest.raises(CallFailed) as raised:
        read(body, count, status)
    assert raised.value.operation == "send"
    assert raised.value.status == status
    assert raised.value.__context__ is None
    return raised.value


# One item


@pytest.mark.parametrize(
    ("item", "message_id", "segments"),
    [
        ({"code": "OK", "messageId": "5"}, "5", ()),
        ({"code": "OK", "messageId": 234567865432456787634}, "234567865432456787634", ()),
        ({"code": "OK", "messageId": "5", "segmentsId": []}, "5", ()),
        ({"code": "OK", "messageId": "5", "segmentsId": ["5", 6]}, "5", ("5", "6")),
        ({"messageId": "5", "segmentsId": ["5"], "code": "OK"}, "5", ("5",)),
        ({"code": "OK", "messageId": "a-b", "reasons": None, "description": None}, "a-b", ()),
        ({"code": "OK", "messageId": "5", "new": {"x": [1.5, None]}}, "5", ()),
    ],
)
def test_accepted(item: dict[str, Any], message_id: str, segments: tuple[str, ...]) -> None:
    """An id is text in the SDK, from text or whole number; segments may be null or absent, unknown keys may come."""
    [receipt] = read({"result": [item]})
    assert receipt == Accepted(messages(1)[0], message_id, segments)
    assert receipt.raise_for_outcome() is receipt


@pytest.mark.parametrize(
    ("item", "reasons", "description"),
    [
        ({"code": "REJECTED"}, (), None),
        ({"code": "REJECTED", "reasons": None, "description": None}, (), None),
        ({"code": "REJECTED", "reasons": []}, (), None),
        ({"code": "REJECTED", "reasons": "to.format.invalid"}, (), None),
        ({"code": "REJECTED", "reasons": [None, 5, "x"]}, (), None),
        ({"code": "REJECTED", "reasons": [{"key": None, "ref": None}]}, (Reason("unknown"),), None),
        ({"code": "REJECTED", "reasons": [{"key": "billing.error", "x": 1}]}, (Reason("billing.error"),), None),
        (
            {"code": "REJECTED", "reasons": [{"key": "brand.new", "ref": "messages[7].to", "defaultMessage": "no"}]},
            (Reason("brand.new", "messages[7].to", "no"),),
            None,
        ),
        (
            {"code": "REJECTED", "reasons": [{"key": "a", "ref": "to", "defaultMessage": "b"}, {"ref": "c"}]},
            (Reason("a", "to", "b"), Reason("unknown", "c", None)),
            None,
        ),
        ({"code": "REJECTED", "description": "blocked", "messageId": "7"}, (), "blocked"),
        ({"code": "REJECTED", "description": 5}, (), None),
    ],
)
def test_rejected(item: dict[str, Any], reasons: tuple[Reason, ...], description: str | None) -> None:
    """A rejection is a rejection however little it says; keys are an open set, null is never the text 'None'."""
    assert read({"result": [item]}) == [Rejected(messages(1)[0], reasons, description)]


def test_malformed_items_share_what_is_shown() -> None:
    """What an answer shows of itself is made once, however many of its items are malformed, each with its own id."""
    items = [{"code": "DUPLICATE", "messageId": str(number)} for number in range(3)]
    first, *others = read({"result": [None, *items], "description": "so many"}, 4)
    assert isinstance(first, Unconfirmed)
    assert first.error.body
    for number, other in enumerate(others):
        assert isinstance(other, Unconfirmed)
        assert other.error.message_ids == (str(number),)
        assert other.error.body is first.error.body


def test_rejected_without_secrets() -> None:
    """Where the service repeats a credential in what it says of a message, the receipt does not hold it."""
    reason = dict.fromkeys(("key", "ref", "defaultMessage"), "no such key: s3cret")
    body = json.dumps({"result": [{"code": "REJECTED", "reasons": [reason, reason], "description": "s3cret?"}]})
    [receipt] = at_once(
        send_results.read(Answer(status=200, body=body.encode(), redaction=Redaction(("s3cret",))), messages(1))
    )
    assert isinstance(receipt, Rejected)
    assert receipt.reasons == (Reason(*["no such key: ***"] * 3),) * 2
    assert receipt.description == "***?"


MALFORMED: dict[str, Any] = {
    "null": None,
    "text": "OK",
    "number": 5,
    "list": ["OK"],
    "empty": {},
    "no id": {"code": "OK"},
    "null id": {"code": "OK", "messageId": None},
    "empty id": {"code": "OK", "messageId": ""},
    "float id": {"code": "OK", "messageId": 3701172084729885952.0},
    "true as id": {"code": "OK", "messageId": True},
    "list as id": {"code": "OK", "messageId": ["5"]},
    "unknown code": {"code": "MAYBE", "reasons": []},
    "null code": {"code": None},
    "code in small letters": {"code": "ok", "messageId": None},
    "segments as text": {"code": "OK", "messageId": None, "segmentsId": "56"},
    "segments as floats": {"code": "OK", "messageId": None, "segmentsId": [1.5]},
}


@pytest.mark.parametrize("item", MALFORMED.values(), ids=MALFORMED)
def test_one_malformed_item(item: Any) -> None:
    """One item that does not match the API docs makes one message Unconfirmed, and none of its neighbours."""
    receipts = read({"result": [OK, item, NO]}, 3)
    assert [type(each) for each in receipts] == [Accepted, Unconfirmed, Rejected]
    unsure = receipts[1]
    assert isinstance(unsure, Unconfirmed)
    assert isinstance(unsure.error, BadAnswer)
    assert unsure.message == messages(3)[1]


def test_double_keys_in_one_item() -> None:
    """Two ids in one item: which is meant cannot be known, for this one message."""
    text = '{"result": [{"code":"OK","messageId":"1"},{"code":"OK","messageId":"2","messageId":"3"}]}'
    assert [type(each) for each in read(text, 2)] == [Accepted, Unconfirmed]


@pytest.mark.parametrize(
    "item", [{"code": "OK", "messageId": "77", "segmentsId": "77"}, {"code": "MAYBE", "messageId": "77"}]
)
def test_id_of_a_malformed_item(item: dict[str, Any]) -> None:
    """The id in an item that does not match the API docs is kept as evidence on the error."""
    receipt = read({"result": [item]})[0]
    assert isinstance(receipt, Unconfirmed)
    assert isinstance(receipt.error, CallFailed)
    assert receipt.error.message_ids == ("77",)


# The envelope


@pytest.mark.parametrize("status", [200, 201, 400, 429])
@pytest.mark.parametrize("item", [OK, NO])
def test_status_does_not_matter_where_messages_are_answered(item: dict[str, Any], status: int) -> None:
    """Rejections may come with status 400: the body is read first, as a list, one object, or at the top level."""
    kind = Accepted if item is OK else Rejected
    for body in ({"result": [item]}, {"result": item}, item, {**item, "result": None}):
        assert [type(each) for each in read(body, 1, status)] == [kind]


def test_bom_and_blanks() -> None:
    """A byte order mark and blanks around the answer do not matter."""
    assert read(b"\xef\xbb\xbf \r\n" + json.dumps({"result": [OK]}, indent=2).encode() + b"\n") == read(
        {"result": [OK]}
    )


def test_members_beside_the_result() -> None:
    """Unknown members of the envelope, before or after the result, do not matter."""
    body = {"requestId": "x", "reasons": None, "description": None, "result": [OK], "ts": 1.5}
    assert [type(each) for each in read(body)] == [Accepted]


UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "html": b"<html><body>OK</body></html>",
    "not an object": b'"OK"',
    "top-level list": json.dumps([OK]).encode(),
    "null": b"null",
    "empty object": b"{}",
    "null result": b'{"result": null}',
    "number as result": b'{"result": 5}',
    "text as result": b'{"result": "OK"}',
    "cut in the list": b'{"result": [' + json.dumps(OK).encode(),
    "cut in an item": b'{"result": [{"code": "OK", "mess',
    "trailing text": json.dumps({"result": [OK]}).encode() + b" <!-- -->",
    "trailing object": json.dumps({"result": [OK]}).encode() + json.dumps({"result": [OK]}).encode(),
    "not a number": b'{"result": [{"code": "OK", "messageId": "1", "x": NaN}]}',
    "infinity": b'{"result": [{"code": "OK", "messageId": "1", "x": -Infinity}]}',
    "huge integer": b'{"result": [{"code": "OK", "messageId": ' + b"9" * 5_000 + b"}]}",
    "bottomless": b'{"result": [' + b"[" * 100_000,
    "double result": b'{"result": [{"code": "OK", "messageId": "1"}], "result": null}',
    "cp1251": '{"result": [{"code": "OK", "description": "да"}]}'.encode("cp1251"),
    "unreadable reasons": b'{"result": null, "reasons": [5], "description": null}',
    "empty reasons": b'{"result": null, "reasons": []}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_success(body: bytes) -> None:
    """A 2xx whose body cannot be read is BadAnswer, and its messages Unconfirmed: it may have been sent."""
    error = failure(body)
    assert type(error) is BadAnswer
    assert not error.proves_unsent
    assert [type(each) for each in sending.receipts_after(error, messages(2))] == [Unconfirmed, Unconfirmed]


@pytest.mark.parametrize("body", [b"", b"<html>400</html>", b"{}", b'{"result": []}', b"[]", b'{"error": "x"}'])
@pytest.mark.parametrize(("status", "kind"), [(400, Refused), (401, Unauthorized), (403, Forbidden)])
def test_real_refusal(body: bytes, status: int, kind: type[Refused]) -> None:
    """A real 4xx without any result was not processed, whatever its body says: NotSent."""
    error = failure(body, 2, status)
    assert type(error) is kind
    assert [type(each) for each in sending.receipts_after(error, messages(2))] == [NotSent, NotSent]


def test_refused_envelope() -> None:
    """A null result with reasons is a call refused as a whole, also with status 200."""
    body = {"result": None, "reasons": [{"key": "too.many.messages", "ref": "messages"}], "description": "Key error"}
    error = failure(body, 3)
    assert type(error) is Refused
    assert error.reasons == (Reason("too.many.messages", "messages"),)
    assert type(failure({"result": None, "description": "Key error"}, 3)) is Refused


@pytest.mark.parametrize(("results", "count"), [(1, 2), (2, 1), (0, 1), (257, 256), (256, 257), (600, 3)])
def test_counts_differ(results: int, count: int) -> None:
    """Results that are not as many as the messages match none of them; every id found is kept as evidence."""
    body = {"result": [{"code": "OK", "messageId": str(index)} for index in range(results)]}
    error = failure(body, count)
    assert type(error) is BadAnswer
    assert error.message_ids == tuple(map(str, range(results)))
    assert str(results) in str(error)
    assert str(count) in str(error)


def test_counts_differ_with_a_refusal_status() -> None:
    """Accepted results in a 400 of the wrong length: evidence of sending, so never a Refused."""
    error = failure({"result": [OK]}, 2, 400)
    assert type(error) is BadAnswer
    assert error.message_ids == (OK["messageId"],)


def test_cut_answer_keeps_ids() -> None:
    """Ids before the place where an answer is cut are kept as evidence."""
    whole = json.dumps({"result": [{"code": "OK", "messageId": str(index)} for index in range(600)]})
    error = failure(whole[: whole.index('"599"')], 600)
    assert type(error) is BadAnswer
    assert error.message_ids == tuple(map(str, range(599)))


items = st.sampled_from(
    [
        ('{"code":"OK","messageId":"11"}', Accepted),
        ('{ "code" : "OK" , "messageId" : "12" , "segmentsId" : [ "12", "13" ] }', Accepted),
        ('{"messageId":14,"code":"OK"}', Accepted),
        ('{"code":"REJECTED","messageId":null,"reasons":[{"key":"x"}]}', Rejected),
        ("null", Unconfirmed),
        ('{"code":"OK","messageId":1.0}', Unconfirmed),
        ('{"code":"OK","code":"OK","messageId":"15"}', Unconfirmed),
    ]
)
separators = st.sampled_from([",", ", ", " ,\n"])


@given(st.lists(items, min_size=1, max_size=12), separators, st.sampled_from([1, 40]))
def test_one_receipt_a_message_in_order(chosen: list[tuple[str, type]], separator: str, times: int) -> None:
    """Whatever mixture of items comes, in whatever writing: one receipt a message, its kind by its own item."""
    chosen = chosen * times
    receipts = read('{"result":[' + separator.join(text for text, _ in chosen) + "]}", len(chosen))
    assert [type(each) for each in receipts] == [kind for _, kind in chosen]
    assert [each.message for each in receipts] == messages(len(chosen))


@given(st.lists(items, min_size=1, max_size=6), st.data())
def test_cut_anywhere(chosen: list[tuple[str, type]], data: st.DataObject) -> None:
    """A 200 cut at any byte is BadAnswer: no message gets another's receipt, and none counts as unsent."""
    text = '{"result":[' + ",".join(text for text, _ in chosen) + "]}"
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert type(failure(cut, len(chosen))) is BadAnswer


spaces = st.sampled_from(["", "", "", " ", "\n  "])
looks = st.sampled_from(
    [
        '{{{0}"code"{0}:{0}"OK",{0}"messageId":{0}"{1}"{0}}}',
        '{{"code":"OK","messageId":"{1}","segmentsId":null}}',
        '{{"code":"OK","messageId":"{1}","segmentsId":[{0}"{1}",{0}"7{1}"]}}',
        '{{"code":"OK","messageId":{1}}}',
        '{{"messageId":"{1}","code":"OK"}}',
        '{{"code":"OK","messageId":"a{1}"}}',
        '{{"code":"REJECTED","messageId":"{1}"}}',
    ]
)
runs = st.lists(st.tuples(looks, spaces, spaces, st.integers(1, 10**30), st.integers(1, 700)), min_size=1, max_size=5)


@given(runs)
def test_every_look_is_read_alike(chosen: list[tuple[str, str, str, int, int]]) -> None:
    """However the service writes its results, and wherever it changes that, each message has the id of its place."""
    items = [
        (look.format(space, first + number), before)
        for look, space, before, first, count in chosen
        for number in range(count)
    ]
    text = '{"result":[' + ",".join(before + item for item, before in items) + "]}"
    for receipt, item in zip(read(text, len(items)), json.loads(text)["result"], strict=True):
        if item["code"] == "OK":
            assert receipt == Accepted(receipt.message, str(item["messageId"]), tuple(item.get("segmentsId") or ()))
        else:
            assert type(receipt) is Rejected


def test_reading_goes_in_steps() -> None:
    """A full batch is read in many small steps, so that the event loop is never held up by all of it."""
    body = json.dumps({"result": [OK] * 32_000}).encode()
    reading = send_results.read(Answer(status=200, body=body), messages(32_000))
    assert sum(1 for _ in reading) >= 60


@pytest.mark.parametrize(
    "chosen", [[OK], [NO], [OK, NO], [{**OK, "segmentsId": ["5", "6"]}, {"messageId": "7", "code": "OK"}]]
)
def test_receipts_are_nothing_to_the_garbage_collector(chosen: list[Any]) -> None:
    """The receipts of a batch keep no object of their own for each message, as that would stop the event loop."""
    times = 6_400 // len(chosen)
    body = json.dumps({"result": chosen * times}).encode()
    packed = Packed()
    packed.extend(messages(6_400))
    gc.collect()
    before = len(gc.get_objects())
    receipts = at_once(send_results.read(Answer(status=200, body=body), packed))
    gc.collect()
    assert len(gc.get_objects()) - before < len(receipts) / 3


# The call


def test_answer_limit_has_room() -> None:
    """The bound on the answer has room for the longest real one: 255 segment ids for one message."""
    item = {"code": "OK", "messageId": "9" * 21, "segmentsId": ["9" * 21] * 255}
    assert sending.call([b"{}"], 1).answer_limit > len(json.dumps({"result": [item]}))


@pytest.mark.parametrize("slices", [[], [b'{"a":1}'], [b'{"a":1},{"a":2}', b'{"a":3}']])
def test_slices_become_one_body(slices: list[bytes]) -> None:
    """Slices of encoded messages are framed into one JSON object, in their order."""
    body = sending.call(slices, 3).body
    assert body is not None
    listed = json.loads(b"".join(body))["messages"]
    assert [each["a"] for each in listed] == list(range(1, len(listed) + 1))


@pytest.mark.parametrize(
    ("body", "carries", "ids"),
    [
        (b'{"result": [{"code": "OK", "messageId": "15"}]}', True, ("15",)),
        (b'{"result":{"code":"REJECTED","messageId":null}}', True, ()),
        (b'{"code" : "OK", "messageId" : 16}', True, ("16",)),
        (b'{"result": null, "reasons": []}', False, ()),
        (b"<html>", False, ()),
        (b"", False, ()),
        (b'..."messageId":"17"}, {"messageId":"18', True, ("17", "18")),
        (b'{"messages": [{"MessageId": "19"}]}', True, ("19",)),
    ],
)
def test_what_the_transport_may_ask(body: bytes, carries: bool, ids: tuple[str, ...]) -> None:
    """The call itself tells whether a refusal's body answers for messages, and which ids stand in a broken one."""
    call = sending.call([b"{}"], 1)
    assert call.carries_result(body) is carries
    assert call.ids_in(body) == ids


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sending.never_begun("closed"), NotSent),
        (RequestNotSent("x", operation="send"), NotSent),
        (Refused("x", operation="send"), NotSent),
        (OutcomeUnknown("x", operation="send"), Unconfirmed),
        (ServerFailed("x", operation="send"), Unconfirmed),
        (BadAnswer("x", operation="send"), Unconfirmed),
        (CallFailed("x", operation="send"), Unconfirmed),
    ],
)
def test_receipts_after_a_failure(error: CallFailed, kind: type) -> None:
    """Only a proof makes NotSent; whatever else failed, the messages may have been sent."""
    receipts = list(sending.receipts_after(error, messages(3)))
    assert [type(each) for each in receipts] == [kind] * 3
    assert [each.message for each in receipts] == messages(3)


def test_report() -> None:
    """A report sorts receipts by outcome, keeps their order, counts them all, and shows only counts."""
    receipts = [*read({"result": [OK, NO, None, OK]}, 4), NotSent(messages(1)[0], sending.never_begun("x"))]
    report = SendReport.of(receipts)
    assert report.accepted == (receipts[0], receipts[3])
    assert (report.rejected, report.unconfirmed, report.not_sent) == ((receipts[1],), (receipts[2],), (receipts[4],))
    assert report.total == 5
    assert sorted(map(id, report)) == sorted(map(id, receipts))
    assert repr(report) == "SendReport(accepted=2, rejected=1, not_sent=1, unconfirmed=1)"


# What an answer means as a whole

A, Y, N = None, True, False
MEANINGS: list[tuple[str, tuple[bool | None, ...], Meaning]] = [
    # ok, whole, has_results, matched, only_rejections, may_accept, says_why
    ("a result for each message", (A, Y, Y, Y, A, A, A), Meaning.RECEIPTS),
    ("a success that is cut", (Y, N, A, A, A, A, A), Meaning.UNTRUSTED),
    ("a success without result that says why", (Y, Y, N, A, A, A, Y), Meaning.REFUSED),
    ("a success without result", (Y, Y, N, A, A, A, N), Meaning.UNTRUSTED),
    ("a success with too few or too many results", (Y, Y, Y, N, A, A, A), Meaning.UNTRUSTED),
    ("a refusal without results", (N, A, N, A, Y, N, A), Meaning.REFUSED),
    ("a refusal without results that speaks of success", (N, A, N, A, Y, Y, A), Meaning.UNTRUSTED),
    ("a refusal with results that is cut", (N, N, Y, A, A, A, A), Meaning.UNTRUSTED),
    ("a refusal with rejections only", (N, Y, Y, N, Y, N, A), Meaning.REFUSED),
    ("a refusal with rejections that speaks of success", (N, Y, Y, N, Y, Y, A), Meaning.UNTRUSTED),
    ("a refusal with results that do not reject", (N, Y, Y, N, N, A, A), Meaning.UNTRUSTED),
    ("never: no results, yet not only rejections", (N, A, N, A, N, A, A), Meaning.UNTRUSTED),
]


def test_what_answers_mean() -> None:
    """Each combination of facts stands in one row of the table, and `decide` says what that row says."""
    for chosen in product([True, False], repeat=7):
        rows = [
            (why, meaning)
            for why, pattern, meaning in MEANINGS
            if all(wanted in {A, given} for wanted, given in zip(pattern, chosen, strict=True))
        ]
        [(why, meaning)] = rows
        names = [each.name for each in attrs.fields(Facts)]
        assert decide(Facts(**dict(zip(names, chosen, strict=True)))) is meaning, why


# Defects


@pytest.mark.parametrize(
    "body",
    [
        '{"description": "ok", "resu',
        '{"result": null, "description": "x", "result": [{"code": "OK", "messageId": "1"}]}',
        '{"result": null, "description": "x"} trailing',
        '{"description": "x", "result": NaN}',
        '{"reasons": [{"key": "x"}], "result": {"code": "OK", "mess',
    ],
)
def test_unreadable_200_with_description(body: str) -> None:
    """A cut or broken 200 is BadAnswer also where a description or reasons stand before the break."""
    assert type(failure(body)) is BadAnswer


@pytest.mark.parametrize(
    "body", [{"result": "queued", "description": "x"}, {"result": {**OK, "messageId": None}, "description": "x"}]
)
def test_description_beside_a_result(body: dict[str, Any]) -> None:
    """Only a null result makes a refused call; beside any other result a description proves nothing."""
    assert type(failure(body, 2)) is BadAnswer


@pytest.mark.parametrize(
    "item", [{"code": "OK", "messageId": "5", "segmentsId": "x"}, {"code": "OK", "messageId": None}]
)
def test_malformed_accepted_items_in_a_400(item: dict[str, Any]) -> None:
    """A 400 of the wrong length with an OK in it is no proof that nothing was sent, even a malformed OK."""
    assert type(failure({"result": [item]}, 2, 400)) is BadAnswer


def test_cut_list_in_a_400() -> None:
    """A 400 whose list of results is cut may have accepted what is missing."""
    assert type(failure(json.dumps({"result": [NO, OK]})[:-60], 2, 400)) is BadAnswer


def test_evidence_of_malformed_items() -> None:
    """Where counts differ, ids in items that do not match the API docs are evidence too."""
    error = failure({"result": [{"code": "OK", "messageId": "5", "segmentsId": "x"}]}, 2)
    assert error.message_ids == ("5",)


def test_exponent_beyond_decimal() -> None:
    """A number that no Decimal can hold ends as BadAnswer, never as a foreign exception that loses receipts."""
    assert type(failure('{"result": [{"code": "OK", "messageId": "1", "x": 1e9999999999999999999}]}')) is BadAnswer


def test_refusal_does_not_echo_the_text() -> None:
    """The reasons of a refused call may echo a message's text; the error does not show it."""
    sent = messages(1)
    body = {"result": None, "reasons": [{"key": "invalid", "ref": "text", "defaultMessage": "Value: Hello"}]}
    answer = Answer(
        status=400,
        body=json.dumps(body).encode(),
        redaction=Redaction().for_request([*map(str.encode, sending.encode(sent))], ""),
    )
    with pytest.raises(Refused) as raised:
        at_once(send_results.read(answer, sent))
    assert "Hello" not in str(raised.value) + repr(raised.value)


@pytest.mark.parametrize("status", [400, 401, 429])
@pytest.mark.parametrize(
    "body",
    [
        b'{"result":[{"code":"OK","messageId":"1"}],"x":"\xff"}',
        b'{"t":NaN,"result":[{"code":"OK","messageId":"1"}]}',
        b'{"result":{"code":"OK","messageId":"1"',
        b'{"result":null,"result":[{"code":"OK","messageId":"1"}]}',
        b'{"code":"OK","messageId":"1","code":"OK"}',
        b'[{"code":"OK","messageId":"1"}]',
        b'ok\n{"result":[{"code":"OK","messageId":"1"}]}',
        b'{"result":[],"messages":[{"code":"OK","messageId":"1"}]}',
        b'{"response":{"result":[{"code":"OK","messageId":"1"}]}}',
        b'{"messages":[{"messageId":1}]}',
        b'{"Result":[{"Code":"ok","MessageId":"1"}]}',
    ],
)
def test_a_refusal_that_speaks_of_success(body: bytes, status: int) -> None:
    """A 4xx proves nothing where its body, however odd, may hold an accepted message: the id is kept as evidence."""
    call = sending.call([b"{}"], 1)
    assert call.carries_result(body)
    with pytest.raises(BadAnswer) as raised:
        at_once(send_results.read(Answer(status=status, body=body), messages(1)))
    assert set(raised.value.message_ids) == {"1"}
    assert not raised.value.proves_unsent


@pytest.mark.parametrize("surplus", [{"code": "OK"}, {"code": "OK", "messageId": 1.5}, None])
def test_surplus_items_in_a_400(surplus: dict[str, Any] | None) -> None:
    """A 400 with one result too many, and that one no rejection, is no proof that nothing was sent."""
    assert type(failure({"result": [NO, surplus]}, 1, 400)) is BadAnswer
