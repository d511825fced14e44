"""Phone numbers as people write them: what does not count, what is national, and what is wrong with the others."""

import pickle
import random
import re
import subprocess
import sys
import traceback
import unicodedata
from types import FrameType
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError
from devino_async.campaigns import InvalidNumber, normalize_number
from devino_async.campaigns.national_numbers import _looked_up, _usual

DIGITS = "79161234567"
IGNORED = [
    each
    for each in map(chr, range(0x10000))
    if unicodedata.category(each) in {"Zs", "Cf", "Pd"} or each in "()[]\u2212\t"
]


def problem_of(text: Any, country: str | None = None) -> str:
    with pytest.raises(InvalidNumber) as caught:
        normalize_number(text, country=country)
    [reason] = caught.value.problems
    assert (reason.key, reason.ref) == ("to.format.invalid", "to")
    return str(reason.default_message)


@pytest.mark.parametrize(
    "written",
    [
        "79161234567",
        "+79161234567",
        " 79161234567\n",
        "+7 (916) 123-45-67",
        "(+7) 916 123 45 67",
        "+7\u00a0916\u202f123\u201145\u201367",
        "\u200b79161234567\ufeff",
        "7.916.123.45.67",
        "7/916/123/45/67",
        "'79161234567",
        "\u201979161234567",
        "79161234567.0",
        "+79161234567,00",
        '="79161234567"',
        '="+7 916 123-45-67"',
        "0079161234567",
        "00 7 (916) 123-45-67",
        "\uff0b\uff17\uff19\uff11\uff16\uff11\uff12\uff13\uff14\uff15\uff16\uff17",
        79161234567,
        79161234567.0,
    ],
)
@pytest.mark.parametrize("country", [None, "RU", "ru", "DE"])
def test_decoration(written: Any, country: str | None) -> None:
    """What people and spreadsheets write around the digits of a number with its country code does not count."""
    if country == "DE" and "+" not in str(written).replace("\uff0b", "+") and not str(written).startswith("00"):
        pytest.skip("without a plus, it is no number of Germany")
    assert normalize_number(written, country=country) == DIGITS


@given(st.lists(st.sampled_from(IGNORED), max_size=3), st.integers(0, 11))
def test_any_separator(marks: list[str], position: int) -> None:
    """Every kind of space, hyphen and invisible character is ignored at every position."""
    written = DIGITS[:position] + "".join(marks) + DIGITS[position:]
    assert normalize_number(written) == DIGITS
    assert normalize_number(f"+{written}", country="RU") == DIGITS


def test_a_zero_for_calls_at_home() -> None:
    """The zero in brackets behind a country code is not part of the number."""
    assert normalize_number("+44 (0)7911 123456") == normalize_number("+44 (0) 7911-123456", country="GB")
    assert normalize_number("+44 (0)7911 123456") == "447911123456"


@pytest.mark.parametrize(
    "written",
    ["89161234567", "9161234567", "8 (916) 123-45-67", "(916) 123-45-67", "0501234567", "+89161234567", "+9161234567",
     "7011234567", "8 10 7 916 123 45 67", "89161234567.0", 9161234567, "84951234567"],
)  # fmt: skip
def test_national_numbers_without_a_country(written: Any) -> None:
    """A number that is most likely national is never taken for one abroad. The error names the way out."""
    problem = problem_of(written)
    assert problem.startswith("looks like a national number. Name its country, as in --country RU")
    assert "RU" in problem


@pytest.mark.parametrize(
    ("written", "country", "digits"),
    [
        ("89161234567", "RU", DIGITS),
        ("9161234567", "RU", DIGITS),
        ("8 (916) 123-45-67", "RU", DIGITS),
        ("89161234567.0", "RU", DIGITS),
        (9161234567, "RU", DIGITS),
        ("+375 29 123-45-67", "RU", "375291234567"),
        ("00375291234567", "RU", "375291234567"),
        ("87011234567", "KZ", "77011234567"),
        ("87011234567", "RU", "77011234567"),
        ("80291234567", "BY", "375291234567"),
        ("050 123 45 67", "UA", "380501234567"),
        ("0151 23456789", "DE", "4915123456789"),
        ("4915123456789", "DE", "4915123456789"),
        ("(202) 555-0123", "US", "12025550123"),
        ("84912345678", "VN", "84912345678"),
    ],
)
def test_national_numbers_of_a_country(written: Any, country: str, digits: str) -> None:
    """With a country, its national numbers are converted, and numbers with a plus stay what they are."""
    assert normalize_number(written, country=country) == digits


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("8 (916) 123-45-6", "is not a mobile number of RU: it is too short by 1 digit."),
        ("8 (916) 123-45-678", "is not a mobile number of RU: it is too long by 1 digit."),
        ("916123456", "is not a mobile number of RU: it is too short by 1 digit."),
        ("1234567", "is not a mobile number of RU: it is too short by 3 digits."),
        ("+791612345678", "is not a mobile number of RU: it is too long by 1 digit"),
        ("8 (495) 123-45-67", "is not a mobile number of RU: it is a landline number."),
        ("88001234567", "is not a mobile number of RU: it is a toll-free number."),
        ("2001234567", "is not a mobile number of RU: no operator has numbers in this range."),
        ("+37529123456", "is not a mobile number of BY: it is too short by 1 digit"),
        ("375291234567", "is not a mobile number of RU: it is too long by 2 digits. Write a number of another country"),
        ("+999123456789", "is not a number of any country"),
    ],
)
def test_what_is_wrong_with_a_number_of_a_country(written: str, problem: str) -> None:
    """With a country, the error says how many digits are too many or missing, or which kind of number it is."""
    assert problem_of(written, "RU").startswith(problem)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "must be an E.164 number, but is empty"),
        (" \u200b", "must be an E.164 number"),
        ("oops", "must be an E.164 number, but character 1 is a Latin letter"),
        ("7916123456O", "must be an E.164 number, but character 11 is a Latin letter"),
        ("7916123456\u041e", "must be an E.164 number, but character 11 is a Cyrillic letter"),
        (" '7916*234567", "must be an E.164 number, but character 7 is the asterisk"),
        ("7916\x00234567", "must be an E.164 number, but character 5 is a control character"),
        ("7916\udcff234567", "must be an E.164 number, but character 5 is half of a surrogate pair"),
        ("7916+1234567", "must be an E.164 number, but character 5 is a + that is not at the start"),
        ("++79161234567", "must be an E.164 number, but character 2 is a + that is not at the start"),
        ("=1+1", "must be an E.164 number, but character 1 is the equals sign"),
        ("7.9161E+10", "is in scientific notation"),
        ("7,9161E+10", "is in scientific notation"),
        ("79161234567 79161234568", "has 22 digits, but an E.164 number has at most 15. Are these two numbers?"),
        ("7916123456", "looks like a national number"),
        ("791612345678", "has 12 digits, but a number that begins with 7 has 11"),
        ("1234567", "has only 7 digits"),
        ("+123456", "has only 6 digits"),
        ("1" * 201, "must be an E.164 number, but is 201 characters long"),
        (True, "must be a str or a whole number, not bool"),
        (None, "must be a str or a whole number, not NoneType"),
        (["79161234567"], "must be a str or a whole number, not list"),
        (79161234567.5, "must be a str or a whole number, not float"),
        (float("nan"), "must be a str or a whole number, not float"),
        (10**200, "has 100 digits, but an E.164 number has at most 15"),
    ],
)
def test_what_is_wrong(written: Any, problem: str) -> None:
    """What is not a number is refused by the kind and position of its first wrong character, or by what it is."""
    assert problem_of(written).startswith(problem)


@pytest.mark.parametrize("between", [", ", ";", "/", " / ", "\n", "\r\n", "|", " & ", " +", " и ", " или ", " or "])
@pytest.mark.parametrize("country", [None, "RU"])
def test_two_numbers(between: str, country: str | None) -> None:
    """Two numbers in a cell are a problem, whatever stands between them."""
    assert problem_of(f"+79161234567{between}79161234568", country) == (
        "holds more than one number. Give each number a row of its own"
    )


@pytest.mark.parametrize("extension", [" доб. 12", " доб 12", " ext. 12", "x12", "#12", ";ext=12", " (вн. 12)"])
def test_an_extension(extension: str) -> None:
    """A number with an extension is a problem, because an SMS does not reach it."""
    assert problem_of(f"+79161234567{extension}").startswith("has an extension")


@given(st.one_of(st.text(max_size=30), st.from_regex(r"\+?[0-9 ()x,/E.-]{5,25}"), st.floats(), st.integers()))
def test_no_error_shows_a_number(written: Any) -> None:
    """A number is E.164, or it is refused by an error that holds no digits of it, not even in its frames."""
    digits = "".join(each for each in str(written) if each.isdecimal())
    for country in (None, "RU"):
        error: InvalidNumber | None = None
        try:
            assert re.fullmatch("[1-9][0-9]{6,14}", normalize_number(written, country=country))
        except InvalidNumber as caught:
            error = caught
        if error is None:
            continue
        told = [str(error), repr(error)]
        told += [repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__) if _is_ours(frame)]
        assert len(digits) < 7 or not any(digits in each for each in told)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def _is_ours(frame: FrameType) -> bool:
    return "devino_async" in str(frame.f_globals["__name__"])


@pytest.mark.parametrize("country", ["", "XX", "RUS", "Russia", 7])
def test_unknown_countries(country: Any) -> None:
    """A country that is not known is refused in words that say how countries are named."""
    with pytest.raises(ConfigurationError, match="country must be a code of two letters, such as RU"):
        normalize_number(DIGITS, country=country)


def test_the_fast_way_and_the_library() -> None:
    """The pattern made of a country's rules never gives another mobile number than the library."""
    chance = random.Random(16)
    count = 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        rules = phonenumbers.PhoneMetadata.metadata_for_region(region)
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if example is None:
            continue
        assert rules is not None
        usual, own = _usual(rules), phonenumbers.national_significant_number(example)
        code, prefix = str(rules.country_code), rules.national_prefix or ""
        for _ in range(20):
            kept = chance.randrange(len(own))
            changed = own[:kept] + "".join(chance.choice("0123456789") for _ in own[kept:])
            for plus, digits in (("+", code + changed), ("", code + changed), ("", prefix + changed), ("", changed)):
                found = usual.fullmatch(plus + digits)
                if found is not None:
                    count += 1
                    slow, problem = _looked_up(plus, digits, region)
                    if problem is None:
                        assert slow == code + (found[1] or found[2]), region
                    else:
                        # Of numbers without a plus that may be a landline, the country code decides.
                        assert region in {"DE", "ID", "XK"}, region
                        assert (plus, digits) == ("", code + changed), region
    assert count > 10_000


def test_without_the_library() -> None:
    """Without the extra `phone` numbers need no library, and a country is refused in one line that names it."""
    program = (
        "import sys; sys.modules['phonenumbers'] = None\n"
        "from devino_async import ConfigurationError\nfrom devino_async.campaigns import normalize_number\n"
        "assert normalize_number('+7 916 123-45-67') == '79161234567'\n"
        "try: normalize_number('89161234567', country='RU')\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "country needs a library: pip install 'devino-async[phone]'\n"
