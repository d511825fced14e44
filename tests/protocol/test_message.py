"""Message: checked at birth, all problems at once, with the service's own keys."""

# ruff: noqa: DTZ001 - the API docs name no zone for dates, so they are naive

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import devino_async
from devino_async import InvalidMessage, Message, Priority
from devino_async.protocol import sending
from devino_async.redaction import mask_phone

PHONE = "79001234567"
PACKAGE = Path(devino_async.__file__).parent
MOSCOW = timezone(timedelta(hours=3))


def encode(made: Message) -> str:
    """The message as it travels."""
    [encoded] = sending.encode([made])
    return encoded


def message(**changed: Any) -> Message:
    return Message(**{"sender": "devino", "to": PHONE, "text": "Hello", **changed})


def problems(**changed: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidMessage) as raised:
        message(**changed)
    return [(each.key, each.ref) for each in raised.value.problems]


def test_all_problems_at_once() -> None:
    """A message that breaks every rule is told so once, with the seven keys of the API docs."""
    assert problems(
        sender="",
        to="12",
        text="я" * 17_086,
        validity=-1,
        scheduled_time=datetime(2030, 1, 1),
        priority="URGENT",
        callback_url="ftp://example.com",
    ) == [
        ("not.available", "from"),
        ("to.format.invalid", "to"),
        ("text.length.too.long", "text"),
        ("validity.is.invalid", "validity"),
        ("scheduledTime.is.invalid", "scheduledTime"),
        ("priority.is.not.match", "priority"),
        ("callbackUrl.format.invalid", "callbackUrl"),
    ]


def test_problems_hold_no_values() -> None:
    """A problem names the rule and the limit; the bad value itself, which may be personal, is not repeated."""
    with pytest.raises(InvalidMessage) as raised:
        message(to="7900123456x", text="тайна" * 4000, options={"код": 4711})
    shown = str(raised.value) + repr(raised.value) + repr(raised.value.problems)
    for private in ("7900123456", "тайна", "4711"):
        assert private not in shown
    assert "17085" in shown


@pytest.mark.parametrize(
    ("given_number", "kept"),
    [
        (PHONE, PHONE),
        (f"+{PHONE}", PHONE),
        ("7900123", "7900123"),
        ("790012345678901", "790012345678901"),
        ("+790012345678901", "790012345678901"),
    ],
)
def test_numbers(given_number: str, kept: str) -> None:
    """E.164: 7 to 15 digits; a leading + is taken and dropped, as the API docs' examples have none."""
    assert message(to=given_number).to == kept
    assert json.loads(encode(message(to=given_number)))["to"] == kept


@pytest.mark.parametrize(
    "bad",
    ["7900123456789012", "+7900123456789012", "790012", "", "+", "++79001234567", "09001234567", "7900 123 45 67",
     "7-900-123-45-67", "79001234567\n", " 79001234567", "７９００１２３４５６７", "٧٩٠٠١٢٣٤٥٦٧", "tel:79001234567",
     79001234567, None, b"79001234567", True],
)  # fmt: skip
def test_bad_numbers(bad: object) -> None:
    """More than 15 digits, letters, spaces, other scripts' digits and anything but a str are refused."""
    assert problems(to=bad) == [("to.format.invalid", "to")]


@pytest.mark.parametrize("bad", ["", " ", "\t", "a\nb", "a\x00", "\ud800", 5, None, b"devino"])
def test_bad_senders(bad: object) -> None:
    """A sender's name is printable text that is not empty."""
    assert problems(sender=bad) == [("not.available", "from")]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("я" * 17_085, True),
        ("я" * 17_086, False),
        ("a" * 17_085, True),
        ("a" * 34_170, True),
        ("a" * 34_171, False),
        ("a" * 17_084 + "я", True),
        ("a" * 17_085 + "я", False),
        ("a" * 34_169 + "я", False),
        ("a", True),
        ("я", True),
    ],
    ids=lambda value: f"{value[-1]}{len(value)}" if isinstance(value, str) else str(value),
)
def test_text_limits(text: str, fits: bool) -> None:
    """The API docs' limits hold to the character: 17,085 Cyrillic, 34,170 Latin; one Cyrillic letter makes it so."""
    if fits:
        assert message(text=text).text == text
    else:
        assert problems(text=text) == [("text.length.too.long", "text")]


@pytest.mark.parametrize("bad", ["", None, 5, b"Hello", ["Hello"], "half \ud83d"])
def test_bad_texts(bad: object) -> None:
    """An empty text, anything but a str, and half of a surrogate pair are refused."""
    assert [ref for _, ref in problems(text=bad)] == ["text"]


@pytest.mark.parametrize(
    ("given_validity", "kept"),
    [(0, 0), (1, 1), (259_199, 259_199), (259_200, 259_200), (timedelta(0), 0), (timedelta(days=3), 259_200),
     (timedelta(minutes=5), 300), (None, None)],
)  # fmt: skip
def test_validity(given_validity: Any, kept: int | None) -> None:
    """Lifetime is 0 to 259,200 whole seconds, or a timedelta of that length."""
    assert message(validity=given_validity).validity == kept


@pytest.mark.parametrize(
    "bad",
    [-1, 259_201, 10**30, True, False, 1.0, "60", timedelta(seconds=-1), timedelta(days=3, seconds=1),
     timedelta(milliseconds=500), timedelta.max, timedelta.min],
)  # fmt: skip
def test_bad_validity(bad: object) -> None:
    """One second beyond either limit, booleans, floats, texts and parts of seconds are refused."""
    assert problems(validity=bad) == [("validity.is.invalid", "validity")]


def test_scheduled_time_is_kept_in_utc() -> None:
    """An aware time is kept in UTC and sent with milliseconds and Z, cut rather than rounded."""
    made = message(scheduled_time=datetime(2030, 1, 1, 1, 2, 3, 4999, tzinfo=MOSCOW))
    assert made.scheduled_time == datetime(2029, 12, 31, 22, 2, 3, 4999, tzinfo=UTC)
    assert json.loads(encode(made))["scheduledTime"] == "2029-12-31T22:02:03.004Z"


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999Z"),
        (datetime(987, 6, 5, tzinfo=UTC), "0987-06-05T00:00:00.000Z"),
    ],
)
def test_years_are_four_digits(moment: datetime, sent: str) -> None:
    """The first and last year that a datetime knows are written with four digits."""
    assert json.loads(encode(message(scheduled_time=moment)))["scheduledTime"] == sent


@pytest.mark.parametrize(
    "bad",
    [
        datetime(2030, 1, 1),
        datetime(2030, 1, 1).date(),
        datetime.min.replace(tzinfo=MOSCOW),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-3))),
        "2030-01-01T00:00:00Z",
        1_900_000_000,
    ],
)
def test_bad_scheduled_time(bad: object) -> None:
    """A naive time, a time outside the calendar in UTC, and anything but a datetime are refused."""
    assert problems(scheduled_time=bad) == [("scheduledTime.is.invalid", "scheduledTime")]


@pytest.mark.parametrize("name", ["LOW", "MEDIUM", "HIGH", "REALTIME"])
def test_priorities(name: str) -> None:
    """The four names of the API docs are taken as members or as text, and sent as names."""
    for given_priority in (name, Priority(name)):
        made = message(priority=given_priority)
        assert made.priority is Priority(name)
        assert json.loads(encode(made))["priority"] == name


@pytest.mark.parametrize("bad", ["high", "Low", "", 0, 3, True, "HIGH ", ["HIGH"], b"HIGH"])
def test_bad_priorities(bad: object) -> None:
    """ "If any other value is used, the message will be rejected": numbers of older generations included."""
    assert problems(priority=bad) == [("priority.is.not.match", "priority")]


@pytest.mark.parametrize(
    "url",
    ["https://www.callback-url.com/", "http://example.com", "HTTPS://EXAMPLE.COM/x?y=1#z", "http://127.0.0.1:8025/hook",
     "http://[::1]:8025/", "https://user:word@example.com/", "https://пример.рф/отчёт", "http://localhost"],
)  # fmt: skip
def test_callback_urls(url: str) -> None:
    """Any valid URL with the http or https scheme is taken as it is."""
    assert message(callback_url=url).callback_url == url


@pytest.mark.parametrize(
    "bad",
    ["", "example.com", "//example.com", "ftp://example.com", "javascript:alert(1)", "https://", "https:///path",
     "http://:80/", "http://exa mple.com", "http://example.com/a b", "http://example.com/\n", "http://[::1",
     "http://example.com:99999/", "http://example.com:0/", "http://example.com:x/", "http://a\\b", "http://<x>/",
     5, b"http://example.com", True],
)  # fmt: skip
def test_bad_callback_urls(bad: object) -> None:
    """Other schemes, no host, spaces, impossible ports and anything but a str are refused."""
    assert problems(callback_url=bad) == [("callbackUrl.format.invalid", "callbackUrl")]


def test_callback_url_that_cannot_be_sent() -> None:
    """What is checked at birth can be sent: half a surrogate pair in the URL is refused like in the text."""
    assert problems(callback_url="http://example.com/\ud800") == [("callbackUrl.format.invalid", "callbackUrl")]


@pytest.mark.parametrize(
    "bad", [{"a": 1}, {1: "a"}, {"a": None}, {"a": "\ud800"}, {"\ud800": "a"}, [], "ab", [("a", "b")]]
)
def test_bad_options(bad: object) -> None:
    """Options are a mapping of str to str and nothing else."""
    assert problems(options=bad) == [("invalid", "options")]


def test_frozen() -> None:
    """A message never changes after its check: neither field nor options, nor through the mapping it was given."""
    given_options = {"ref": "1"}
    made = message(options=given_options)
    given_options["ref"] = "2"
    assert made.options == {"ref": "1"}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.to = "1"  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.options["ref"] = "3"  # type: ignore[index]


def test_final() -> None:
    """A message has no subclasses: what was checked cannot be overridden."""
    with pytest.raises(TypeError, match="final"):
        type("Ours", (Message,), {})


def ours(error: BaseException) -> str:
    """What an error tracker records of the SDK's own frames, their locals included."""
    recorded = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [each for each in recorded.stack if Path(each.filename).is_relative_to(PACKAGE)]
    assert frames
    return str([each.locals for each in frames])


@pytest.mark.parametrize(
    "bad",
    [{"priority": "URGENT"}, {"validity": -1}, {"to": "7900123456x"}, {"text": "код 4711" * 9_999}, {"sender": ""}],
)
def test_frames_hold_nothing_personal(bad: dict[str, Any]) -> None:
    """An error tracker that records locals gets neither text, number, callback address nor options from our frames."""
    fields = {"text": "код 4711", "callback_url": "https://example.com/?t0ken", "options": {"ref": "o-77"}, **bad}
    with pytest.raises(InvalidMessage) as raised:
        message(**fields)
    assert not any(each in ours(raised.value) for each in (PHONE, "7900123456x", "4711", "t0ken", "o-77"))


def test_frames_of_pickles_hold_nothing_personal() -> None:
    """The same holds where a message is made again from a pickle that breaks a rule."""
    pickled = pickle.dumps(message(text="код 4711", callback_url="https://example.com"))
    with pytest.raises(InvalidMessage) as raised:
        pickle.loads(pickled.replace(b"https://", b"gopher//"))
    assert not any(each in ours(raised.value) for each in (PHONE, "4711"))


@pytest.mark.parametrize(
    "encode_all", [lambda given: list(sending.encode(given)), lambda given: sending.encode_one(given[1])]
)
def test_frames_of_encoding_hold_nothing_personal(encode_all: Callable[[list[Any]], Any]) -> None:
    """Where something else stands among messages, our frames show neither it nor the messages before it."""
    stranger = {"to": PHONE, "text": "код 4711"}
    with pytest.raises(InvalidMessage, match="must be Message, not dict") as raised:
        encode_all([message(text="код 4711"), stranger])
    assert not any(each in ours(raised.value) for each in (PHONE, "4711"))


def test_repr_shows_nothing_personal() -> None:
    """The repr shows neither text, full number, callback address nor options."""
    made = message(
        text="код 4711", options={"ref": "o-77"}, callback_url="https://example.com/?token=t0ken", validity=5
    )
    for shown in (repr(made), str(made), repr([made]), repr(pickle.loads(pickle.dumps(made)))):
        assert not any(each in shown for each in (PHONE, "4711", "o-77", "t0ken"))
        assert "4567" in shown
        assert "validity=5" in shown


def test_repr_masks_a_sender_that_is_a_number() -> None:
    """A sender may be a phone number; DetailRow and IncomingMessage mask it, and so does Message."""
    assert PHONE not in repr(message(sender=PHONE))


@pytest.mark.parametrize(
    ("number", "masked"), [(PHONE, "*******4567"), ("1234567", "***4567"), ("anna", "****"), ("", ""), (None, None)]
)
def test_mask_phone(number: str | None, masked: str | None) -> None:
    """Only the last four characters of a number are shown, and none of a short one."""
    assert mask_phone(number) == masked


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
messages = st.builds(
    Message,
    sender=st.text(st.sampled_from("abzАЯ0 -._&\"\\"), min_size=1, max_size=11).filter(str.strip),
    to=st.from_regex(r"\+?7900[0-9]{3,11}", fullmatch=True),
    text=texts,
    validity=st.none() | st.integers(0, 259_200) | st.integers(0, 259_200).map(lambda s: timedelta(seconds=s)),
    scheduled_time=st.none() | st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(MOSCOW)),
    priority=st.none() | st.sampled_from(Priority),
    callback_url=st.none() | st.sampled_from(["http://example.com", 'https://пример.рф/?q="\'']).filter(
        lambda url: '"' not in url
    ) | st.just("https://пример.рф/отчёт?x=1&y=2"),
    options=st.none() | st.dictionaries(texts, texts, max_size=4),
)  # fmt: skip


@given(messages)
def test_encode_then_decode_is_identity(made: Message) -> None:
    """What is sent is UTF-8 JSON whose fields are exactly the message's; fields that are None are left out."""
    encoded = encode(made)
    fields = json.loads(encoded)
    moment = fields.pop("scheduledTime", None)
    expected = {
        "from": made.sender,
        "to": made.to,
        "text": made.text,
        "validity": made.validity,
        "priority": made.priority,
        "callbackUrl": made.callback_url,
        "options": None if made.options is None else dict(made.options),
    }
    assert fields == {name: value for name, value in expected.items() if value is not None}
    if made.scheduled_time is None:
        assert moment is None
    else:
        assert moment.endswith("Z")
        cut = made.scheduled_time.replace(microsecond=made.scheduled_time.microsecond // 1000 * 1000)
        assert datetime.fromisoformat(moment) == cut
    assert "\\u04" not in encoded


@given(messages)
def test_values_round_trip(made: Message) -> None:
    """A message survives pickling, copying and evolving, equal and with the same hash."""
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made), attrs.evolve(made)):
        assert again == made
        assert hash(again) == hash(made)
        assert encode(again) == encode(made)


def test_texts_are_their_characters() -> None:
    """Text of a class of its own, whatever it compares equal to, is kept and sent as its characters."""

    class Folded(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return isinstance(other, str) and self.lower() == other.lower()

        __hash__ = str.__hash__

    messages = [Message(sender=Folded("Мы"), to=Folded("79000000001"), text=Folded(text)) for text in ("aBc", "abc")]
    assert {type(part) for each in messages for part in (each.sender, each.to, each.text)} == {str}
    assert ["aBc" in encoded for encoded in sending.encode(messages)] == [True, False]


def test_values_are_written_as_what_they_are() -> None:
    """Classes that write themselves in ways of their own are kept as plain values: one could spoil a whole batch."""

    class Life(int, Enum):
        DAY = 86_400

    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "loud"

    class Late(datetime):
        def isoformat(self, *args: Any, **kwargs: Any) -> str:
            return "soon"

    address = "https://example.com/callback"
    odd = message(
        validity=Life.DAY,
        scheduled_time=Late(2026, 11, 24, 12, 0, 0, 5_000, tzinfo=MOSCOW),
        callback_url=Loud(address),
        options={Loud("a"): Loud("b")},
    )
    plain = message(
        validity=86_400,
        scheduled_time=datetime(2026, 11, 24, 9, 0, 0, 5_000, tzinfo=UTC),
        callback_url=address,
        options={"a": "b"},
    )
    assert encode(odd) == encode(plain)
    assert odd == plain
    assert odd.options is not None
    kept = (odd.validity, odd.scheduled_time, odd.callback_url, *odd.options, *odd.options.values())
    assert [type(each) for each in kept] == [int, datetime, str, str, str]
