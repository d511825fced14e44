"""Retry: the same call again, where the attempt before proved that this is safe.

Whether it is safe was decided by verdict.py and stands on the error as `retriable`. Here is when and how often, and
the one exception that a policy may ask for (`retry_on_503`).
"""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import evolve, frozen
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ..checks import require_number
from ..errors import CallFailed, DeadlineExceeded, ServerFailed, TooManyRequests
from ..events import Events, RetryScheduled
from ..exchange import Answer, Call, Transport

__all__ = ["RetryPolicy", "Retrying"]

# Each retry takes a token, and each call that succeeds gives a part of one back: in an outage retries soon end.
_BUDGET = 50.0
_BUDGET_A_SUCCESS = 0.2


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how long to retry what is proved unsent, and look-ups that failed on the way.

    - `attempts`: requests a call, the first one included.
    - `deadline`: seconds since the first failure after which no further attempt begins. An attempt that has begun has
      its own time-outs. Waiting for the pace of Limits does not count.
    - `backoff`, `longest_backoff`: in seconds. Before retry n comes a random wait of up to `backoff` * 2^(n-1) (full
      jitter), and of at most `longest_backoff`.
    - `retry_on_503`: repeat sends after 503 too, which can send twice. Off by default, as gateways answer 503 for
      requests that they had passed on.
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
        """Return the answer of the first attempt that has one. Raises the last error, which holds the earlier ones."""
        course = _Course(evolve(call, give_up_at=self._clock() + self._policy.deadline))
        answer: Answer | None = None
        try:
            answer = await self._attempt(course)
            if answer is None and self._may_repeat(course.errors[-1]):
                answer = await self._again(course)
        except asyncio.CancelledError:
            # This task belongs to the client, so only closing cancels a send, here while it waited between two
            # attempts. If an earlier attempt may have been processed, its error must be raised: a bare cancellation
            # would count as proved unsent.
            if course.left_open() is None:
                raise
        if answer is None:
            raise course.conclusion()
        self._budget = min(_BUDGET, self._budget + _BUDGET_A_SUCCESS)
        return answer if course.attempts == 1 else evolve(answer, attempts=course.attempts)

    async def _again(self, course: "_Course") -> Answer | None:
        """Make further attempts. Most calls need none, so tenacity's object is made only here."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, CallFailed)),
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
            if self._may_repeat(course.errors[-1]):
                raise course.errors[-1]
            return None

        try:
            return await retrying(attempt)
        finally:
            # tenacity's object refers to itself, so it and all that it holds live on until the next collection.
            course.call = evolve(course.call, body=())

    async def _attempt(self, course: "_Course") -> Answer | None:
        """Return the answer of one attempt, or None if it failed, with the error noted on the course."""
        failure: CallFailed
        try:
            course.attempts += 1
            call = course.call if course.attempts == 1 else evolve(course.call, attempt=course.attempts)
            return await self._inner.exchange(call)
        except CallFailed as error:
            failure = error
        course.errors.append(failure)
        if len(course.errors) == 1:
            # The deadline runs from the first failure. The wait before it was for a permit and the pace.
            course.call = evolve(course.call, give_up_at=self._clock() + self._policy.deadline)
        if isinstance(failure, DeadlineExceeded):
            course.attempts -= 1
        return None

    def _may_repeat(self, error: CallFailed) -> bool:
        # The pool swallows the cancellation of a send, to say what became of it. This task then still counts as being
        # cancelled, and must begin nothing more: the client is closing.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return False
        return error.retriable or (
            self._policy.retry_on_503 and isinstance(error, ServerFailed) and error.status == 503
        )

    def _wait(self, course: "_Course") -> float:
        last = course.errors[-1]
        max_wait: float = min(self._policy.longest_backoff, self._policy.backoff * 2.0 ** (len(course.errors) - 1))
        wait = self._random() * max_wait
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
        """Return the last error of a send that does not prove it unsent. What comes after cannot undo that."""
        if self.call.repeatable:
            return None
        return next((error for error in reversed(self.errors) if not error.proves_unsent), None)

    def conclusion(self) -> CallFailed:
        """Return the error to raise, with the earlier ones."""
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
