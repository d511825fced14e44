"""Keyed sends: each key is sent at most once for the life of the journal, despite crashes and repeated calls.

A key is looked up first. Its message then waits in the outbox like any other. The transaction that records its claim
checks the key again. What a state means is in journal.py.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence

from attrs import evolve

from ..errors import ConfigurationError, JournalError, JournalFailed, KeyConflict, OutcomeUnknown
from ..exchange import AlreadyKnown
from ..flow.chunking import Chunk
from ..flow.ownership import to_the_end
from ..flow.steps import Turns
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.receipt_runs import Receipts
from ..protocol.receipts import NotSent, Receipt, Unconfirmed
from .blobs import lines_of
from .fingerprints import Fingerprints
from .journal import Journal
from .key_look_ups import KeyLookUps
from .recording import SendClaim, Settling
from .references import with_references
from .results import Results, pack_one
from .states import MARKS, STATES, KeyedSend, KeyRecord, State

__all__ = ["KeyedRecording", "KeyedSends", "Put", "Recorded"]

_MAX_KEY = 255
_KEYS_A_STEP = 64
_FREE = {State.PLANNED, State.NOT_SENT}
# How long to wait before asking again for a key that another process is sending, in seconds.
_FIRST_LOOK, _MAX_LOOK = 0.05, 1.0

Put = Callable[[Message, KeyedSend], Awaitable[Receipt]]


class Recorded(OutcomeUnknown):
    """The error in the receipt of a keyed message that was taken out of its batch because its key has a record."""

    def __init__(self, record: KeyRecord) -> None:
        super().__init__("its key has a record", operation=sending.ENDPOINT.operation)
        self.record = record


class KeyedRecording:
    """Keyed messages that are about to be sent in one batch."""

    def __init__(self, keyed: "KeyedSends", sends: Sequence[KeyedSend]) -> None:
        self._keyed = keyed
        self._sends = sends

    def claim(self, chunk: Chunk[Message], *, shortened: bool = False) -> "_KeyedClaim":
        """Return the claim of a chunk, whose position counts from the first of these messages."""
        sends = self._sends[chunk.position : chunk.position + len(chunk.items)]
        return _KeyedClaim(self._keyed, sends, chunk, shortened)

    def only(self, places: Sequence[int]) -> "KeyedRecording":
        """Return the recording of some of these messages."""
        return KeyedRecording(self._keyed, [self._sends[each] for each in places])


class _KeyedClaim(SendClaim):
    """The claim of one POST of keyed messages."""

    def __init__(self, keyed: "KeyedSends", sends: Sequence[KeyedSend], chunk: Chunk[Message], shortened: bool) -> None:
        super().__init__()
        self._keyed = keyed
        self._sends = sends
        self._shortened = shortened
        self._messages = chunk.items
        self._size = sum(map(len, chunk.slices))
        self._token = secrets.token_hex(16)

    def refer(self, chunk: Chunk[Message]) -> Generator[None, None, Chunk[Message]]:
        """Return the chunk as it is sent: with references in it, if the journal wants them. Yields now and then."""
        if not self._keyed.journal.references:
            return chunk
        slices = yield from with_references(chunk.slices, len(chunk.items), self._token)
        lines = lines_of(slices, len(chunk.items))
        self._sends = [evolve(send, body=line) for send, line in zip(self._sends, lines, strict=True)]
        return Chunk(chunk.items, list(slices), chunk.position)

    async def _claim(self) -> None:
        known = await self._keyed.journal.claim_keys(
            self._token,
            self._keyed.address,
            self._sends,
            self._keyed.ends_by(self._size),
            shortened=self._shortened,
        )
        if known:
            self._known = False
            raise AlreadyKnown(self._receipts(known))

    async def _release(self) -> None:
        await self._keyed.journal.release_keys(self._token)

    def _receipts(self, known: Mapping[str, KeyRecord]) -> dict[int, Receipt]:
        return {
            place: Unconfirmed(self._messages[place], Recorded(known[send.key]))
            for place, send in enumerate(self._sends)
            if send.key in known
        }

    async def settle(self, receipts: Receipts) -> None:
        """Record what became of each key. Never raises."""
        if self._known:
            await to_the_end(self._keyed.settle(self._token, self._sends, receipts))


class _UnderWay:
    """A key that a caller of this client is sending. Later callers of the same key wait for the first one.

    There is a future only if a second caller comes. `None` as its result means that the first one was cancelled.
    """

    __slots__ = ("fingerprint", "followers")

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.followers: asyncio.Future[Receipt | None] | None = None

    async def outcome(self) -> Receipt | None:
        """Wait for the first caller."""
        if self.followers is None:
            self.followers = asyncio.get_running_loop().create_future()
        # Shielded, because a caller that is cancelled must not cancel what the others wait for.
        return await asyncio.shield(self.followers)

    def tell(self, receipt: Receipt | None, error: Exception | None = None) -> None:
        """Wake the later callers."""
        if self.followers is not None:
            if error is None:
                self.followers.set_result(receipt)
            else:
                self.followers.set_exception(error)
                self.followers.exception()  # Marked as retrieved, as all of them may be gone.


class KeyedSends:
    """All keyed sends of one client."""

    def __init__(
        self,
        journal: Journal,
        address: str,
        settling: Settling,
        turns: Turns,
        *,
        total_for: Callable[[int], float],
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.journal = journal
        self.address = address
        self._settling = settling
        self._turns = turns
        self._total_for = total_for
        self._now = now
        self._sleep = sleep
        self._fingerprints: Fingerprints | None = None
        self._loading: asyncio.Future[bytes] | None = None
        self._under_way: dict[str, _UnderWay] = {}
        # Receipts that are known here, and that the journal could not be told yet.
        self._unwritten: dict[str, Receipt] = {}
        self._look_ups = KeyLookUps(journal)
        self._closed = False

    async def send(self, message: Message, key: str, put: Put) -> Receipt:
        """Send a message under a key, or return what became of it before.

        `put` sends it and returns its receipt. If `put` is cancelled, it takes out a message that still waits.
        Raises KeyConflict, JournalFailed, and what `put` raises.
        """
        _check(key)
        sending.require_message(message)
        fingerprint = (self._fingerprints or await self._loaded()).of(message)
        while (first := self._under_way.get(key)) is not None:
            if first.fingerprint != fingerprint:
                raise _conflict("which is being sent now")
            receipt = await first.outcome()
            if receipt is not None:
                return receipt
            # The first caller was cancelled, and one of the others takes its place. A message that was in flight by
            # then is found in the journal. Any other is sent now.
        # The first caller does the work itself: a task for each key would take longer than all the rest.
        first = self._under_way[key] = _UnderWay(fingerprint)
        try:
            receipt = await self._carry_out(message, key, fingerprint, put)
        except Exception as error:
            self._ended(key, None, error)
            raise
        except BaseException:
            self._ended(key, None)
            raise
        self._ended(key, receipt)
        return receipt

    async def _loaded(self) -> Fingerprints:
        """Read the key of the fingerprints, once for all callers. They resume together, and so share a request."""
        if self._loading is None or (self._loading.done() and self._fingerprints is None):
            self._loading = asyncio.ensure_future(self.journal.secret())
        self._fingerprints = Fingerprints(await asyncio.shield(self._loading))
        return self._fingerprints

    def _ended(self, key: str, receipt: Receipt | None, error: Exception | None = None) -> None:
        self._under_way.pop(key).tell(receipt, error)

    async def _carry_out(self, message: Message, key: str, fingerprint: bytes, put: Put) -> Receipt:
        record = await self._look_ups.find(key)
        while True:
            if record is not None and (receipt := await self._recorded(record, message, fingerprint)) is not None:
                return receipt
            receipt = await put(
                message, KeyedSend(key=key, fingerprint=fingerprint, body=sending.encode_one(message).encode())
            )
            if isinstance(receipt, Unconfirmed) and isinstance(receipt.error, Recorded):
                # Between the look-up and the claim, another process began to send it.
                record = receipt.error.record
                continue
            if isinstance(receipt, NotSent) and isinstance(receipt.error.__cause__, JournalError):
                raise receipt.error.__cause__
            return receipt

    async def _recorded(self, record: KeyRecord, message: Message, fingerprint: bytes) -> Receipt | None:
        """Return the receipt that a record gives, or None if the key is free."""
        pause = _FIRST_LOOK
        # The clock of the other process, or this one's, may be wrong by an hour.
        until = asyncio.get_running_loop().time() + self._total_for(0)
        while True:
            if record.state in _FREE:
                return None
            if record.address != self.address:
                raise _conflict("which was sent to another address")
            if record.fingerprint != fingerprint:
                raise _conflict("which it was used for before")
            if record.state is not State.IN_FLIGHT:
                return _receipt(record, message)
            if (known := self._unwritten.get(record.key)) is not None:
                return known
            if self._closed or min(record.claimed_until - self._now(), until - asyncio.get_running_loop().time()) <= 0:
                words = "another process is sending it, and its answer did not come in time"
                return Unconfirmed(message, OutcomeUnknown(words, operation=sending.ENDPOINT.operation))
            await self._sleep(pause)
            pause = min(2 * pause, _MAX_LOOK)
            found = await self._look_ups.find(record.key)
            if found is None:
                return None
            record = found

    def ends_by(self, size: int) -> float:
        """Return the time by which an attempt with a body of this size has certainly ended."""
        return self._now() + self._total_for(size)

    async def settle(self, token: str, sends: Sequence[KeyedSend], receipts: Receipts) -> None:
        """Write what became of the keys of one claim."""
        outcomes: dict[str, tuple[State, bytes]] = {}
        for number, (send, receipt) in enumerate(zip(sends, receipts, strict=True), 1):
            mark, results = pack_one(receipt)
            outcomes[send.key] = STATES[mark], results
            self._unwritten[send.key] = receipt
            if number % _KEYS_A_STEP == 0:
                await self._turns.give()

        async def write() -> None:
            await self.journal.settle_keys(token, outcomes)
            for key in outcomes:
                self._unwritten.pop(key, None)

        await self._settling.settle(write)

    def close(self) -> None:
        """Stop waiting for other processes."""
        self._closed = True


def _receipt(record: KeyRecord, message: Message) -> Receipt:
    try:
        return Results(bytes((MARKS[record.state],)), record.results).receipt(message)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise JournalFailed("the journal's record of this key is damaged. Restore the file from a copy") from None


def _check(key: object) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= _MAX_KEY or not key.isprintable():
        raise ConfigurationError(f"key must be a str of 1 to {_MAX_KEY} printable characters")


def _conflict(what: str) -> KeyConflict:
    return KeyConflict(f"the key belongs to another message, {what}. Choose another key for this one")
