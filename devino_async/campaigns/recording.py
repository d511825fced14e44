"""Recording: the claims of sends in a journal, and the outcomes that are written before any caller sees them.

The client decides what is sent, and when. What a claim means for its messages is in journal.py.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

from attrs import evolve, frozen

from ..errors import (
    CampaignBusy,
    CampaignForgotten,
    ClientClosed,
    DevinoError,
    JournalFailed,
    OutcomeUnknown,
)
from ..flow.chunking import Chunk
from ..flow.ownership import to_the_end
from ..flow.steps import Turns, in_steps
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.receipt_runs import Receipts
from .fingerprints import SIZE
from .journal import Journal
from .references import with_references
from .results import pack
from .states import Mark, Part, Run, SentBefore

__all__ = [
    "PartClaim",
    "Recorder",
    "Recording",
    "SendClaim",
    "Settling",
    "closed_too_early",
    "elsewhere",
    "is_elsewhere",
]

_log = logging.getLogger("devino_async")
_FIRST_PAUSE, _MAX_PAUSE = 1.0, 30.0


def closed_too_early() -> JournalFailed:
    """Return the error for a journal that was closed while its client was open."""
    return JournalFailed("the journal was closed before the client; close the client first")


def is_elsewhere(error: DevinoError | None) -> bool:
    """Return whether a claim was refused because of another run, which may have sent its messages."""
    return isinstance(error, CampaignBusy | CampaignForgotten | SentBefore)


def elsewhere(error: DevinoError) -> OutcomeUnknown:
    """Return the error of messages that this run did not send, but that another one may have sent."""
    words = f"{error}. This run did not send the message, but another one may have"
    return OutcomeUnknown(words, operation=sending.ENDPOINT.operation, attempts=0)


class Settling:
    """Writes outcomes, and retries those that could not be written. Each client has one.

    Receipts reach their callers even if their outcome cannot be written. A run that looks an outcome up
    before it is written sees Unconfirmed.
    """

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._unwritten: list[Callable[[], Awaitable[None]]] = []
        self._trying: asyncio.Task[None] | None = None

    async def settle(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write an outcome, now if possible. Never raises."""
        try:
            await write()
        except CampaignBusy as error:
            _superseded(error)
        except (JournalFailed, ClientClosed) as error:
            _log.warning("an outcome could not be written, and will be retried: %s", error)
            self._unwritten.append(write)
            if self._trying is None or self._trying.done():
                self._trying = asyncio.create_task(self._try_again(), name="devino-settling")

    async def _try_again(self) -> None:
        pause = _FIRST_PAUSE
        while self._unwritten:
            await self._sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)
            await self._write_all()

    async def _write_all(self) -> JournalFailed | ClientClosed | None:
        """Try all of them. What is wrong with one may be wrong with its campaign only."""
        failure = None
        for write in list(self._unwritten):
            try:
                await write()
            except CampaignBusy as error:
                _superseded(error)
                self._unwritten.remove(write)
            except (JournalFailed, ClientClosed) as error:
                failure = error
            else:
                self._unwritten.remove(write)
        return failure

    async def aclose(self) -> None:
        """Try one last time. Raises JournalFailed if an outcome still cannot be written."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait({self._trying})
        error = await self._write_all()
        if error is not None:
            raise JournalFailed(
                f"the outcomes of {len(self._unwritten)} requests could not be written to the journal, so a later run "
                f"sees their messages as Unconfirmed. Keep the receipts that you have. The last problem: {error}"
            ) from None


def _superseded(error: CampaignBusy) -> None:
    # This happens only to a part that was never claimed. Nothing of it was sent, and its run has ended.
    _log.warning("a batch was not sent, and the journal has no record of that: %s", error)


@frozen(eq=False, repr=False)
class Recorder:
    """What it takes to record the sends of one run."""

    journal: Journal
    run: Run
    settling: Settling
    turns: Turns


class Recording:
    """Messages of a campaign that are about to be sent, with their places and fingerprints.

    The position of a chunk that is sent counts from the first of these messages.
    """

    def __init__(self, recorder: Recorder, positions: Sequence[int], fingerprints: bytes) -> None:
        self._recorder = recorder
        self._positions = positions
        self._fingerprints = fingerprints

    def claim(self, chunk: Chunk[Message], *, shortened: bool = False) -> "PartClaim":
        """Return the claim of a chunk, which is not taken yet. `shortened` is as in Part."""
        first, last = chunk.position, chunk.position + len(chunk.items)
        part = Part(
            token=secrets.token_hex(16),
            positions=self._positions[first:last],
            fingerprints=self._fingerprints[SIZE * first : SIZE * last],
            slices=chunk.slices,
            shortened=shortened,
        )
        return PartClaim(self._recorder, part)

    def only(self, places: Iterable[int]) -> "Recording":
        """Return the recording of only the messages at these places."""
        places = list(places)
        fingerprints = b"".join(self._fingerprints[SIZE * each : SIZE * (each + 1)] for each in places)
        return Recording(self._recorder, [self._positions[each] for each in places], fingerprints)


class SendClaim:
    """The claim of one POST: whether it is taken, whether the journal knows it, and whether an attempt is in doubt.

    Subclasses write it, by `_claim` and `_release`.
    """

    def __init__(self) -> None:
        self._known = False
        self._taken = False
        self._in_doubt = False

    async def _claim(self) -> None:
        raise NotImplementedError

    async def _release(self) -> None:
        raise NotImplementedError

    async def take(self) -> None:
        """Record that the POST is being sent. If this raises, nothing may be sent."""
        if self._taken:
            return
        # Set before the await: if closing cancels it, the claim is written nevertheless, and must be settled.
        self._known = self._taken = True
        try:
            await self._claim()
        except ClientClosed:
            self._taken = False
            raise closed_too_early() from None
        except Exception:
            self._taken = False
            raise

    async def release(self) -> None:
        """Record that nothing was sent so far. Never raises."""
        if not self._taken or self._in_doubt:
            return
        # Whether it can be written or not, the next attempt claims anew: a failed write may have reached the disk.
        self._taken = False
        try:
            await to_the_end(self._release())
        except (JournalFailed, ClientClosed) as error:
            # It stays claimed, which is safe: after a crash it counts as Unconfirmed although nothing was sent.
            _log.warning("a release could not be written: %s", error)

    def doubt(self) -> None:
        """Note that an attempt may have been processed. From now on the claim is never released."""
        self._in_doubt = True


class PartClaim(SendClaim):
    """The claim of one POST of a campaign."""

    def __init__(self, recorder: Recorder, part: Part) -> None:
        super().__init__()
        self._recorder = recorder
        self._part = part

    def refer(self, chunk: Chunk[Message]) -> Generator[None, None, Chunk[Message]]:
        """Return the chunk as it is sent: with references in it, if the journal wants them. Yields now and then."""
        if not self._recorder.journal.references:
            return chunk
        slices = yield from with_references(chunk.slices, len(chunk.items), self._part.token)
        self._part = evolve(self._part, slices=slices)
        return Chunk(chunk.items, list(slices), chunk.position)

    async def _claim(self) -> None:
        await self._recorder.journal.claim(self._recorder.run, self._part)

    async def _release(self) -> None:
        await self._recorder.journal.release(self._recorder.run, self._part.token)

    async def settle(self, receipts: Receipts) -> None:
        """Record what became of the part, unless it was never claimed and all of it is unsent. Never raises."""
        await to_the_end(self._settle(receipts))

    async def _settle(self, receipts: Receipts) -> None:
        recorder = self._recorder
        marks, results = await in_steps(pack(receipts), recorder.turns)
        if self._known or marks.strip(bytes((Mark.NOT_SENT,))):
            await recorder.settling.settle(lambda: recorder.journal.settle(recorder.run, self._part, marks, results))
