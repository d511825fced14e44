"""Alphabets, segments and the API docs' limits, against smsutil and the sandbox as second and third opinions."""

import pytest
import smsutil
from hypothesis import given
from hypothesis import strategies as st

from devino_async.protocol.text import (
    MAX_CYRILLIC_CHARACTERS,
    MAX_LATIN_CHARACTERS,
    Alphabet,
    alphabet_of,
    length_and_limit,
    segments_of,
)
from devino_async.sandbox.text import is_too_long, segment_count

GSM = "@£$¥èé\n\rÅΔ_ΦΞÆß !\"#¤%&'0aZäöñüà"
EXTENSION = "\f^{}\\[~]|€"
WIDE = "яЖё—«»\u200b漢"
ASTRAL = "😀🇷𝔘"

latin = st.text(st.sampled_from(GSM + EXTENSION), min_size=1, max_size=500)
anything = st.text(st.sampled_from(GSM + EXTENSION + WIDE + ASTRAL), min_size=1, max_size=500)
runs = st.lists(st.tuples(st.sampled_from("aя€😀"), st.integers(1, 200)), min_size=1, max_size=6).map(
    lambda parts: "".join(character * count for character, count in parts)
)


def counted_by_smsutil(text: str) -> int:
    return len(smsutil.split(text).parts)


@given(latin | anything | runs)
def test_segments_against_smsutil(text: str) -> None:
    """The segments of a text are those that an independent library cuts it into, and those of the sandbox."""
    assert segments_of(text) == counted_by_smsutil(text) == segment_count(text)


@given(st.text(max_size=300) | st.builds(lambda text, count: text * count, st.text(max_size=9), st.integers(1, 60)))
def test_every_text(text: str) -> None:
    """SDK, sandbox and an independent library agree on texts of any characters."""
    assert segments_of(text) == segment_count(text) == counted_by_smsutil(text)


def test_every_character() -> None:
    """SDK, sandbox and an independent library agree on the alphabet and width of every character."""
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or 0x3000 < code < 0xFE00 or (code > 0x10000 and code % 4099):
            continue
        alone, pair = chr(code) * 71, "a" * 66 + chr(code) + "a" * 87
        for text in (alone, pair):
            assert segments_of(text) == segment_count(text), hex(code)
        assert segments_of(pair) == counted_by_smsutil(pair), hex(code)


@given(st.text("aя€😀\ud83d\t", max_size=400))
def test_half_a_pair(text: str) -> None:
    """Half of a surrogate pair, which JSON can carry, counts one unit in the SDK and in the sandbox."""
    assert segments_of(text) == segment_count(text)


@given(st.text("aя€😀\t^", max_size=40), st.integers(8_000, 35_000))
def test_too_long_for_both(text: str, length: int) -> None:
    """SDK and sandbox agree on which text is too long."""
    repeated = (text * (length // max(1, len(text)) + 1))[:length]
    units, limit = length_and_limit(repeated)
    assert (units > limit) == is_too_long(repeated)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
        ("€" * 80, 1), ("€" * 81, 2), ("a" * 152 + "€" * 5, 2), ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("я" * 70, 1), ("я" * 71, 2), ("я" * 134, 2), ("я" * 135, 3),
        ("😀" * 35, 1), ("😀" * 36, 2), ("я" * 66 + "😀" + "я" * 65, 2), ("я" * 66 + "😀" + "я" * 66, 3),
        ("", 1),
    ],
    ids=lambda value: f"{len(value)}" if isinstance(value, str) else str(value),
)  # fmt: skip
def test_segment_borders(text: str, segments: int) -> None:
    """160/153 septets and 70/67 units, to the character; no two-septet character or surrogate pair is split."""
    assert segments_of(text) == segments


@given(anything)
def test_alphabet(text: str) -> None:
    """One character outside GSM 03.38 makes the whole text UCS-2."""
    assert (alphabet_of(text) is Alphabet.GSM7) == (not set(text) & set(WIDE + ASTRAL))


def test_limits_are_the_pages() -> None:
    """17,085 and 34,170 are the API docs' numbers: 255 parts of 67, and of 134."""
    assert MAX_CYRILLIC_CHARACTERS == 255 * 67
    assert MAX_LATIN_CHARACTERS == 255 * 134


@pytest.mark.parametrize("count", [1, 8_542, 8_543, 17_084, 17_085, 17_086, 34_169, 34_170, 34_171])
def test_length_and_limit(count: int) -> None:
    """Whatever shortcut counts a text, it is allowed exactly up to the limit of its alphabet."""
    for character, limit in (("a", MAX_LATIN_CHARACTERS), ("я", MAX_CYRILLIC_CHARACTERS)):
        length, most = length_and_limit(character * count)
        assert length == count
        assert (length <= most) == (count <= limit)


@pytest.mark.parametrize("count", [8_542, 8_543])
def test_astral_characters_count_twice(count: int) -> None:
    """An emoji takes two 16-bit units: 8,542 of them fit into 17,085, and one more does not."""
    length, most = length_and_limit("😀" * count)
    assert (length <= most) == (count <= 8_542)
