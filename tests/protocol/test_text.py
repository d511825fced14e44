"""Alphabets, segments and the API docs' limits, against smsutil, Gammu and the sandbox as further opinions."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError, Culprit, Segments, segments
from devino_async.protocol.text import (
    MAX_CULPRITS,
    MAX_CYRILLIC_CHARACTERS,
    MAX_LATIN_CHARACTERS,
    Alphabet,
    alphabet_of,
    culprits_of,
    length_and_limit,
    segments_of,
)
from devino_async.sandbox.text import is_too_long, segment_count

sys.path.insert(0, str(Path(__file__).parent))
from text_oracles import counted_by_gammu, counted_by_smsutil, disagreement, texts

GSM = "@£$¥èé\n\rÅΔ_ΦΞÆß !\"#¤%&'0aZäöñüà"
EXTENSION = "\f^{}\\[~]|€"
WIDE = "яЖё—«»\u200b漢"
ASTRAL = "😀🇷𝔘"

latin = st.text(st.sampled_from(GSM + EXTENSION), min_size=1, max_size=500)
anything = st.text(st.sampled_from(GSM + EXTENSION + WIDE + ASTRAL), min_size=1, max_size=500)
runs = st.lists(st.tuples(st.sampled_from("aя€😀"), st.integers(1, 200)), min_size=1, max_size=6).map(
    lambda parts: "".join(character * count for character, count in parts)
)


def test_against_independent_counters() -> None:
    """The count of segments is that of two independent libraries, and of the sandbox, on 2,000 random texts."""
    for text in texts(2_000, seed=1):
        assert disagreement(text, segments_of(text)) is None
        assert segments(text).count == segments_of(text) == segment_count(text), text


@given(latin | anything | runs)
def test_segments_against_smsutil(text: str) -> None:
    """The segments of a text are those that an independent library cuts it into, and those of the sandbox."""
    assert segments_of(text) == counted_by_smsutil(text) == segment_count(text)


@given(st.text(max_size=300) | st.builds(lambda text, count: text * count, st.text(max_size=9), st.integers(1, 60)))
def test_every_text(text: str) -> None:
    """SDK, sandbox and an independent library agree on texts of any characters."""
    assert segments_of(text) == segment_count(text)
    if "\x1b" not in text:
        assert segments_of(text) == counted_by_smsutil(text)


def test_escape() -> None:
    """ESC is the septet that announces a character of the extension table. As a character, GSM-7 does not have it."""
    assert (
        segments_of("a" * 70 + "\x1b") == segment_count("a" * 70 + "\x1b") == counted_by_gammu("a" * 70 + "\x1b") == 2
    )


def test_every_character() -> None:
    """SDK, sandbox and an independent library agree on the alphabet and width of every character."""
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or 0x3000 < code < 0xFE00 or (code > 0x10000 and code % 4099):
            continue
        alone, pair = chr(code) * 71, "a" * 66 + chr(code) + "a" * 87
        for text in (alone, pair):
            assert segments_of(text) == segment_count(text), hex(code)
        if code != 0x1B:
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


def culprits(text: str) -> list[tuple[int, str, str]]:
    return [tuple(each) for each in segments(text).culprits]


def octets(count: int) -> int:
    return segments("a" * count, profile="octet").count


def test_profiles() -> None:
    """Where septets travel as octets, 140 fit into one segment and 134 into each of several. UCS-2 is as ever."""
    assert [octets(count) for count in (1, 140, 141, 268, 269, 34_170)] == [1, 1, 2, 2, 3, 255]
    assert segments("a" * 133 + "€" + "a" * 132, profile="octet").count == 2
    assert segments("a" * 133 + "€" + "a" * 133, profile="octet").count == 3
    assert segments("я" * 141, profile="octet") == segments("я" * 141)


@given(st.text(GSM + EXTENSION, min_size=1, max_size=500))
def test_octets_never_cost_less(text: str) -> None:
    """The octet profile counts the same units, and at least as many segments."""
    less, more = segments(text), segments(text, profile="octet")
    assert (less.alphabet, less.units) == (more.alphabet, more.units)
    assert less.count <= more.count <= less.count * 2


def test_units() -> None:
    """Units are septets in GSM-7, with two for a character of the extension table, and 16-bit units in UCS-2."""
    assert segments("") == Segments(Alphabet.GSM7, 0, 1)
    assert segments("a€[") == Segments("GSM-7", 5, 1)
    assert segments("я€[") == Segments("UCS-2", 3, 1)
    assert segments("Привет 😀") == Segments("UCS-2", 9, 1)


def test_what_segments_refuses() -> None:
    """Whatever is not a str, and a profile that does not exist, are refused by name."""
    with pytest.raises(ConfigurationError, match="text must be str, not bytes"):
        segments(b"abc")
    with pytest.raises(ConfigurationError, match="profile must be 'gsm7' or 'octet'"):
        segments("abc", profile="gsm")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Your order’s ready – now", [(10, "’", "RIGHT SINGLE QUOTATION MARK"), (19, "–", "EN DASH")]),
        ("Hello frоm us", [(8, "о", "CYRILLIC SMALL LETTER O")]),
        ("Sale 😀", [(5, "😀", "GRINNING FACE")]),
        ("a\tb", [(1, "\t", "CHARACTER TABULATION")]),
        ("a\x1bb\x07", [(1, "\x1b", "ESCAPE"), (3, "\x07", "U+0007")]),
        ("😀😀", [(0, "😀", "GRINNING FACE"), (1, "😀", "GRINNING FACE")]),
        ("12 — 14", [(3, "—", "EM DASH")]),
        ("Order 123 ОК", [(10, "О", "CYRILLIC CAPITAL LETTER O"), (11, "К", "CYRILLIC CAPITAL LETTER KA")]),
        ("Zażółć", [(2, "ż", "LATIN SMALL LETTER Z WITH DOT ABOVE"), (3, "ó", "LATIN SMALL LETTER O WITH ACUTE"),
                    (4, "ł", "LATIN SMALL LETTER L WITH STROKE"), (5, "ć", "LATIN SMALL LETTER C WITH ACUTE")]),
        ("Pay 500 ₽ for ½ of 𝗧his", [(8, "₽", "RUBLE SIGN"), (14, "½", "VULGAR FRACTION ONE HALF"),
                                     (19, "𝗧", "MATHEMATICAL SANS-SERIF BOLD CAPITAL T")]),
        ("Your order from Яна is ready, pick it up", [(16, "Я", "CYRILLIC CAPITAL LETTER YA"),
         (17, "н", "CYRILLIC SMALL LETTER EN"), (18, "а", "CYRILLIC SMALL LETTER A")]),
    ],
)  # fmt: skip
def test_culprits(text: str, expected: list[tuple[int, str, str]]) -> None:
    """Each character that GSM-7 lacks is a culprit, with its position and name, if the text is GSM-7 but for a few."""
    assert culprits(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "Plain text", "Привет", "Ваш заказ — «готов»", "Новый iPhone 15 Pro", "ТЕСТ — 123", "ТЕСТ", "Код: 1234 😀"]
    + ["Hello 世界", "Γεια σου", "שלום — hi", "и"],
)
def test_texts_of_another_language(text: str) -> None:
    """A text of another language has no culprits: its letters need UCS-2 in any case."""
    assert culprits(text) == []


@pytest.mark.parametrize("foreign", [0, 1, 2, 9, 10, 11])
def test_the_share_of_another_language(foreign: int) -> None:
    """A tenth of the letters may be of another alphabet. With more, the text is of another language."""
    text = "я" * foreign + "a" * (100 - foreign) + " — 5" * 30
    assert len(segments(text).culprits) == (30 + foreign if foreign <= 10 else 0)


def test_a_letter_that_looks_latin() -> None:
    """A letter of another alphabet that looks Latin says which letter it looks like."""
    [culprit, other] = segments("Hello frоm us —").culprits
    assert culprit == Culprit(8, "о", "CYRILLIC SMALL LETTER O")
    assert (culprit.looks_like, other.looks_like) == ("o", None)


@given(st.text(GSM + EXTENSION, max_size=200), st.text(WIDE + ASTRAL, max_size=200), st.randoms(use_true_random=False))
def test_culprits_are_what_makes_it_ucs2(plain: str, strange: str, chance: random.Random) -> None:
    """Without its culprits a text is GSM-7, if it has any and no more than are listed."""
    text = "".join(chance.sample(plain + strange, len(plain + strange)))
    found = culprits_of(text)
    assert all(text[each.position] == each.character for each in found)
    assert list(found) == sorted(found)
    if found and len(found) < MAX_CULPRITS:
        places = {each.position for each in found}
        rest = "".join(each for place, each in enumerate(text) if place not in places)
        assert alphabet_of(rest) is Alphabet.GSM7


def test_many_culprits() -> None:
    """At most 100 culprits are listed, so the longest text is counted in a moment."""
    assert len(segments("😀" * 8_000).culprits) == MAX_CULPRITS == 100


def test_segments_show_no_text() -> None:
    """The repr of a result shows how many culprits there are, and none of the text."""
    assert (
        repr(segments("Sale 😀"))
        == "Segments(alphabet=<Alphabet.UCS2: 'UCS-2'>, units=7, count=1, culprits=<1 culprits>)"
    )
