"""Breaks each rule of delivery safety on purpose, one at a time, and runs the fault lab against it.

    python tests/faults/mutations.py [WORD]     # only the mutations whose name holds WORD

Prints which tests found each mutation. Exit status 1 if one survives, or if its text is no longer in the code. The
package is copied to a temporary folder; nothing in the working copy is touched. A control that changes nothing must
survive. Takes about ten minutes.

Not among them: sealing the ledger when an answer has come. aiohttp stops its writer then by itself, so that leaving the
seal out changes nothing that can be seen; it stays as a second lock.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
SUITE = (
    "tests/transport/test_ledger.py",
    "test_special.py",
    "test_table.py",
    "test_reads.py",
    "test_cancels.py",
    "test_cuts.py",
    "test_tls.py",
    "test_outbox_faults.py",
)
SECRETS = ("test_secrets.py", "test_secrets_calls.py")
OUTAGES = (
    "tests/transport/test_breaker.py",
    "tests/client/test_storms.py",
    "tests/client/test_slow_sources.py",
    "tests/transport/test_retry.py",
)
FIRST_FAILURES = 3
SECONDS = 300
AT_ONCE = 4


@frozen
class Mutation:
    """In this file, this text becomes that one. `why` is the rule that is broken."""

    why: str
    file: str
    old: str
    new: str
    suite: tuple[str, ...] = SUITE


POOL, LEDGER, VERDICT = "transport/pool.py", "transport/ledger.py", "transport/verdict.py"
ATTEMPT, RETRY = "transport/attempt.py", "transport/retry.py"
OUTBOX = "client/outbox.py"
BREAKER = "transport/breaker.py"

MUTATIONS = (
    Mutation("trouble opens nothing", BREAKER, "        circuit.openings += 1\n", "        return\n", OUTAGES),
    Mutation(
        "a half-open lane takes any batch", BREAKER, "call.messages > HALF_OPEN_MESSAGES", "call.messages < 0", OUTAGES
    ),
    Mutation(
        "a half-open lane takes many batches",
        BREAKER,
        "if circuit.state is State.HALF_OPEN and circuit.holder is None:",
        "if circuit.state is State.HALF_OPEN:",
        OUTAGES,
    ),
    Mutation("strikes are not counted", BREAKER, "circuit.strikes += unconfirmed", "circuit.strikes += 0", OUTAGES),
    Mutation("old news counts", BREAKER, "if not ticket.is_news():", "if False:", OUTAGES),
    Mutation(
        "a redirect that was cut answers a probe", BREAKER, "redirect and not error.retriable", "redirect", OUTAGES
    ),
    Mutation("trouble that was not watched counts", BREAKER, "now > circuit.probe_at:", "now < 0:", OUTAGES),
    Mutation(
        "a slow source is read while its lane is open",
        "flow/steps.py",
        "        if self._ready is not None:\n",
        "        if False:\n",
        OUTAGES,
    ),
    Mutation("probes go on for ever", BREAKER, "while circuit.waiters:", "while True:", OUTAGES),
    Mutation(
        "batches of an ended stream wait on",
        "client/batches.py",
        "        if batch.fatal is not None:\n",
        "        if False:\n",
        OUTAGES,
    ),
    Mutation(
        "an empty balance ends nothing",
        "client/endings.py",
        "return SendingRefused(reasons) if reasons else None",
        "return None",
        OUTAGES,
    ),
    Mutation(
        "look-ups spend the budget of sends",
        RETRY,
        "self._budgets = {lane: _Budget(policy, clock) for lane in Lane}",
        "self._budgets = dict.fromkeys(Lane, _Budget(policy, clock))",
        OUTAGES,
    ),
    Mutation(
        "a send is repeated after ServerDisconnectedError",
        ATTEMPT,
        "error.retriable = decision.retry or",
        'error.retriable = "ServerDisconnectedError" in problem or decision.retry or',
    ),
    Mutation(
        "a send is repeated after any error",
        ATTEMPT,
        "error.retriable = decision.retry or",
        "error.retriable = True or decision.retry or",
    ),
    Mutation(
        "the verdict comes from the exception's class",
        POOL,
        "attempt.failed(error)",
        "attempt.ledger.handed = type(attempt.ledger.handed).NOTHING if isinstance(error, OSError) "
        "else attempt.ledger.handed\n            attempt.failed(error)",
    ),
    Mutation("redirects are followed", POOL, "allow_redirects=False", "allow_redirects=True"),
    Mutation("total is not set", POOL, "deadline(self._timeouts.total_for(call.size))", "deadline(1e6)"),
    Mutation("the silence of an answer is not bounded", POOL, "sock_read=self._timeouts.read", "sock_read=None"),
    Mutation("the environment's proxies are used", POOL, "trust_env=False", "trust_env=True"),
    Mutation("sends go on pooled connections", POOL, "force_close=not repeatable and", "force_close=False and"),
    Mutation(
        "certificate errors are tried again", ATTEMPT, "permanent = isinstance(error, _PERMANENT)", "permanent = False"
    ),
    Mutation(
        "a closed client forgets its attempt",
        POOL,
        "attempt.cut_short()",
        "raise",
    ),
    Mutation(
        "a half-read answer counts as whole",
        ATTEMPT,
        "status=self._status if self._whole else None",
        "status=self._status",
    ),
    Mutation("the answer is not capped", "transport/answers.py", "if len(into) > limit:", "if False:"),
    Mutation(
        "the ledger notes after the write",
        LEDGER,
        "            self._ledger.handed = Handed.ALL if handed == self._size else Handed.SOME\n"
        "            # A body of one small slice never has to wait for the socket.\n"
        "            async with deadline(self._stall) if self._length > LAST_SLICES_BYTES else nullcontext():\n"
        "                await writer.write(piece)\n",
        "            if True:\n"
        "                await writer.write(piece)\n"
        "                self._ledger.handed = Handed.ALL if handed == self._size else Handed.SOME\n",
    ),
    Mutation(
        "the ledger notes all at the first slice",
        LEDGER,
        "Handed.ALL if handed == self._size else Handed.SOME",
        "Handed.ALL",
    ),
    Mutation(
        "the ledger never notes all", LEDGER, "Handed.ALL if handed == self._size else Handed.SOME", "Handed.SOME"
    ),
    Mutation("slices are not drained", LEDGER, "                await writer.drain()\n", ""),
    Mutation("503 is tried again", RETRY, "self._policy.retry_on_503 and isinstance", "isinstance"),
    Mutation(
        "500 is NotSent", VERDICT, "408, 411, 413, 415, 417, 429, 431})", "408, 411, 413, 415, 417, 429, 431, 500})"
    ),
    Mutation("409 and 425 are NotSent", VERDICT, "frozenset({400, 401,", "frozenset({409, 425, 400, 401,"),
    Mutation("a 4xx that accepts is NotSent", VERDICT, "and evidence.carries_result", "and False"),
    Mutation("429 holds nobody", "transport/pace.py", "self._holds[key] = max(", "_unused = max("),
    Mutation("a wait beyond the deadline is waited", RETRY, "return (last.retry_after or 0.0) + ", "return ", OUTAGES),
    Mutation(
        "look-ups are not repeated",
        VERDICT,
        "return Decision(verdict, retry=not evidence.permanent)",
        "return Decision(verdict, retry=False)",
    ),
    Mutation(
        "results are not counted", "protocol/send_results.py", "self.count == len(self._messages)", "self.count > 0"
    ),
    Mutation(
        "OutcomeUnknown proves unsent",
        "errors.py",
        '"""The request may have been processed, and no answer says whether. A send is never repeated after this."""',
        '"""The request."""\n\n    proves_unsent = True',
    ),
    Mutation(
        "BadAnswer proves unsent",
        "errors.py",
        '"""An answer that cannot be read, or that does not fit what was asked."""',
        '"""An answer."""\n\n    proves_unsent = True',
    ),
    Mutation(
        "cancelling a caller cancels its send",
        OUTBOX,
        "        if self._buffer.discard(entry):\n",
        "        for task in list(self._owner._tasks):\n            task.cancel()\n"
        "        if self._buffer.discard(entry):\n",
    ),
    Mutation(
        "receipts of a stream that was left are dropped",
        "client/dispatch.py",
        "            hand_over(task, lambda batch: self.unclaimed(list(batch.receipts)))",
        "            pass",
    ),
    Mutation(
        "messages that were read and not begun are dropped",
        "client/dispatch.py",
        "        left = pipeline.take_left_items()\n        if left:\n",
        "        left = []\n        if left:\n",
    ),
    Mutation(
        "a stream goes on after an unusable key",
        "client/dispatch.py",
        "stop_after=lambda batch: batch.fatal is not None,",
        "stop_after=lambda batch: False,",
        ("tests/client/test_client.py",),
    ),
    Mutation(
        "what is read after a caller has left is dropped",
        "client/dispatch.py",
        "on_late=lambda left: self.unclaimed(list(_unsent_without_caller(left, run))),",
        "",
        ("tests/client/test_dispatch.py",),
    ),
    Mutation("certificates are not verified", POOL, "ssl=self._options.ssl_context or True", "ssl=False"),
    Mutation("the own TLS context is not used", POOL, "ssl=self._options.ssl_context or True", "ssl=True"),
    Mutation(
        "a caller that was cancelled in the outbox is not reported",
        OUTBOX,
        'self._unclaimed_unsent([entry], "the caller was cancelled while the message waited")',
        "pass",
    ),
    Mutation(
        "the outbox does not hear of callers that were cancelled",
        "client/client.py",
        "outbox.caller_cancelled(waiting)",
        "pass",
    ),
    Mutation(
        "a caller that was cancelled stays in the outbox",
        OUTBOX,
        "if self._buffer.discard(entry):",
        "if entry in list(self._buffer):",
    ),
    Mutation(
        "a caller that was cancelled at the door stays there",
        "flow/buffer.py",
        "elif self._door.pop(entry.number, None) is not None:",
        "elif entry.number in self._door:",
    ),
    Mutation(
        "a caller that was cancelled as closing turned it away is not reported",
        OUTBOX,
        "            self._unclaimed_unsent(cancelled, _CLOSED)\n",
        "            pass\n",
    ),
    Mutation(
        "closing keeps what waits for room",
        OUTBOX,
        "for entry in self._buffer.take_door():",
        "for entry in list[Waiting]():",
    ),
    Mutation(
        "messages turned away by closing are sent all the same",
        OUTBOX,
        "for entry in self._buffer.take_door():",
        "for entry in self._buffer._door.values():",
    ),
    Mutation(
        "receipts of callers that were cancelled are dropped",
        OUTBOX,
        "            self._dispatch.unclaimed(unclaimed)\n",
        "            pass\n",
    ),
    Mutation("closing leaves the outbox waiting", OUTBOX, "waiting = self._buffer.take_all()", "waiting = []"),
    Mutation(
        "closing does not end the linger",
        OUTBOX,
        "        self._buffer.flush()\n        if len(self._buffer):\n",
        "        if len(self._buffer):\n",
    ),
    Mutation(
        "callers get each other's receipts",
        OUTBOX,
        "self._settle(taken[at : at + len(run)], run)",
        "self._settle(taken[at : at + len(run)], run[::-1])",
    ),
    Mutation(
        "lanes share POSTs", "client/outboxes.py", "return self._urgent if getattr", "return self._bulk if getattr"
    ),
    Mutation(
        "lanes share places",
        "transport/limits.py",
        "{lane: asyncio.Semaphore(limits.in_flight) for lane in Lane}",
        "dict.fromkeys(Lane, asyncio.Semaphore(limits.in_flight))",
    ),
    Mutation("nobody keeps to the pace", "transport/pace.py", "if not rates:", "if True:"),
    Mutation("what closing cut short is not told", "client/dispatch.py", "self.unconfirmed += [", "_ = ["),
    Mutation("the login is shown", "client/config.py", "(token, password, login)", "(token, password)", SECRETS),
    Mutation(
        "login and password are shown in base64",
        "client/config.py",
        "(token, password, login)",
        "(password, login)",
        SECRETS,
    ),
    Mutation("phones are shown", "redaction.py", "return mask_phones(", "return str(", SECRETS),
    Mutation(
        "an error of aiohttp hangs on ours",
        POOL,
        "attempt.failed(error)\n",
        "attempt.failed(error)\n"
        "            if not isinstance(outcome := attempt.outcome(), Answer):\n"
        "                raise outcome from None\n",
        SECRETS,
    ),
    Mutation(
        "the raw answer stands in a frame",
        POOL,
        "        outcome = attempt.outcome()\n",
        "        body = bytes(attempt.body)\n        outcome = attempt.outcome()\n",
        SECRETS,
    ),
    Mutation(
        "aiohttp's session stands in a frame",
        POOL,
        "        outcome = attempt.outcome()\n",
        "        session = self._session(call.lane)\n        outcome = attempt.outcome()\n",
        SECRETS,
    ),
    Mutation("aiohttp's frames hang on a look-up", POOL, "raise cancelled.with_traceback(None)", "raise", SECRETS),
    Mutation("arguments stand in a frame", "redaction.py", "del self, args, named", "del self", SECRETS),
    Mutation("arguments stand in the frames below", "redaction.py", "error.with_traceback(None)", "error", SECRETS),
)


def mutated(mutation: Mutation, folder: Path) -> bool:
    """Make a copy with the mutation in it; tells whether its text was found just once."""
    for part in ("devino_async", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    path = folder / "devino_async" / mutation.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    return text.count(mutation.old) == 1


def failures(mutation: Mutation, folder: Path) -> list[str] | None:
    """The first tests that fail against the mutated copy; no end counts as one, a broken copy gives None."""
    files = [name if "/" in name else f"tests/faults/{name}" for name in mutation.suite]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--maxfail={FIRST_FAILURES}", *files]
    environment = {**os.environ, "PYTHONPATH": str(folder), "FAULT_RUNS": "300", "FAULT_BOUND": "8"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"no end within {SECONDS} s"]
    found = re.findall(r"^(?:FAILED|ERROR) tests/(?:faults/)?(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    broken = done.returncode not in {0, 1} or (done.returncode and not found)
    return None if broken else found


CONTROL = Mutation("control: nothing is changed", POOL, "allow_redirects=False", "allow_redirects=False")


def tried(mutation: Mutation) -> list[str] | None:
    """The tests that found the mutation, or None where it could not be made."""
    with tempfile.TemporaryDirectory() as name:
        return failures(mutation, Path(name)) if mutated(mutation, Path(name)) else None


def main(word: str = "") -> int:
    """Try all mutations, a few at once as most of the time is waiting, and print what found them."""
    chosen = [CONTROL, *(each for each in MUTATIONS if word in each.why)]
    wrong = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutation, found in zip(chosen, pool.map(tried, chosen), strict=True):
            is_control = mutation is CONTROL
            state = "NOT APPLICABLE" if found is None else "found" if found else "survived"
            expected = "survived" if is_control else "found"
            wrong += state != expected
            mark = "" if state == expected else "  <-- WRONG"
            print(f"{state:<9} {mutation.why}: {', '.join(found or ())}{mark}", flush=True)
    print(f"{len(chosen) - 1} mutations, {wrong} not as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
