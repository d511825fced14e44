"""Query parameters with the types of the API docs. Any other value raises a Refusal that names the parameter."""

import re
from collections.abc import Iterable
from datetime import datetime

from multidict import MultiMapping

from .envelope import Refusal

__all__ = ["MAX_WHOLE", "Parameters", "whole_in"]

# JSON numbers are exact up to here, and sqlite's integers have room for sums of them.
MAX_WHOLE = 2**53
_WHOLE = re.compile(r"-?[0-9]{1,16}")


def whole_in(text: str) -> int | None:
    """Return the whole number that a text holds, or None if it is not one or is beyond 2^53."""
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text)
    return number if abs(number) <= MAX_WHOLE else None


class Parameters:
    """Reads and checks parameters, one at each call."""

    def __init__(self, query: MultiMapping[str]) -> None:
        self._query = query

    def text(self, name: str) -> str | None:
        """Return the parameter as it is, or None."""
        return self._query.get(name)

    def whole(self, name: str, *, required: bool = False, minimum: int | None = None) -> int | None:
        """Return a whole number, or None if the parameter is absent."""
        value = self._query.get(name)
        if value is None:
            if required:
                raise Refusal("must.be.not.null", name, "must not be null")
            return None
        number = whole_in(value)
        if number is None:
            raise Refusal("invalid", name, "must be an integer")
        if minimum is not None and number < minimum:
            raise Refusal("invalid", name, f"must be at least {minimum}")
        return number

    def flag(self, name: str) -> bool:
        """Return a flag, which is false if the parameter is absent."""
        value = self._query.get(name, "false").lower()
        if value not in {"true", "false"}:
            raise Refusal("invalid", name, "must be true or false")
        return value == "true"

    def moment(self, name: str, *, required: bool = False) -> datetime | None:
        """Return a date and time, written with a space or a T between them."""
        value = self._query.get(name)
        if value is None:
            if required:
                raise Refusal("must.be.not.null", name, "must not be null")
            return None
        for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
            try:
                return datetime.strptime(value, form)  # noqa: DTZ007 - the API docs name no zone
            except ValueError:
                continue
        raise Refusal("invalid", name, "must be YYYY-MM-DD hh:mm:ss")

    def one_of(self, name: str, allowed: Iterable[str], *, required: bool = False) -> str | None:
        """Return the parameter, which must be one of the allowed names."""
        value = self._query.get(name)
        if value is None and not required:
            return None
        if value not in set(allowed):
            raise Refusal("invalid", name, "must be one of the documented values")
        return value

    def offset_minutes(self, name: str) -> int:
        """Return a time zone in minutes from UTC, or 0 if the parameter is absent."""
        minutes = self.whole(name) or 0
        if abs(minutes) > 1440:
            raise Refusal("invalid", name, "must be an offset in minutes, at most a day")
        return minutes

    def listed(self, name: str) -> list[str] | None:
        """Return an array, given as a repeated key or as values between commas."""
        if name not in self._query:
            return None
        return [part for value in self._query.getall(name) for part in value.split(",") if part]
