"""Retry: the same call again, where the attempt before proved that this is safe.

Whether it is safe was decided by verdict.py and stands on the error as `retriable`. This file decides when and
how often, and makes the one exception that a policy may ask for (`retry_on_503`). breaker.py does the
waiting for a lane in trouble.
"""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import evolve, frozen
from tenacity import AsyncRetrying, RetryCallState, wait_exponential

from ..checks import require_kind, require_number
from ..errors import CallFailed, DeadlineExceeded, JournalError, ServerFailed, TooManyRequests
from ..events import Events, RetryScheduled
from ..exchange import Answer, Call, Lane, OutOfHours, TooManyForHalfOpen, Transport

__all__ = ["RetryPolicy", "Retrying"]

# The part of a token that a successful call pays back. A retry costs one token.
_REFUND = 0.2
# Takes the place of the call in a _Course that has ended.
_FORGOTTEN = Call(operation="", method="", path="")


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how long to retry what is proved unsent, and look-ups that failed on the way.

    - `attempts`: requests for one `send` or one look-up, the first one included. A 429 does not count.
    - `deadline`: for how many seconds after the first failure of one `send` or one look-up further attempts may begin.
      An attempt that has begun has its own time-outs. Waiting for the pace of Limits does not count.
    - `stream_deadline`: seconds of continuous trouble that end `send_many` and `send_all`. Nothing else bounds their
      retries.
    - `backoff`, `max_backoff`: in seconds. Before retry n comes a random wait of up to `backoff` * 2^(n-1) (full
      jitter), and of at most `max_backoff`.
    - `budget`, `budget_per_second`: the first is how many retries each lane (sends, urgent sends, look-ups) may make
      without a success in between. The second is how many come back every second. Each success pays back a fifth of
      one. A retry after 429 and the retries of a stream cost nothing: a hold and the breaker pace those.
    - `stop_when_all_rejected`: end a stream with SendingRefused when every message of a batch of 100 or more is
      rejected because of the account, such as an empty balance.
    - `retry_on_503`: repeat sends after 503 too, which can send twice. Off by default, as gateways answer 503 for
      requests that they had passed on.
    """

    attempts: int = 5
    deadline: float = 30.0
    stream_deadline: float = 900.0
    backoff: float = 0.5
    max_backoff: float = 30.0
    budget: float = 50.0
    budget_per_second: float = 1.0
    stop_when_all_rejected: bool = True
    retry_on_503: bool = False

    def __attrs_post_init__(self) -> None:
        require_number("RetryPolicy.attempts", self.attempts, minimum=1, whole=True)
        for name in ("deadline", "stream_deadline", "backoff", "max_backoff", "budget", "budget_per_second"):
            require_number(f"RetryPolicy.{name}", getattr(self, name))
        for name in ("stop_when_all_rejected", "retry_on_503"):
            require_kind(f"RetryPolicy.{name}", getattr(self, name), bool)


class Retrying:
    """Repeats the inner exchange as far as its errors and the policy allow."""

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
        # Only tenacity's rule of waiting is used: its own loop costs each call, retried or not, 20 us.
        self._backoff = AsyncRetrying(wait=wait_exponential(multiplier=policy.backoff, max=policy.max_backoff))
        self._budgets = {lane: _Budget(policy, clock) for lane in Lane}

    async def exchange(self, call: Call) -> Answer:
        """Return the answer of the first attempt that has one. Raises the last error, which holds the earlier ones."""
        course = _Course(call, self._policy, self._clock)
        try:
            while True:
                try:
                    answer = await self._inner.exchange(course.next_call())
                except CallFailed as error:
                    course.failed(error)
                else:
                    self._budgets[call.lane].refund()
                    return answer if course.attempts == 1 else evolve(answer, attempts=course.attempts)
                wait = self._wait(course)
                if not self._may_repeat(course.errors[-1]) or self._is_over(course, wait):
                    break
                self._announce(course, wait)
                await self._sleep(wait)
        except (TooManyForHalfOpen, OutOfHours, JournalError, asyncio.CancelledError) as early:
            # Only closing cancels a send, and a cancellation caught here came between two attempts. If an earlier
            # attempt may have been processed, raise that attempt's error. The errors caught here would make the send
            # count as proved unsent.
            if course.left_open() is None:
                if isinstance(early, TooManyForHalfOpen):
                    early.attempt, early.counted = course.attempts, course.counted
                    early.give_up_at = course.call.give_up_at
                raise
        finally:
            # The errors' tracebacks hold this frame, and the frame holds them, until the next garbage collection.
            course.forget_body()
        raise course.conclusion()

    def _may_repeat(self, error: BaseException) -> bool:
        # The pool swallows the cancellation of a send, to say what became of it. This task then still counts as being
        # cancelled, and must begin nothing more: the client is closing.
        task = asyncio.current_task()
        if not isinstance(error, CallFailed) or (task is not None and task.cancelling()):
            return False
        return error.retriable or (
            self._policy.retry_on_503 and isinstance(error, ServerFailed) and error.status == 503
        )

    def _wait(self, course: "_Course") -> float:
        last = course.errors[-1]
        if isinstance(last, TooManyRequests):
            # The hold of limits.py makes every call wait. The jitter keeps them from coming back all at once.
            return (last.retry_after or 0.0) + self._random() * self._policy.backoff
        if course.patient and last.proves_unsent:
            return 0.0  # The breaker says when.
        state = RetryCallState(self._backoff, None, (), {})
        state.attempt_number = len(course.errors)
        return self._random() * self._backoff.wait(state)

    def _announce(self, course: "_Course", wait: float) -> None:
        error = course.errors[-1]
        self._events.emit(RetryScheduled(operation=error.operation, attempt=course.attempts, wait=wait, error=error))

    def _is_over(self, course: "_Course", wait: float) -> bool:
        if course.is_over(wait):
            return True
        return course.pays and not self._budgets[course.call.lane].spend()


class _Budget:
    """Tokens for the retries of one lane, so that in an outage each call soon makes only one attempt."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._max_tokens = policy.budget
        self._per_second = policy.budget_per_second
        self._clock = clock
        self._tokens = policy.budget
        self._counted_at = clock()

    def spend(self) -> bool:
        """Take a token. Returns False if there is none."""
        now = self._clock()
        self._add((now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def refund(self) -> None:
        """Give back what a success is worth."""
        self._add(_REFUND)

    def _add(self, tokens: float) -> None:
        self._tokens = min(self._max_tokens, self._tokens + tokens)


class _Course:
    """One call on its way through its attempts."""

    def __init__(self, call: Call, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self.patient = call.admission is not None and call.admission.patient
        self._max_attempts = policy.attempts
        self._deadline = policy.stream_deadline if self.patient else policy.deadline
        self._clock = clock
        self._repeatable = call.repeatable
        # A part of a batch that was cut continues the counts of the whole batch.
        self.attempts, self.counted = call.attempt - 1, call.counted
        self.call = evolve(call, give_up_at=min(call.give_up_at, clock() + self._deadline))
        self.errors: list[CallFailed] = []
        self._too_late = False

    @property
    def pays(self) -> bool:
        """True if the next attempt costs a token of the budget."""
        return not self.patient and not isinstance(self.errors[-1], TooManyRequests)

    def next_call(self) -> Call:
        """Return the call of the next attempt."""
        self.attempts += 1
        return self.call if self.attempts == self.call.attempt else evolve(self.call, attempt=self.attempts)

    def failed(self, error: CallFailed) -> None:
        """Note the error of an attempt."""
        self.errors.append(error)
        trouble = not isinstance(error, DeadlineExceeded | TooManyRequests)
        # The breaker measures how long a stream is in trouble, so unsent attempts neither count here nor end it.
        free = self.patient and trouble and error.proves_unsent
        if self.attempts == 1 or free:
            # The deadline runs from the first failure. The wait before it was for a permit and the pace.
            self.call = evolve(self.call, give_up_at=self._clock() + self._deadline)
        if isinstance(error, DeadlineExceeded):
            self.attempts -= 1  # It ended before it was an attempt.
        self.counted += trouble and not free

    def is_over(self, wait: float) -> bool:
        """Return True if no attempt may begin after `wait` seconds."""
        if self.counted >= self._max_attempts:
            return True
        self._too_late = self._clock() + wait > self.call.give_up_at
        return self._too_late

    def forget_body(self) -> None:
        """Let go of the request's body."""
        self.call = _FORGOTTEN

    def left_open(self) -> CallFailed | None:
        """Return the last error after which the send may have been processed. Later errors cannot undo that."""
        if self._repeatable:
            return None
        return next((error for error in reversed(self.errors) if not error.proves_unsent), None)

    def conclusion(self) -> CallFailed:
        """Return the error to raise, with the earlier ones."""
        tried = [each for each in self.errors if not isinstance(each, DeadlineExceeded)]
        late = self._too_late or len(tried) < len(self.errors)
        error = self.left_open() or (tried or self.errors)[-1]
        if late and tried and self.left_open() is None and not isinstance(error, TooManyRequests):
            error = self._given_up(error)
        error.earlier = tuple(each for each in self.errors if each is not error)
        error.attempts = self.attempts
        return error

    def _given_up(self, last: CallFailed) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"no time is left for another attempt. The last one: {last.problem}",
            operation=last.operation,
            status=last.status,
            body=last.body,
        )
