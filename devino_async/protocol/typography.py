"""Plainer characters for a text: quotes, dashes, spaces and letters that look Latin, if that saves a segment.

Nothing here changes a text unasked. What a text costs is counted in text.py.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Literal, NamedTuple, Self

from .text import LOOK_ALIKES, NOT_GSM7, Alphabet, alphabet_of, culprits_of, name_of, segments

__all__ = ["Replacement", "Suggestion", "plainer", "suggest"]

# Each of these looks or reads like its replacement. Letters with accents are not here: without them a name is misspelt.
_PLAINER = {
    **LOOK_ALIKES,
    **dict.fromkeys("“”„‟«»″˝〝〞", '"'),
    **dict.fromkeys("‘’‚‛‹›′`´ʼʻʹˈ", "'"),
    **dict.fromkeys("‐‑‒–—―−⁃•·∙‧▪◦●", "-"),
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("∗★", "*"),
    **dict.fromkeys(
        "\t\v\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    ),
    **dict.fromkeys("\x85\u2028\u2029", "\n"),
    **dict.fromkeys("\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f\ufeff", ""),
    "…": "...",
    "×": "x",
}
# Invisible characters that no other alphabet and no emoji needs.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
# A letter and its accents, which may be one character as well.
_ACCENTED = re.compile("[^\\W\\d_][\u0300-\u036f]+")
# Kinds of characters in Unicode that are another form of plainer ones: ligatures, wide and mathematical letters.
_OTHER_FORMS = ("<compat>", "<wide>", "<narrow>", "<noBreak>", "<font>")


class Replacement(NamedTuple):
    """A character that a suggestion replaces, with its name in Unicode, its replacement, and how often it occurs."""

    character: str
    name: str
    replacement: str
    times: int


class Suggestion(str):
    """A text that costs fewer segments, or the text as it was if no replacement saves one.

    It is a str, so it can be the text of a Message. `replaced` says what was replaced, and `saves` how many segments
    that saves.
    """

    __slots__ = ("replaced", "saves")

    replaced: tuple[Replacement, ...]
    saves: int

    def __new__(cls, text: str, replaced: tuple[Replacement, ...] = (), saves: int = 0) -> Self:
        """Make the str from `text`."""
        made = super().__new__(cls, text)
        made.replaced, made.saves = replaced, saves
        return made


def suggest(text: str, *, profile: Literal["gsm7", "octet"] = "gsm7") -> Suggestion:
    """Return the text with typographic characters replaced, if that saves a segment.

    A text that is GSM-7 but for a few characters becomes GSM-7, if each of them has a plainer form: quotes, dashes,
    spaces, bullets, an ellipsis, ligatures, and letters of other alphabets that look Latin. In any other text only
    invisible characters are removed, and letters are joined with accents that follow them. A text that would still cost
    as much is returned as it is.

    Raises ConfigurationError as `segments` does.
    """
    before = segments(text, profile=profile)
    if before.alphabet is Alphabet.GSM7 or before.count == 1:
        return Suggestion(text)
    best = Suggestion(text)
    for replaced in (_tidied(text), _plain(text)):
        if replaced is not None:
            made, replacements = replaced
            saves = before.count - segments(made, profile=profile).count
            # If two save equally much, the first one replaces less.
            if saves > best.saves:
                best = Suggestion(made, replacements, saves)
    return best


@lru_cache(maxsize=1_024)
def plainer(character: str) -> str | None:
    """Return what may stand for a character in GSM-7, or None. It may be several characters, or an empty text."""
    made = _PLAINER.get(character)
    if made is None and unicodedata.decomposition(character).startswith(_OTHER_FORMS):
        made = unicodedata.normalize("NFKC", character)
    return made if made is not None and alphabet_of(made) is Alphabet.GSM7 else None


def _tidied(text: str) -> tuple[str, tuple[Replacement, ...]]:
    """Remove what is invisible, and join letters with their accents where one character is the same."""
    found = Counter({(each, ""): times for each, times in Counter(_INVISIBLE.findall(text)).items()})
    text = _INVISIBLE.sub("", text) if found else text
    accented = Counter(_ACCENTED.findall(text))
    joined = {each: unicodedata.normalize("NFC", each) for each in accented}
    found.update({(each, made): accented[each] for each, made in joined.items() if made != each})
    return _ACCENTED.sub(lambda match: joined[match[0]], text) if joined else text, _replacements(found)


def _plain(text: str) -> tuple[str, tuple[Replacement, ...]] | None:
    """Replace every culprit, or return None if the text has none or one of them has no plainer form."""
    made, replacements = _tidied(text)
    if not culprits_of(made):
        return None
    strangers = Counter(NOT_GSM7.findall(made))
    table: dict[str, str | int | None] = {each: plain for each in strangers if (plain := plainer(each)) is not None}
    if len(table) < len(strangers):
        return None
    replacements += _replacements(Counter({(each, str(table[each])): times for each, times in strangers.items()}))
    return made.translate(str.maketrans(table)), replacements


def _replacements(found: Counter[tuple[str, str]]) -> tuple[Replacement, ...]:
    return tuple(
        Replacement(character, " + ".join(map(name_of, character)), plain, times)
        for (character, plain), times in found.most_common()
    )
