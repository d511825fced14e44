"""What the query strings of details and statistics share: checks that gather all problems, and wall-clock times."""

from datetime import datetime, tzinfo

from ...errors import InvalidQuery, Reason

__all__ = ["Problems", "wall_clock"]


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
        """Raise InvalidQuery with all of them, if there are any."""
        if self.found:
            raise InvalidQuery(self.found)


def wall_clock(ref: str, moment: datetime, zone: tzinfo | None) -> datetime:
    """Return the naive time to put into a query.

    The API docs name no zone, so it is the wall clock of the zone that the user named for the service. Without one,
    the time is sent as it was written.
    """
    try:
        if zone is not None and moment.tzinfo is not None:
            moment = moment.astimezone(zone)
        return moment.replace(tzinfo=None)
    except OverflowError:
        problem = "is outside the years 1 to 9999 in the zone of the service"
    raise InvalidQuery([Reason("invalid", ref, problem)])
