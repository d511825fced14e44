"""Retry: the same call again, where the attempt before proved that this is safe.

Whether it is safe was decided by verdict.py and stands on the error as `retriable`; here is only when and how often.
"""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import evolve, frozen
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ..checks import require_number
from ..errors import CallFailed, DeadlineExceeded, TooManyRequests
from ..events import Events, RetryScheduled
from ..exchange import Answer, Call, Transport

__all__ = ["RetryPolicy", "Retrying"]

# Each retry takes a token and each call that succeeds gives a part of one back, so that an outage is not hammered.
_BUDGET = 50.0
_BUDGET_A_SUCCESS = 0.2


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how long to try again what is proved unsent, and look-ups that failed on the way.

    - `attempts`: requests a call, the first included.
    - `deadline`: seconds after the first failure after which no further attempt begins; one that has begun has its own
      time-outs, and waiting for the pace of Limits does not count.
    - `backoff`, `longest_backoff`: seconds; before retry n a random wait up to `backoff` * 2^(n-1) (full jitter).
    - `retry_on_503`: repeat sends after 503 too. Off, as gateways answer 503 for requests that they passed on.
    """

    attempts: int = 5
    deadline: float = 300.0
    backoff: float = 0.5
    longest_backoff: float = 30.0
    retry_on_503: bool = False

    def __attrs_post_init__(self) -> None:
        require_number("RetryPolicy.attempts", self.attempts, minimum=1, whole=True)
        for name in ("deadline", "backoff", "longest_backoff"):
            require_number(f"RetryPolicy.{name}", getattr(self, name))


class Retrying:
    """Repeats the inner exchange as far as its errors allow."""

    def __init__(
        self,
        inner: Transport,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        events: Events,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._events = events
        self._budget = _BUDGET

    async def exchange(self, call: Call) -> Answer:
        """The answer of the first attempt that has one. Raises the last error, which holds the earlier ones."""
        course = _Course(evolve(call, give_up_at=self._clock() + self._policy.deadline))
        answer: Answer | None = None
        try:
            answer = await self._attempt(course)
            if answer is None and course.errors[-1].retriable:
                answer = await self._again(course)
        except asyncio.CancelledError:
            # Only closing cancels a send. If one of its attempts was left open, that must be told.
            if course.left_open() is None:
                raise
        if answer is None:
            raise course.conclusion()
        self._budget = min(_BUDGET, self._budget + _BUDGET_A_SUCCESS)
        return answer if course.attempts == 1 else evolve(answer, attempts=course.attempts)

    async def _again(self, course: "_Course") -> Answer | None:
        """Further attempts. Most calls need none, so tenacity's object is made only here."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, CallFailed) and error.retriable),
            wait=lambda _: self._wait(course),
            stop=lambda state: self._is_over(course, state),
            sleep=self._sleep,
            before_sleep=lambda state: self._announce(course, state),
            retry_error_callback=lambda _: None,
        )
        failed_first = True

        async def attempt() -> Answer | None:
            nonlocal failed_first
            if failed_first:
                failed_first = False
            elif (answer := await self._attempt(course)) is not None:
                return answer
            if course.errors[-1].retriable:
                raise course.errors[-1]
            return None

        try:
            return await retrying(attempt)
        finally:
            # tenacity's object refers to itself, so it and all that it holds live on until the next collection.
            course.call = evolve(course.call, body=())

    async def _attempt(self, course: "_Course") -> Answer | None:
        """The answer of one attempt; None if it failed, with the error on the course."""
        failure: CallFailed
        try:
            course.attempts += 1
            call = course.call if course.attempts == 1 else evolve(course.call, attempt=course.attempts)
            return await self._inner.exchange(call)
        except CallFailed as error:
            failure = error
        course.errors.append(failure)
        if len(course.errors) == 1:
            # What came before was waiting for a place and for the pace, which is no trouble to give up on.
            course.call = evolve(course.call, give_up_at=self._clock() + self._policy.deadline)
        if isinstance(failure, DeadlineExceeded):
            course.attempts -= 1
        return None

    def _wait(self, course: "_Course") -> float:
        last = course.errors[-1]
        longest: float = min(self._policy.longest_backoff, self._policy.backoff * 2.0 ** (len(course.errors) - 1))
        wait = self._random() * longest
        if isinstance(last, TooManyRequests) and last.retry_after is not None:
            wait += last.retry_after
        return wait

    def _announce(self, course: "_Course", state: RetryCallState) -> None:
        error = course.errors[-1]
        self._events.emit(
            RetryScheduled(operation=error.operation, attempt=course.attempts, wait=state.upcoming_sleep, error=error)
        )

    def _is_over(self, course: "_Course", state: RetryCallState) -> bool:
        if course.attempts >= self._policy.attempts:
            return True
        if self._clock() + state.upcoming_sleep > course.call.give_up_at:
            course.too_late = True
            return True
        if self._budget < 1:
            return True
        self._budget -= 1
        return False


class _Course:
    """One call on its way through its attempts."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.attempts = 0
        self.errors: list[CallFailed] = []
        self.too_late = False

    def left_open(self) -> CallFailed | None:
        """The last error of a send that does not prove it unsent; what comes after cannot undo that."""
        if self.call.repeatable:
            return None
        return next((error for error in reversed(self.errors) if not error.proves_unsent), None)

    def conclusion(self) -> CallFailed:
        """The error to raise, knowing the earlier ones."""
        last = self.errors[-1]
        error = self.left_open() or last
        if self.too_late and self.left_open() is None and not isinstance(last, TooManyRequests):
            error = self._given_up(last)
        error.earlier = tuple(each for each in self.errors if each is not error)
        error.attempts = self.attempts
        return error

    def _given_up(self, last: CallFailed) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"no time is left for another attempt; the last one: {last.problem}",
            operation=last.operation,
            status=last.status,
            body=last.body,
        )
