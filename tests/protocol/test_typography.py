"""Suggestions: what is replaced, when, and what it saves."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError, Message, Replacement, Suggestion, segments, suggest
from devino_async.protocol.text import LOOK_ALIKES, NOT_GSM7, Alphabet, alphabet_of, name_of
from devino_async.protocol.typography import plainer

ORDER = "Your order’s ready – pick it up today between 10 and 18 at our store. Bring this SMS with you"
TYPOGRAPHIC = "“”„«»‘’–—…•\u00a0\u2009\u200b\u00ad\ufeffﬁ№Ｈ"


def test_what_is_replaced() -> None:
    """A suggestion is the cheaper text, and says what was replaced, how often, and how many segments that saves."""
    made = suggest(ORDER)
    assert made == "Your order's ready - pick it up today between 10 and 18 at our store. Bring this SMS with you"
    assert made.saves == 1
    assert made.replaced == (
        Replacement("’", "RIGHT SINGLE QUOTATION MARK", "'", 1),
        Replacement("–", "EN DASH", "-", 1),
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“Sale” «today» „now‟", '"Sale" "today" "now"'),
        ("it’s ‘so’ `easy´", "it's 'so' 'easy'"),
        ("9‐10‑11‒12–13—14―15−16", "9-10-11-12-13-14-15-16"),
        ("a\u00a0b\u2009c\u202fd\te", "a b c d e"),
        ("wait… • here · and there", "wait... - here - and there"),
        ("zero\u200bwidth\u200c \u200dsoft\u00adhyphen\ufeff", "zerowidth softhyphen"),
        ("ﬁnd ﬂat oﬀer oﬃce № 5", "find flat offer office No 5"),
        ("Ａｌｌ ｗｉｄｅ letters, 𝐛𝐨𝐥𝐝 𝘰𝘯𝘦𝘴", "All wide letters, bold ones"),
        ("Hellо frоm МОSCОW", "Hello from MOSCOW"),
        ("caf\u0065\u0301 e\u0300 ~ {a} 10 €", "café è ~ {a} 10 €"),
        ("two\u2028lines", "two\nlines"),
    ],
)
def test_kinds(text: str, plain: str) -> None:
    """Quotes, dashes, spaces, bullets, ellipses, invisible characters, ligatures and look-alikes have plainer forms."""
    filler = " and so on" * 9
    assert suggest(text + filler) == plain + filler
    assert segments(plain + filler).alphabet is Alphabet.GSM7


@pytest.mark.parametrize(
    "text",
    ["Your order’s ready", "Plain text " * 30, "", "Ваш заказ — «готов» " * 10, "Sale 😀 it’s on " * 20]
    + ["Łódź – Málaga " * 20, "m² – 5 ₽ " * 20, "ТЕСТ " * 30],
)
def test_nothing_is_replaced_in_vain(text: str) -> None:
    """A text stays as it is if no replacement saves a segment, whether it is short, Russian, or has an emoji."""
    made = suggest(text)
    assert (made, made.replaced, made.saves) == (text, (), 0)


def test_other_languages() -> None:
    """In a text of another language, invisible characters go and accents are joined to letters, if that saves one."""
    made = suggest("Ваш зака\u00adз гото\u200bв — «" + "я" * 47 + "и\u0306" * 2)
    assert made == "Ваш заказ готов — «" + "я" * 47 + "йй"
    assert made.saves == 1
    assert {(each.character, each.replacement, each.times) for each in made.replaced} == {
        ("\u00ad", "", 1),
        ("\u200b", "", 1),
        ("и\u0306", "й", 2),
    }
    family = "👩\u200d👩\u200d👧" * 20
    assert suggest(family) == family


def test_the_smaller_change_wins() -> None:
    """Where removing invisible characters saves as much as replacing all, only they are replaced."""
    made = suggest("It’s on " + "a" * 62 + "\u200b")
    assert made == "It’s on " + "a" * 62
    assert [each.name for each in made.replaced] == ["ZERO WIDTH SPACE"]


def test_profile() -> None:
    """A suggestion counts by the profile that it is asked for."""
    text = "’" + "a" * 133
    assert suggest(text).saves == suggest(text, profile="octet").saves == 1
    text = "’" + "a" * 140
    assert (suggest(text).saves, suggest(text, profile="octet").saves) == (2, 1)
    with pytest.raises(ConfigurationError, match="profile"):
        suggest(text, profile="x")


@given(st.text("aB 9€[" + TYPOGRAPHIC + "".join(LOOK_ALIKES) + "яш😀₽\u0301\u0306", max_size=250))
def test_a_suggestion_never_costs_more(text: str) -> None:
    """A suggestion saves what it says, changes nothing if that is nothing, and has nothing to suggest about itself."""
    made = suggest(text)
    assert segments(text).count - segments(made).count == made.saves
    assert (made.saves > 0) == (made != text) == bool(made.replaced)
    assert suggest(made).saves == 0


def test_what_has_a_plainer_form() -> None:
    """Each plainer form is GSM-7, of at most four characters for one, and no character of GSM-7 has one."""
    for code in (*range(0xD800), *range(0xE000, 0x20000)):
        character = chr(code)
        plain = plainer(character)
        if plain is not None:
            assert alphabet_of(plain) is Alphabet.GSM7
            assert len(plain) <= 4, name_of(character)
            assert NOT_GSM7.search(character) is not None, name_of(character)


def test_a_suggestion_is_a_text() -> None:
    """A suggestion is a str: it can be the text of a message, copied and pickled."""
    made = suggest(ORDER)
    assert Message(sender="Shop", to="79000000001", text=made).text == str(made)
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert isinstance(again, Suggestion)
        assert (again, again.replaced, again.saves) == (made, made.replaced, made.saves)
