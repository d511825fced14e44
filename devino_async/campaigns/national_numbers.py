"""Numbers of one country: national ones are converted, and their length and mobile range are checked.

The rules of each country come from the library phonenumbers (the extra `phone`), which is loaded when a country is
first named. Most numbers are checked faster, by a regular expression made from those rules.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .digits import Normalizer, digits_of

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata, PhoneNumber

__all__ = ["numbers_of"]

_KINDS = {
    0: "a landline number",
    3: "a toll-free number",
    4: "a premium-rate number",
    5: "a shared-cost number",
    6: "an internet phone number",
    7: "a personal number",
    8: "a pager number",
    9: "a number for a whole company",
    10: "a voicemail number",
}
_MOBILE = {1, 2}
_ABROAD = ". Write a number of another country with a + and its country code"


@lru_cache
def numbers_of(country: str) -> Normalizer:
    """Return the function that normalizes numbers for a country. Raises ConfigurationError for an unknown one."""
    try:
        import phonenumbers  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("country needs a library: pip install 'devino-async[phone]'") from None
    region = str(country).strip().upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ConfigurationError("country must be a code of two letters, such as RU, KZ or BY")
    rules = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert rules is not None  # noqa: S101 - every supported region has rules
    usual = _usual(rules)
    code = str(rules.country_code)

    def normalize(value: object) -> tuple[str, str | None]:
        found = usual.fullmatch(value) if type(value) is str else None
        if found is None:
            plus, digits, problem = digits_of(value)
            if problem is not None:
                return digits, problem
            found = usual.fullmatch(plus + digits)
            if found is None:
                return _looked_up(plus, digits, region)
        return code + (found[1] or found[2]), None

    return normalize


def _usual(rules: "PhoneMetadata") -> re.Pattern[str]:
    """Return a pattern of the country's mobile numbers, with the country code, with the national prefix, or with none.

    A number that it does not match may still be valid, and is left to the library.
    """
    mobile = rules.mobile.national_number_pattern if rules.mobile is not None else None
    if mobile is None or rules.national_prefix_for_parsing != rules.national_prefix:
        return re.compile(r"(?!)()()")
    prefix = rules.national_prefix or ""
    return re.compile(rf"\+?{rules.country_code}({mobile})|(?:{prefix})?({mobile})", re.ASCII)


def _looked_up(plus: str, digits: str, region: str) -> tuple[str, str | None]:
    """Return the digits of a number with its country code, and the problem with it."""
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(plus + digits, region)
    except phonenumbers.NumberParseException:
        return digits, f"is not a number of any country{_ABROAD}"
    kind = phonenumbers.number_type(number)
    found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
    if kind in _MOBILE:
        return found, None
    where = phonenumbers.region_code_for_country_code(number.country_code or 0)
    if number.country_code == phonenumbers.country_code_for_region(region):
        where = region
    hint = "" if plus else _ABROAD
    return found, f"is not a mobile number of {where}: {_why(number, where, kind)}{hint}"


def _why(number: "PhoneNumber", region: str, kind: int) -> str:
    """Return why a number is not a mobile number of its country."""
    import phonenumbers  # noqa: PLC0415

    if kind in _KINDS:
        return f"it is {_KINDS[kind]}"
    rules = phonenumbers.PhoneMetadata.metadata_for_region(region)
    lengths = () if rules is None or rules.mobile is None else rules.mobile.possible_length
    written = phonenumbers.national_significant_number(number)
    if rules is not None and rules.national_prefix:
        # The library leaves the prefix in place if no number without it is known.
        written = written.removeprefix(rules.national_prefix)
    length = len(written)
    if lengths and length < min(lengths):
        return f"it is too short by {_digits(min(lengths) - length)}"
    if lengths and length > max(lengths):
        return f"it is too long by {_digits(length - max(lengths))}"
    return "no operator has numbers in this range"


def _digits(count: int) -> str:
    return f"{count} digit" if count == 1 else f"{count} digits"
