"""Fingerprints: their form never changes, each message has its own, and packing a batch makes no difference."""

import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import Message, Priority
from devino_async.campaigns.fingerprints import SIZE, Fingerprints
from devino_async.flow.steps import at_once
from devino_async.protocol.packing import Packed

SECRET = bytes(range(32))
PLAIN = {"sender": "MyCompany", "to": "79001234567", "text": "Привет"}
WHOLE = {
    **PLAIN,
    "validity": 3600,
    "scheduled_time": datetime(2026, 11, 28, 12, 30, 0, 250_000, UTC),
    "priority": Priority.HIGH,
    "callback_url": "https://example.com/devino",
    "options": {"order": "17", "a": "b"},
}
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
messages = st.builds(
    Message,
    sender=st.sampled_from(["MyCompany", "My", "Company 1"]),
    to=st.integers(79_000_000_000, 79_000_000_003).map(str),
    text=texts,
    validity=st.none() | st.integers(0, 3),
    priority=st.none() | st.sampled_from(Priority),
    options=st.none() | st.dictionaries(texts, texts, max_size=2),
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(PLAIN, "964e98a55e9981f8"), (WHOLE, "7577df31f6d2b294")],
)
def test_the_form_is_pinned(fields: dict[str, Any], expected: str) -> None:
    """A newer version of the package recognises the messages of a campaign in progress."""
    assert Fingerprints(SECRET).of(Message(**fields)).hex() == expected


def test_it_is_hmac_sha_256() -> None:
    """A fingerprint is the first 8 bytes of HMAC-SHA-256 (RFC 2104), so nothing can be guessed without the key."""
    form = "1 79001234567 9 6 MyCompanyПривет".encode()
    assert Fingerprints(SECRET).of(Message(**PLAIN)) == hmac.digest(SECRET, form, "sha256")[:SIZE]
    assert Fingerprints(b"another").of(Message(**PLAIN)) != Fingerprints(SECRET).of(Message(**PLAIN))


@given(st.lists(messages, min_size=2, max_size=30))
def test_equal_if_and_only_if_the_messages_are(some: list[Message]) -> None:
    """Equal messages have one fingerprint, different messages have different ones, whichever field differs."""
    fingerprints = Fingerprints(SECRET)
    for one in some:
        for other in some:
            assert (fingerprints.of(one) == fingerprints.of(other)) == (one == other)


@given(st.lists(messages, max_size=30))
def test_packed_messages_have_the_same(some: list[Message]) -> None:
    """A fingerprint does not depend on how the batch keeps its messages."""
    fingerprints = Fingerprints(SECRET)
    one_by_one = b"".join(map(fingerprints.of, some))
    packed = Packed()
    packed.extend([Message(**{name: getattr(each, name) for name in WHOLE}) for each in some])
    packed.extend(some)
    assert at_once(fingerprints.of_all(packed)) == 2 * one_by_one
    assert at_once(fingerprints.of_all(some)) == one_by_one


def test_it_says_nothing_about_the_key() -> None:
    """The repr of an object does not show the key."""
    assert repr(Fingerprints(SECRET)) == "Fingerprints()"
