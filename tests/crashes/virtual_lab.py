"""Runs of a campaign in virtual time, over the real store, each cut off at any await: a kill, thousands of times.

The client's parts are those of tests/client/storm_lab.py. The service is a model that counts. The journal's methods
take random time before and after they write, so claims, releases, settles and kills meet in every order.
"""

import asyncio
import contextlib
import gc
import json
import logging
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from random import Random
from typing import Any

import virtual_time
from attrs import define, field
from inputs import identities_of, identity_of, is_rejected
from storm_lab import OPTIONS, Lab

from devino_async import (
    Accepted,
    CallFailed,
    DevinoError,
    Message,
    NotSent,
    OutcomeUnknown,
    Receipt,
    Refused,
    Rejected,
    RequestNotSent,
    ServerFailed,
    TooManyRequests,
)
from devino_async.campaigns import CampaignState, Outcome, SQLiteJournal
from devino_async.campaigns.states import Part
from devino_async.exchange import Answer, Call

URL = "http://127.0.0.1:1"
_REJECTED = {"code": "REJECTED", "messageId": None, "reasons": [{"key": "to.format.invalid", "ref": "to"}]}


class Inline(Executor):
    """Runs work at once in the thread of the event loop, as virtual time cannot wait for another."""

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - the future is what carries it
            done.set_exception(error)
        return done


@define
class Service:
    """Accepts messages, counts them, and fails at random. It outlives the clients."""

    random: Random
    trouble: float
    ids: dict[str, list[str]] = field(factory=dict)
    lossy: set[str] = field(factory=set)
    calls: int = 0
    given: int = 0

    async def exchange(self, call: Call) -> Answer:
        """Carry out one request."""
        if call.operation != "send":
            await asyncio.sleep(self.random.random() * 0.05)
            return Answer(status=200, body=b'{"result":[]}')
        self.calls += 1
        sent = json.loads(b"".join(call.body or ()))["messages"]
        await asyncio.sleep(self.random.random() * 0.1)
        fault = self.random.choice(_FAULTS) if self.random.random() < self.trouble else "none"
        if fault in {"none", "lost", "failed"}:
            results = [self._accept(each) for each in sent]
            await asyncio.sleep(self.random.random() * 0.2)
            if fault == "none":
                return Answer(status=200, body=json.dumps({"result": results}).encode())
        if fault in {"lost", "failed"}:
            self.lossy.update(identity_of(each["to"], each["text"]) for each in sent)
        raise _error(fault, call)

    def _accept(self, each: dict[str, str]) -> dict[str, Any]:
        if is_rejected(each["to"]):
            return _REJECTED
        self.given += 1
        self.ids.setdefault(identity_of(each["to"], each["text"]), []).append(str(self.given))
        return {"code": "OK", "messageId": str(self.given)}


_FAULTS = ("lost", "failed", "unsent", "unsent", "held", "refused")


def _error(fault: str, call: Call) -> CallFailed:
    if fault == "lost":
        return OutcomeUnknown("reset", operation=call.operation)
    if fault == "failed":
        return ServerFailed("the service failed", operation=call.operation, status=502)
    if fault == "unsent":
        return RequestNotSent("no connection", operation=call.operation)
    if fault == "refused":
        return Refused("refused", operation=call.operation, status=400)
    held = TooManyRequests("slow down", operation=call.operation, status=429)
    held.retriable = True
    return held


class SlowJournal:
    """A journal whose methods take a random time before and after they write. It knows which parts are open.

    `places` is given the identity of the message at each position that is claimed.
    """

    def __init__(self, journal: SQLiteJournal, random: Random, places: dict[int, str]) -> None:
        self._places = places
        self._journal = journal
        self._random = random
        self._dead = False
        self.open: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)

        async def slow(*arguments: Any, **named: Any) -> Any:
            await self._pause()
            if name == "claim":
                self._note(arguments[1])
            try:
                found = await method(*arguments, **named)
            except BaseException:
                if name == "claim":
                    del self.open[arguments[1].token]
                raise
            await self._pause()
            if name in {"release", "settle"}:
                self.open.pop(arguments[1] if name == "release" else arguments[1].token, None)
            return found

        return slow

    def _note(self, part: Part) -> None:
        self.open[part.token] = len(part.positions)
        bodies = json.loads(b"[" + b",".join(part.slices) + b"]")
        for position, each in zip(part.positions, bodies, strict=True):
            identity = identity_of(each["to"], each["text"])
            assert self._places.setdefault(position, identity) == identity, "another message has this place"

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.choice((0.0, 0.0, 0.01, 0.1)))
        if self._dead:
            raise asyncio.CancelledError

    def die(self) -> None:
        """Drop what a dead process drops: its lock and its connection."""
        self._dead = True
        self._journal._claimer.close()
        self._journal._file._close()


def opened(path: Path) -> SQLiteJournal:
    """The real journal, without a thread of its own."""
    journal = SQLiteJournal(path)
    journal._file._thread.shutdown()
    journal._file._thread = Inline()  # type: ignore[assignment]
    return journal


@define
class Ended:
    """What one run gave until it ended or was killed. Errors would keep its frames alive, so there are none.

    `open_` counts the messages that were claimed and not settled when it was killed, and `parts` their batches.
    """

    receipts: list[tuple[str, str]] = field(factory=list)
    error: str = ""
    killed: bool = False
    open_: int = 0
    parts: int = 0


def run(
    path: Path,
    service: Service,
    messages: Sequence[Message],
    random: Random,
    *,
    batch_size: int,
    in_flight: int,
    only_new: bool = False,
    places: dict[int, str] | None = None,
    dies_after: float | None = None,
    leaves_after: int | None = None,
) -> Ended:
    """Run the campaign once. It is killed after `dies_after` seconds, or its consumer leaves after so many receipts."""
    ended = Ended()

    async def program(journal: SlowJournal) -> None:
        lab = Lab(service, in_flight=in_flight)
        lab.dispatch.remember_in(journal, URL, lambda _: 60.0)
        stream = lab.dispatch.stream(messages, batch_size, OPTIONS, lab.dispatch.beginning_of("sale", only_new))
        try:
            async with contextlib.aclosing(stream) as receipts:
                async for receipt in receipts:
                    ended.receipts.append(kind_of(receipt))
                    if len(ended.receipts) == leaves_after:
                        break
        except DevinoError as error:
            ended.error = str(error)
        await lab.owner.drain(3_600.0)
        await lab.dispatch.aclose()

    with _quiet():
        journal = SlowJournal(opened(path), random, {} if places is None else places)
        _run_to_the_end_or_death(program(journal), journal, ended, dies_after)
    return ended


def _run_to_the_end_or_death(
    program: Coroutine[Any, Any, None], journal: SlowJournal, ended: Ended, dies_after: float | None
) -> None:
    loop = virtual_time.Loop()
    main = loop.create_task(program)
    if dies_after is not None:
        loop.call_at(dies_after, loop.stop)
    main.add_done_callback(lambda done: done.get_loop().stop())
    loop.run_forever()
    if main.done():
        main.result()
        loop.run_until_complete(journal._journal.aclose())
    else:
        ended.killed, ended.open_, ended.parts = True, sum(journal.open.values()), len(journal.open)
        journal.die()
        # What is left of the process must not run on. Nothing that it still does reaches the journal or the service.
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the complaints about tasks of a process that was killed. Python ends them, and they know no end."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    # Only what is made from here on is looked at when the remains are collected.
    gc.freeze()
    loggers = [logging.getLogger(name) for name in ("asyncio", "devino_async")]
    for each in loggers:
        each.disabled = True
    try:
        yield
    finally:
        # What a coroutine holds is free only once the coroutine is gone.
        while gc.collect():
            continue
        gc.unfreeze()
        sys.unraisablehook = hook
        for each in loggers:
            each.disabled = False


def read(path: Path) -> tuple[CampaignState | None, list[Outcome]]:
    """What the journal knows once all processes are dead."""

    async def look() -> tuple[CampaignState | None, list[Outcome]]:
        async with opened(path) as journal:
            found = await journal.campaigns()
            return (found[0], [each async for each in journal.outcomes("sale")]) if found else (None, [])

    return virtual_time.run(look())


def kind_of(receipt: Receipt) -> tuple[str, str]:
    """The kind of a receipt, and the id of an accepted message."""
    if isinstance(receipt, Accepted):
        return "accepted", receipt.message_id
    if isinstance(receipt, Rejected):
        return "rejected", ""
    if isinstance(receipt, NotSent):
        return "not_sent", ""
    return ("unlooked" if "not looked up" in receipt.error.problem else "unconfirmed"), ""


def twice(messages: Sequence[Message], service: Service) -> list[str]:
    """Every message that was accepted more often than it stands in the input."""
    wanted = Counter(identities_of(messages))
    return [identity for identity, ids in service.ids.items() if len(ids) > wanted[identity]]
