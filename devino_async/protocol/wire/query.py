"""What the query strings of details and statistics share: checks that collect all problems, and wall-clock times."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from ...errors import InvalidQuery, Reason

__all__ = ["Problems", "is_aware", "wall_clocks"]


class Problems:
    """Everything that is wrong with a query, each problem named by its field on the wire."""

    def __init__(self) -> None:
        self.found: list[Reason] = []

    def add(self, ref: str, problem: str) -> None:
        """Add one problem."""
        self.found.append(Reason("invalid", ref, problem))

    def whole(self, ref: str, value: object) -> None:
        """Require a whole number, if the field is given."""
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            self.add(ref, f"must be a whole number, not {type(value).__name__}")

    def moment(self, ref: str, value: object) -> None:
        """Require a date with a time."""
        if not isinstance(value, datetime):
            self.add(ref, f"must be a datetime, not {type(value).__name__}")

    def raise_any(self) -> None:
        """Raise InvalidQuery with all problems, if there are any."""
        if self.found:
            raise InvalidQuery(self.found)


def is_aware(moment: datetime) -> bool:
    """Return whether the datetime has a time zone."""
    return moment.utcoffset() is not None


def wall_clocks(moments: Mapping[str, datetime], zone: tzinfo | None) -> list[datetime]:
    """Return the naive times to put into a query. `moments` maps the wire names of a start and an end to their times.

    The API docs name no time zone. A naive time is sent as it is. An aware time is converted to `zone`, the time zone
    that the user gave for the service. Raises InvalidQuery for an aware time without a `zone`, and for an end
    before the start.
    """
    problems = Problems()
    found = []
    for ref, moment in moments.items():
        try:
            found.append(_wall_clock(moment, zone))
        except ValueError as error:
            problems.add(ref, str(error))
        except OverflowError:
            problems.add(ref, "is outside the years 1 to 9999 in the time zone of the service")
    if found[1:] and found[1] < found[0]:
        start, end = moments
        problems.add(end, f"must not be before {start}")
    problems.raise_any()
    return found


def _wall_clock(moment: datetime, zone: tzinfo | None) -> datetime:
    if is_aware(moment):
        if zone is None:
            raise ValueError(
                "has a time zone, but the zone of the service is not known. Set it with DevinoClient(time_zone=...), "
                "or give a naive datetime, which is sent as it is"
            )
        moment = moment.astimezone(zone)
    return moment.replace(tzinfo=None)
