"""Journals for tests: parts and answers to write into them, and journals in real processes that can be killed."""

import asyncio
import multiprocessing
import os
import secrets
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from operator import attrgetter
from pathlib import Path
from typing import Any

from devino_async import Accepted, Message, NotSent, OutcomeUnknown, Reason, Rejected, RequestNotSent, Unconfirmed
from devino_async.campaigns import Journal, Outcome, SQLiteJournal, State
from devino_async.campaigns.results import Results, pack
from devino_async.campaigns.states import STATES, KeyedSend, Mark, Part, Record
from devino_async.flow.steps import at_once
from devino_async.protocol.receipt_runs import Receipts
from devino_async.protocol.sending import encode

ADDRESS = "https://api.example:443"
LATER = 4e9


class SQLiteStores:
    """Makes journals on one file. A store of another kind gets a class with these methods."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sms.journal"

    def journal(self) -> Journal:
        return SQLiteJournal(self.path)


def message_at(position: int, text: str = "Hello") -> Message:
    return Message(sender="MyCompany", to=f"7900{position:07d}", text=text)


def fingerprint_at(position: int) -> bytes:
    return position.to_bytes(8, "big")


def part_of(positions: Sequence[int], token: str | None = None, text: str = "Hello") -> Part:
    """A part whose slices hold three messages at most."""
    encoded = [each.encode() for each in encode(message_at(position, text) for position in positions)]
    return Part(
        token=token or secrets.token_hex(16),
        positions=positions,
        fingerprints=b"".join(map(fingerprint_at, positions)),
        slices=[b",".join(encoded[at : at + 3]) for at in range(0, len(encoded), 3)],
    )


def receipt_of(position: int, mark: str, said: str) -> Any:
    message = message_at(position)
    match mark:
        case "a":
            return Accepted(message, f"{position}{said}", (f"{position}{said}1",) if position % 2 else ())
        case "r":
            return Rejected(message, (Reason(f"to.invalid.{said}", "to", "words"),))
        case "n":
            return NotSent(message, RequestNotSent("no connection", operation="send"))
        case _:
            return Unconfirmed(message, OutcomeUnknown(f"cut {said}", operation="send"))


def answer(positions: Sequence[int], marks: str, said: str = "1") -> tuple[bytes, bytes]:
    """Marks and results as `settle` takes them. `said` distinguishes this answer from others."""
    receipts = Receipts()
    receipts.ready([receipt_of(*each, said) for each in zip(positions, marks, strict=True)])
    packing = pack(receipts)
    while True:
        try:
            next(packing)
        except StopIteration as done:
            packed: tuple[bytes, bytes] = done.value
            assert packed[0].decode() == marks
            return packed


def outcome_of(position: int, mark: str, said: str = "1") -> Outcome:
    """The outcome that a message has after such an answer."""
    receipt = receipt_of(position, mark, said)
    return Outcome(
        position=position,
        state=STATES[ord(mark)],
        message_id=receipt.message_id if mark == "a" else None,
        segment_ids=receipt.segment_ids if mark == "a" else (),
        reasons=receipt.reasons if mark == "r" else (),
    )


def keyed(key: str, text: str = "Hello") -> KeyedSend:
    [body] = encode([message_at(1, text)])
    return KeyedSend(key=key, fingerprint=text.encode().ljust(8)[:8], body=body.encode())


def keyed_outcome(mark: str, said: str = "1") -> tuple[State, bytes]:
    marks, results = answer([1], mark, said)
    return STATES[marks[0]], results


def current(records: Sequence[Record]) -> dict[int, str]:
    """The mark of each message that has not moved. Each message is in one part only."""
    found: dict[int, str] = {}
    for record in records:
        for position, mark in zip(record.positions, record.marks, strict=True):
            if mark != Mark.MOVED:
                assert position not in found
                found[position] = chr(mark)
    return found


def words_of(record: Record, at: int) -> str:
    """The words of the replayed receipt of an unconfirmed message."""
    into = Receipts()
    at_once(Results(record.marks, record.results).replay(at, [message_at(record.positions[at])], into))
    [receipt] = into
    assert isinstance(receipt, Unconfirmed)
    return receipt.error.problem


async def collected(journal: Journal, method: str, *args: Any) -> list[Any]:
    return [each async for each in attrgetter(method)(journal)(*args)]


class Process:
    """A journal in a process of its own."""

    def __init__(self, stores: SQLiteStores) -> None:
        context = multiprocessing.get_context("forkserver")
        # What is loaded there is not loaded again in each process.
        context.set_forkserver_preload(["devino_async.campaigns.sqlite", "devino_async.protocol.sending"])
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(stores, theirs), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method there. What it raises there is raised here."""
        self._ours.send((method, args, options))
        assert self._ours.poll(60), f"{method} takes too long"
        good, outcome = self._ours.recv()
        if not good:
            raise outcome
        return outcome

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.join()
        self._ours.close()

    def close(self) -> None:
        """End the process in good order."""
        self.call("aclose")
        self._ours.send(None)
        self._process.join()
        self._ours.close()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _serve(stores: SQLiteStores, theirs: Connection) -> None:
    async def serve() -> None:
        journal = stores.journal()
        while request := theirs.recv():
            method, args, options = request
            try:
                if method in {"outcomes", "keys", "evidence.in_doubt"}:
                    outcome = True, await collected(journal, method, *args)
                else:
                    outcome = True, await attrgetter(method)(journal)(*args, **options)
            except Exception as error:  # noqa: BLE001 - raised in the test
                outcome = False, error
            theirs.send(outcome)

    asyncio.run(serve())
