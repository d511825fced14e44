"""Random texts that lie in wait at the seams of segments, and what independent counters say of them.

`python tests/protocol/text_oracles.py 100000` compares that many texts by hand.

Where the counters disagree:

- smsutil takes ESC for a character of GSM-7. It is the septet that announces a character of the extension table, so a
  text cannot hold it. Gammu, like most others, sends such a text as UCS-2.
- Gammu keeps a letter and its accents in one segment, and moves some surrogate pairs to the next segment that would
  have fitted. So it may count more for such texts. smsutil keeps only pairs whole, and that is enough: a phone joins
  the segments before it shows an accent.
- Gammu replaces some characters, such as a superscript 1, so it is asked only about texts of the alphabets below.
- Gammu keeps `~` and the characters after it together in UCS-2, and may then even put 68 units into a segment, which
  do not fit. NUL ends its texts. It is not asked about texts with these.
"""

import random
import sys
import unicodedata
from collections.abc import Iterator

import smsutil

# On other systems it has to be built from source.
HAS_GAMMU = sys.platform == "linux"
if HAS_GAMMU:
    import gammu

ALPHABETS = (
    "abc Z09\n", "ab€[]^{}\f~|\\", "abc €\r\n", "aя", "яЖёЇ «»—№", "яя😀", "a😀🇷𝔘", "e\u0301и\u0306й",
    "a’–…\u00a0\u200b•", "aо ", "`\t\x1b", "漢字ﬁ½",
)  # fmt: skip
SEAMS = (66, 67, 68, 69, 70, 71, 133, 134, 135, 152, 153, 154, 159, 160, 161, 201, 267, 306)


def texts(count: int, seed: int) -> Iterator[str]:
    """Random texts: half of them of random characters, half with a few characters at a seam between long runs."""
    chance = random.Random(seed)
    for number in range(count):
        alphabet = chance.choice(ALPHABETS)
        if number % 2:
            yield "".join(chance.choices(alphabet, k=chance.randint(1, 480)))
        else:
            run = chance.choice("aя") * (chance.choice(SEAMS) - chance.randint(0, 4))
            middle = "".join(chance.choices(alphabet, k=chance.randint(1, 9)))
            yield run + middle + chance.choice("aя") * chance.choice((0, 60, 66, 67, 150, 152, 153))


def counted_by_smsutil(text: str) -> int:
    """How many parts smsutil cuts a text into."""
    return len(smsutil.split(text).parts)


def counted_by_gammu(text: str) -> int:
    """How many messages Gammu encodes a text into."""
    entry = {"ID": "ConcatenatedAutoTextLong", "Buffer": text}
    return len(gammu.EncodeSMS({"Class": -1, "Unicode": False, "Entries": [entry]}))


def may_be_moved(character: str) -> bool:
    """Whether Gammu may keep a character away from a seam."""
    return character > "\uffff" or unicodedata.combining(character) > 0


def disagreement(text: str, count: int) -> str | None:
    """What an independent counter says against a count, or None."""
    if "\x1b" not in text and counted_by_smsutil(text) != count:
        return f"smsutil: {counted_by_smsutil(text)}, not {count}: {text!r}"
    if not HAS_GAMMU or "\0" in text or ("~" in text and not smsutil.is_valid_gsm(text)):
        return None
    by_gammu = counted_by_gammu(text)
    if by_gammu < count or (by_gammu > count and not any(map(may_be_moved, text))):
        return f"Gammu: {by_gammu}, not {count}: {text!r}"
    return None


def main(count: int) -> None:
    """Compare that many texts, and print what differs."""
    from devino_async.protocol.text import segments_of
    from devino_async.sandbox.text import segment_count

    different = 0
    for text in texts(count, seed=17):
        said = disagreement(text, segments_of(text))
        if said is not None or segment_count(text) != segments_of(text):
            different += 1
            print(said or f"sandbox: {segment_count(text)}, not {segments_of(text)}: {text!r}")
    print(f"{count:,} texts, {different} different")


if __name__ == "__main__":
    main(int(sys.argv[1]))
