"""The report of what reconciling found, in values and in words. The search itself is in reconciling.py."""

from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import overload

from attrs import frozen

from .states import Outcome, State

__all__ = ["Outcomes", "ReconcileReport", "Searched"]


class Outcomes(Sequence[Outcome]):
    """The outcomes of many messages in one state. Each Outcome is made when it is asked for.

    With a million objects, the garbage collector would block the event loop while it runs.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._positions = array("q")
        # Empty, or as long as the positions. A keyed send has the position -1.
        self._keys: list[str] = []
        self._ids: list[str] = []

    def append(self, position: int | None, key: str | None, message_id: str | None = None) -> None:
        """Add a message, which has a position or a key. Either all messages have an id, or none has."""
        self._positions.append(-1 if position is None else position)
        if key is not None:
            self._keys.append(key)
        if message_id is not None:
            self._ids.append(message_id)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, at: int) -> Outcome: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Outcome, ...]: ...
    def __getitem__(self, at: int | slice) -> Outcome | tuple[Outcome, ...]:
        if isinstance(at, slice):
            return tuple(map(self.__getitem__, range(*at.indices(len(self)))))
        return Outcome(
            position=None if self._keys else self._positions[at],
            key=self._keys[at] if self._keys else None,
            state=self._state,
            message_id=self._ids[at] if self._ids else None,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} outcomes: {self._state}>"


@frozen
class Searched:
    """A range of dates that was searched, as the service shows dates, and how many rows it has there.

    `complete` says that the service's count of them agreed. If it is False, rows came or went meanwhile. `stopped` says
    that there were so many that they were not all read.
    """

    start: datetime
    end: datetime
    rows: int = 0
    complete: bool = True
    stopped: bool = False


@frozen(kw_only=True)
class ReconcileReport:
    """What became of messages in doubt, each as an Outcome.

    - `settled`: found, and accepted from now on, with their ids.
    - `absent`: no row fits. They stay in doubt, because rows may appear late, or never.
    - `unclear`: rows fit, but it cannot be said which, or whether they are of these messages. They stay in doubt.

    `arrived` is how many of the absent and unclear ones were in a POST of which another message is known to have been
    accepted. So the POST arrived, and these must not be sent again. `under_way` is how many are being sent now.

    `without_zone` is how many of the unclear ones would be clear if the zone of the service's dates were known: give
    the client a `time_zone`. `unread` is how many of them are unclear because there were more rows than are read: see
    `stopped` in Searched. `agreed` holds the offsets from UTC that nothing proved but the rows that were settled.
    """

    settled: Sequence[Outcome] = ()
    absent: Sequence[Outcome] = ()
    unclear: Sequence[Outcome] = ()
    arrived: int = 0
    under_way: int = 0
    searched: tuple[Searched, ...] = ()
    without_zone: int = 0
    unread: int = 0
    agreed: tuple[timedelta, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield what was found, where it was looked for, and what to do about the rest, a line each."""
        yield f"settled: {len(self.settled):,}, absent: {len(self.absent):,}, unclear: {len(self.unclear):,}"
        for each in self.searched:
            moved = "" if each.complete or each.stopped else ", which changed while they were read"
            looked = "stopped after" if each.stopped else "looked at"
            rows = f"{each.rows:,} row{'' if each.rows == 1 else 's'}"
            yield f"{looked} {rows}, {each.start:%Y-%m-%d %H:%M:%S} to {each.end:%Y-%m-%d %H:%M:%S}{moved}"
        for offset in self.agreed:
            yield f"The dates of the service were read as UTC{_signed(offset)}, because the settled rows agree on it."
        if self.absent:
            yield "Absent does not mean unsent: rows may appear late. Reconcile again later, before you decide."
        if self.without_zone:
            yield (
                f"{self.without_zone:,} are unclear because the zone of the service's dates is not known. Reconcile "
                "again with a client that has it: time_zone= (devino: --time-zone Europe/Moscow)."
            )
        if self.unread:
            yield (
                f"{self.unread:,} are unclear because the service has too many rows at these times. Reconcile again "
                "with a client that has the zone of its dates: time_zone= (devino: --time-zone Europe/Moscow). If it "
                "has it already, reconcile again later."
            )
        others = len(self.unclear) - self.without_zone - self.unread
        if others:
            yield f"{others:,} are unclear because rows fit several messages, or have no time. Reconcile again later."
        if self.arrived:
            yield f"{self.arrived:,} of the rest were in requests that arrived. Do not send these again."
        if self.under_way:
            yield f"{self.under_way:,} are being sent now. Reconcile again when that has ended."
        if self.absent or self.unclear:
            yield "What stays unconfirmed is for you to decide: resolve it as assume_sent, or as resend."


def _signed(offset: timedelta) -> str:
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"{'-' if offset < timedelta() else '+'}{hours:02}:{minutes:02}"
