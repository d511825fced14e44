"""Which Cyrillic encoding makes bytes read as Russian, by how often letters occur and how words are written.

The file is decoded in decoding.py.
"""

import re
from collections import Counter
from math import log

__all__ = ["CYRILLIC", "UTF_8_LETTERS", "holds_utf_8", "russian_encodings"]

CYRILLIC = {
    "cp1251": "Windows-1251",
    "koi8-r": "KOI8-R",
    "cp866": "CP866",
    "mac-cyrillic": "Mac Cyrillic",
    "iso8859-5": "ISO 8859-5",
}
"""The encodings that are tried, and their names."""

UTF_8_LETTERS = re.compile(rb"(?:[\xd0\xd1][\x80-\xbf]){3}")
"""Three Cyrillic letters in UTF-8. No text in one of these encodings has these bytes."""

# How often letters occur in 10,000 letters of Russian text. Ukrainian and Belarusian letters are rare.
_LETTERS = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґў"
_COUNTS = (
    *(1097, 845, 801, 735, 670, 626, 547, 473, 454, 440, 349, 321, 298, 281, 262, 201, 190, 174, 170),
    *(165, 159, 144, 121, 97, 94, 73, 64, 48, 36, 32, 26, 20, 120, 8, 4, 4, 2, 2),
)
_EVEN = 10_000 / 33
_SCORE_OF = {letter: log(count / _EVEN) for letter, count in zip(_LETTERS, _COUNTS, strict=True)}
_SCORE_OF |= {letter.upper(): score for letter, score in _SCORE_OF.items()}
# Signs that are common in Russian texts, besides letters.
_SCORE_OF |= dict.fromkeys("«»„“”‘’–—…№\xa0•§°©®±·€™\u20bd", 0.0)
_STRANGE = -4.0
"""The score of any other character that is not ASCII: another alphabet, or a line of a box."""
# What no word contains: a small letter before a capital one, a mix of alphabets, a first letter that begins no word, a
# Cyrillic capital between small letters, a sign of a box or of money inside a word.
_UNLIKELY = re.compile(
    r"[а-яё][А-ЯЁ]|[A-Za-z][А-яЁё]|[А-яЁё][A-Za-z]|(?<![^\W\d_])[ьъыЬЪЫ]|[А-яЁё][^\W\d_А-яЁёіїєґўІЇЄҐЎ]"
)
_UNLIKELY_SCORE = -2.5
_MIN_SCORE = -0.9
"""The minimum mean score of a character in plausible Russian."""
_NOT_ASCII = bytes(range(0x80, 0x100))
_SHORT = 2.0
"""How far below the minimum a sample may be in sum. The score of a short one depends on few letters."""
# Nearly every file that is not UTF-8 is Windows-1251, so another encoding must read better by this much in sum.
_HANDICAP = {"cp1251": 0.0, "koi8-r": 3.0, "cp866": 3.0, "mac-cyrillic": 8.0, "iso8859-5": 6.0}


def holds_utf_8(text: str, encoding: str) -> bool:
    """Return whether a text that was read in an encoding of one byte a letter has Cyrillic letters in UTF-8."""
    return UTF_8_LETTERS.search(text.encode(encoding, "ignore")) is not None


def russian_encodings(sample: bytes) -> list[str]:
    """Return the encodings in which a sample is plausible Russian, the likeliest first."""
    count = len(sample) - len(sample.translate(None, _NOT_ASCII))
    scores = {encoding: _score(sample, encoding) for encoding in CYRILLIC}
    plausible = [encoding for encoding in CYRILLIC if scores[encoding] + _SHORT >= _MIN_SCORE * count]
    return sorted(plausible, key=lambda encoding: _HANDICAP[encoding] - scores[encoding])


def _score(sample: bytes, encoding: str) -> float:
    """Return the sum of the scores of all characters that are not ASCII."""
    text = sample.decode(encoding, "replace")
    counts = Counter(character for character in text if character > "\x7f")
    total = sum(_SCORE_OF.get(character, _STRANGE) * count for character, count in counts.items())
    return total + _UNLIKELY_SCORE * len(_UNLIKELY.findall(text))
