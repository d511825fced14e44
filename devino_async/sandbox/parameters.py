"""Query parameters as the page types them; anything else is a refusal that names the parameter."""

import re
from collections.abc import Iterable
from datetime import datetime

from multidict import MultiMapping

from .envelopes import Refusal

__all__ = ["LARGEST_WHOLE", "Parameters", "whole_in"]

# What JSON numbers keep exactly, and sqlite's integers hold with room for sums.
LARGEST_WHOLE = 2**53
_WHOLE = re.compile(r"-?[0-9]{1,16}")


def whole_in(text: str) -> int | None:
    """The whole number that a text is; None if it is none, or beyond 2^53."""
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text)
    return number if abs(number) <= LARGEST_WHOLE else None


class Parameters:
    """Reads parameters one by one."""

    def __init__(self, query: MultiMapping[str]) -> None:
        self._query = query

    def text(self, name: str) -> str | None:
        """The parameter as it stands, or None."""
        return self._query.get(name)

    def whole(self, name: str, *, required: bool = False, least: int | None = None) -> int | None:
        """A whole number."""
        value = self._query.get(name)
        if value is None:
            if required:
                raise Refusal("must.be.not.null", name, "must not be null")
            return None
        number = whole_in(value)
        if number is None:
            raise Refusal("invalid", name, "must be an integer")
        if least is not None and number < least:
            raise Refusal("invalid", name, f"must be at least {least}")
        return number

    def flag(self, name: str) -> bool:
        """true or false; false if absent."""
        value = self._query.get(name, "false").lower()
        if value not in {"true", "false"}:
            raise Refusal("invalid", name, "must be true or false")
        return value == "true"

    def moment(self, name: str, *, required: bool = False) -> datetime | None:
        """A date and time, with a space or a T between them."""
        value = self._query.get(name)
        if value is None:
            if required:
                raise Refusal("must.be.not.null", name, "must not be null")
            return None
        for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
            try:
                return datetime.strptime(value, form)  # noqa: DTZ007 - the page names no zone
            except ValueError:
                continue
        raise Refusal("invalid", name, "must be YYYY-MM-DD hh:mm:ss")

    def one_of(self, name: str, allowed: Iterable[str], *, required: bool = False) -> str | None:
        """One of the names that the page lists."""
        value = self._query.get(name)
        if value is None and not required:
            return None
        if value not in set(allowed):
            raise Refusal("invalid", name, "must be one of the documented values")
        return value

    def offset_minutes(self, name: str) -> int:
        """A time zone, in minutes from UTC; 0 if absent."""
        minutes = self.whole(name) or 0
        if abs(minutes) > 1440:
            raise Refusal("invalid", name, "must be an offset in minutes, of a day at most")
        return minutes

    def listed(self, name: str) -> list[str] | None:
        """An array: the key repeated, or values between commas."""
        if name not in self._query:
            return None
        return [part for value in self._query.getall(name) for part in value.split(",") if part]
