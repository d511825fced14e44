"""The breaker: after trouble on a send, its lane sends nothing until the service is back.

A lane is closed while all is well. Trouble opens it: nothing begins, and no input is read. A probe asks the service
from time to time. Once the service answers, the lane is half open: one small batch may begin, and its outcome closes
the lane or opens it again. This file decides what counts as trouble. Permits and pace are in limits.py. When to give
up on one call is in retry.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from math import inf

from attrs import define

from ..errors import BadAnswer, CallFailed, DeadlineExceeded, Refused, RequestNotSent, TooManyRequests
from ..events import Events, LaneChanged
from ..exchange import Call, Hours, Lane, OutOfHours, TooManyForHalfOpen, Transport
from .deadline import deadline

__all__ = ["HALF_OPEN_MESSAGES", "Breaker", "Patience", "State", "Ticket"]

HALF_OPEN_MESSAGES = 500
"""How many messages the one batch of a half-open lane may hold."""

# A stream ends when this many half-open batches in a row ended Unconfirmed, although probes were answered.
_MAX_STRIKES = 3
_FIRST_PAUSE = 0.2
_MAX_PAUSE = 30.0
# A probe that takes longer, in seconds, counts as unanswered.
_MAX_PROBE = 10.0


class State(Enum):
    """The state of one lane."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@define(eq=False)
class _Circuit:
    """One lane. `openings` counts how often it opened, so that the outcome of an older batch changes nothing."""

    lane: Lane
    state: State = State.CLOSED
    openings: int = 0
    pause: float = _FIRST_PAUSE
    strikes: int = 0
    troubled_since: float = 0.0
    probe_at: float = 0.0
    # The one batch that may begin while the lane is half open. None until a batch has asked.
    holder: "Ticket | None" = None
    # All waiters share one future. A change resolves it, and the next waiter makes a new one.
    changed: "asyncio.Future[None] | None" = None
    waiters: int = 0
    probing: "asyncio.Task[None] | None" = None


@define(eq=False)
class Patience:
    """How long the batches of one stream, or one batch of single sends, wait while a lane is in trouble.

    The wait lasts `seconds` from `began` or from a later failure, by the breaker's clock. A `stream` has no limit on
    attempts. Only continuous trouble ends it. Once `over` is set, none of its batches waits any longer.

    Out of its `hours` nothing of the stream begins. With `reads_ahead` its input may be read all the same.
    """

    began: float
    seconds: float
    stream: bool = False
    hours: Hours | None = None
    reads_ahead: bool = False
    over: bool = False

    def open_for(self) -> float:
        """Return for how many seconds from now the hours last, 0 if they are over."""
        return inf if self.hours is None else self.hours.open_for()

    async def until_open(self) -> str | None:
        """Wait for the hours of the stream, and return None. If a batch may never begin, return why."""
        return None if self.hours is None else await self.hours.until_open()


class Ticket:
    """One batch on its way through the breaker, all of its attempts included."""

    def __init__(self, breaker: "Breaker", circuit: _Circuit, patience: Patience) -> None:
        self._breaker = breaker
        self._circuit = circuit
        self._patience = patience
        self._opening = circuit.openings

    def __repr__(self) -> str:
        return f"Ticket({self._circuit.lane.value}: {self._circuit.state.value})"

    @property
    def patient(self) -> bool:
        """True if attempts are not limited, and only continuous trouble ends the batch."""
        return self._patience.stream

    @property
    def lane(self) -> Lane:
        """The lane that the batch uses."""
        return self._circuit.lane

    @property
    def struck_out(self) -> bool:
        """True after three half-open batches in a row ended Unconfirmed. That ends a stream."""
        return self._circuit.strikes >= _MAX_STRIKES

    async def admit(self, call: Call) -> None:
        """Return when the lane lets the call begin.

        Raises DeadlineExceeded if the trouble lasts too long, RequestNotSent once the breaker has shut down,
        TooManyForHalfOpen where only a smaller batch may begin, and OutOfHours.
        """
        circuit = self._circuit
        while (left := self._patience.open_for()) and circuit.state is not State.CLOSED and circuit.holder is not self:
            self._breaker.check_open(call.operation)
            if self._patience.over:
                raise _never("the stream ended while the service was in trouble", call.operation)
            if circuit.state is State.HALF_OPEN and circuit.holder is None:
                # No await between the check and here, so only the first of several waiters becomes the holder.
                circuit.holder = self
            else:
                await self._breaker.wait(circuit, self._give_up_at(call), call.operation, left)
        if not left:
            raise OutOfHours
        self._opening = circuit.openings
        if circuit.holder is self and call.messages > HALF_OPEN_MESSAGES:
            raise TooManyForHalfOpen

    def may_begin_for(self) -> float:
        """Return for how many seconds the batch may begin. If it may, its outcome is news of the lane as it is now."""
        circuit = self._circuit
        if circuit.state is not State.CLOSED and circuit.holder is not self:
            return 0.0
        self._opening = circuit.openings
        return self._patience.open_for()

    def _give_up_at(self, call: Call) -> float:
        patience = self._patience
        if call.attempt > 1 and not patience.stream:
            # Once an attempt of a single send has failed, its deadline runs from that failure.
            return call.give_up_at
        return self._breaker.give_up_at(self._circuit, patience)

    def attempt_failed(self, error: CallFailed) -> None:
        """Note how an attempt failed. It is synchronous, so no other batch begins before the lane knows."""
        if isinstance(error, Refused) and error.status != 408:
            # A 429 is a hold. Any other refusal is an answer: the service is there.
            self.give_back() if isinstance(error, TooManyRequests) else self.ended(unconfirmed=False)
        elif error.permanent or isinstance(error, DeadlineExceeded):
            self.give_back()
        else:
            self._breaker.opened_by(self, unconfirmed=not error.proves_unsent)

    def ended(self, *, unconfirmed: bool) -> None:
        """Note that an answer came. It counts as trouble if it left the whole batch Unconfirmed."""
        if unconfirmed:
            self._breaker.opened_by(self, unconfirmed=True)
        else:
            self._breaker.closed_by(self)

    def give_back(self) -> None:
        """Let another batch hold the half-open lane. Does nothing if this ticket does not hold it."""
        if self._circuit.holder is self:
            self._circuit.holder = None
            _wake(self._circuit)

    def is_news(self) -> bool:
        """Return whether the batch's outcome says something about the lane as it is now."""
        circuit = self._circuit
        return self._opening == circuit.openings and (circuit.state is State.CLOSED or circuit.holder is self)


class Breaker:
    """The circuits of all lanes that send, and the probes that ask whether the service is back."""

    def __init__(
        self,
        pool: Transport,
        probe: Call,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        events: Events,
    ) -> None:
        self._pool = pool
        self._probe = probe
        self._clock = clock
        self._sleep = sleep
        self._events = events
        self._circuits = {lane: _Circuit(lane) for lane in (Lane.BULK, Lane.URGENT)}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it has shut down, so that nothing may begin."""
        return self._closed

    def ticket(self, lane: Lane, patience: Patience) -> Ticket:
        """Return the ticket of a new batch."""
        return Ticket(self, self._circuits[lane], patience)

    def end(self, patience: Patience) -> None:
        """End the wait of all batches of a stream, because the stream has ended."""
        patience.over = True
        for circuit in self._circuits.values():
            _wake(circuit)

    async def until_readable(self, lane: Lane, patience: Patience, operation: str) -> None:
        """Return as soon as the lane is not open, because input may then be read for it. Return also
        when the hours of the stream end.

        Raises DeadlineExceeded if the trouble lasts too long for the stream of this patience.
        """
        circuit = self._circuits[lane]
        while circuit.state is State.OPEN and not self._closed and (left := patience.open_for()):
            await self.wait(circuit, self.give_up_at(circuit, patience), operation, left)

    async def rest(self, lane: Lane, patience: Patience, seconds: float) -> bool:
        """Sleep while the stream of this patience is out of its hours. Return False if it ended, or the client did.

        The time does not count as trouble, and a change of the lane wakes the stream early.
        """
        if not (self._closed or patience.over):
            await asyncio.wait({_next_change(self._circuits[lane])}, timeout=seconds)
            patience.began = self._clock()
        return not (self._closed or patience.over)

    def give_up_at(self, circuit: _Circuit, patience: Patience) -> float:
        """Return when to give up waiting for a lane in trouble, with this patience."""
        now = self._clock()
        if circuit.state is State.OPEN and circuit.probing is None and now > circuit.probe_at:
            # A probe was due, but nothing waited for it. So it is not known whether the trouble went on until now.
            circuit.troubled_since = now
        # A batch may have waited for the pace before the trouble began. That time does not count.
        return max(circuit.troubled_since, patience.began) + patience.seconds

    def close(self) -> None:
        """Stop probing and wake all waiters. None of them has a request in flight."""
        self._closed = True
        for circuit in self._circuits.values():
            if circuit.probing is not None:
                circuit.probing.cancel()
            _wake(circuit)

    def check_open(self, operation: str) -> None:
        """Raise a RequestNotSent that is not retriable if the breaker has shut down."""
        if self._closed:
            raise _never("the client was closed while the service was in trouble", operation)

    async def wait(self, circuit: _Circuit, give_up_at: float, operation: str, at_most: float = inf) -> None:
        """Return at the next change of the circuit, or after `at_most` seconds. Raises what `Ticket.admit` raises."""
        if not await self._wait(circuit, give_up_at, at_most):
            raise DeadlineExceeded("the service was in trouble for too long", operation=operation, attempts=0)

    async def _wait(self, circuit: _Circuit, give_up_at: float, at_most: float) -> bool:
        """Wait for the next change of the circuit. Return False if no time is left for that."""
        if (seconds := min(give_up_at - self._clock(), at_most)) <= 0:
            return False
        changed = _next_change(circuit)
        circuit.waiters += 1
        try:
            if circuit.state is State.OPEN and circuit.probing is None:
                circuit.probing = asyncio.create_task(self._probing(circuit), name="devino-probe")
            await asyncio.wait({changed}, timeout=None if seconds == inf else seconds)
        finally:
            circuit.waiters -= 1
        return True

    # Outcomes that change a lane. Both methods are synchronous, so no other code sees a circuit half changed.

    def opened_by(self, ticket: Ticket, *, unconfirmed: bool) -> None:
        """Open the lane. If it was half open for this ticket, it opens again with a longer pause."""
        circuit = ticket._circuit
        if not ticket.is_news():
            return
        if circuit.state is State.CLOSED:
            circuit.troubled_since = self._clock()
        else:
            circuit.pause = min(2 * circuit.pause, _MAX_PAUSE)
            circuit.strikes += unconfirmed
        circuit.openings += 1
        circuit.probe_at = self._clock() + circuit.pause
        self._change(circuit, State.OPEN)

    def closed_by(self, ticket: Ticket) -> None:
        """Close the lane if it was half open for this ticket."""
        circuit = ticket._circuit
        if ticket.is_news() and circuit.state is State.HALF_OPEN:
            circuit.strikes, circuit.pause = 0, _FIRST_PAUSE
            self._change(circuit, State.CLOSED)

    def _change(self, circuit: _Circuit, state: State) -> None:
        circuit.state, circuit.holder = state, None
        _wake(circuit)
        wait = circuit.pause if state is State.OPEN else 0.0
        self._events.emit(LaneChanged(lane=circuit.lane.value, state=state.value, wait=wait))

    # Probes

    async def _probing(self, circuit: _Circuit) -> None:
        # A task of its own, because all waiters share it. It runs while `waiters` is above 0. `close` cancels it.
        try:
            while circuit.waiters:
                await self._sleep(max(0.0, circuit.probe_at - self._clock()))
                if await self._answers():
                    self._change(circuit, State.HALF_OPEN)
                    return
                circuit.pause = min(2 * circuit.pause, _MAX_PAUSE)
                circuit.probe_at = self._clock() + circuit.pause
        finally:
            circuit.probing = None

    async def _answers(self) -> bool:
        """Return whether the service gave any complete answer below 500, a refusal included."""
        try:
            async with deadline(_MAX_PROBE):
                await self._pool.exchange(self._probe)
        except CallFailed as error:
            # These two classes mean a complete answer. So does a redirect, unless its answer was cut off, which makes
            # it retriable.
            redirect = error.status is not None and 300 <= error.status < 400
            return isinstance(error, Refused | BadAnswer) or (redirect and not error.retriable)
        except Exception:  # noqa: BLE001 - whatever it was, the batches that wait need the next probe
            return False
        return True


def _never(why: str, operation: str) -> RequestNotSent:
    error = RequestNotSent(why, operation=operation, attempts=0)
    error.retriable = False
    return error


def _next_change(circuit: _Circuit) -> "asyncio.Future[None]":
    if circuit.changed is None or circuit.changed.done():
        circuit.changed = asyncio.get_running_loop().create_future()
    return circuit.changed


def _wake(circuit: _Circuit) -> None:
    if circuit.changed is not None and not circuit.changed.done():
        circuit.changed.set_result(None)
