"""One run of a campaign: messages that the journal knows get their recorded receipts, and only the rest is sent.

Each chunk of the input is looked up, in order, before it is sent. So a change in the input is found before anything at
or after the change is sent. What a store must do is in journal.py. How content is recognised is in content.py.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import chain, count, islice

from ..errors import (
    CallFailed,
    CampaignCancelled,
    CampaignChanged,
    ClientClosed,
    DevinoError,
    JournalError,
    JournalFailed,
    OutcomeUnknown,
)
from ..flow.chunking import Chunk
from ..flow.ownership import to_the_end
from ..flow.pipeline import ChunkSource
from ..flow.steps import Turns, in_steps
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.receipt_runs import MixedRun, Receipts
from ..protocol.receipts import NotSent, Receipt, Unconfirmed
from .content import Content
from .fingerprints import Fingerprints
from .journal import Journal
from .looking import Group, Known, Looked, first_difference, found, in_order, stretches, to_send
from .recording import Recorder, Recording, Settling, closed_too_early, elsewhere, is_elsewhere
from .replaying import UNREADABLE, Replays, damaged_results
from .scattered import Scattered
from .states import Run

__all__ = ["CampaignRun", "Send"]

Send = Callable[[Chunk[Message], Recording], Awaitable[tuple[Receipts, DevinoError | None]]]
_RECEIPTS_A_STEP = 128


class CampaignRun:
    """One run, which looks up each chunk of the input in the journal, and gives its receipts."""

    def __init__(self, recorder: Recorder, content: Content | None) -> None:
        self._recorder = recorder
        self._journal, self._run, self._turns = recorder.journal, recorder.run, recorder.turns
        self._content = content
        self._fingerprints = Fingerprints(self._run.secret)
        # With `only_new`, new messages fill the gaps from the lowest, and then take the positions after all recorded
        # ones. A later run that goes by position then meets a difference before it could send any of these messages
        # again.
        self._free = chain(content.gaps() if content is not None else (), count(self._run.recorded))
        self._complete = False
        # What was never claimed has no record, so that the journal cannot tell that it is missing.
        self._some_unsent = False
        self._overtaken_by: DevinoError | None = None
        self._scattered: Scattered | None = None
        self._replays = Replays(self._run.name, self._turns)

    @classmethod
    async def begin(
        cls, journal: Journal, name: str, address: str, *, only_new: bool, settling: Settling, turns: Turns
    ) -> "CampaignRun":
        """Begin a run. Raises CampaignBusy, CampaignPaused, CampaignForgotten, CampaignChanged and JournalFailed."""
        run = await _begun(journal, name, address)
        try:
            content = await Content.of(journal, name) if only_new else None
        except BaseException:
            await journal.end(run, complete=False)
            raise
        return cls(Recorder(journal, run, settling, turns), content)

    @property
    def name(self) -> str:
        """The name of the campaign."""
        return self._run.name

    async def end(self) -> None:
        """End the run, so that another one may begin. Call it once nothing of this run is in flight. Never raises."""
        complete = self._complete and not self._some_unsent
        await self._recorder.settling.settle(lambda: self._journal.end(self._run, complete=complete))

    def groups(self, chunks: ChunkSource[Message], *, max_count: int, max_bytes: int, max_span: int) -> "Groups":
        """Return the chunks of an input, gathered into groups that have enough to send."""
        return Groups(self, chunks, max_count=max_count, max_bytes=max_bytes, max_span=max_span)

    def input_ended(self, count: int) -> None:
        """Note that the input had `count` messages. Raises CampaignChanged if more were recorded."""
        if self._content is None and count < self._run.recorded:
            raise CampaignChanged(count, "shorter")
        self._complete = True

    async def look(self, chunk: Chunk[Message]) -> Looked:
        """Return a chunk with what the journal knows of it. Call it for one chunk at a time, in order."""
        fingerprints = await in_steps(self._fingerprints.of_all(chunk.items), self._turns)
        known: list[Known] = []
        if self._content is None:
            positions: Sequence[int] = range(chunk.position, chunk.position + len(chunk.items))
            wanted = positions
        else:
            matched = await in_steps(self._content.match_in_steps(fingerprints), self._turns)
            positions = self._placed(matched)
            await self._turns.give()
            wanted = matched if (there := in_order(matched)) is None else there
        if not isinstance(wanted, range):
            known = [await self._scattered_record(wanted)]
        elif wanted and wanted[0] < self._run.recorded:
            records = await self._journal.records(self._run.name, wanted[0], wanted[-1] + 1)
            known = await in_steps(found(wanted, records), self._turns)
        end, problem = len(chunk.items), None
        if self._content is None and (place := first_difference(known, fingerprints)) is not None:
            end, problem = place, CampaignChanged(positions[place], "message")
        return Looked(
            chunk.items, chunk.slices, chunk.position, positions, fingerprints, known, end=end, problem=problem
        )

    def _placed(self, matched: Sequence[int]) -> Sequence[int]:
        placed = [next(self._free) if position < 0 else position for position in matched]
        return placed if (there := in_order(placed)) is None else there

    async def _scattered_record(self, wanted: Sequence[int]) -> Known:
        """Return what is recorded at these positions, which are not in order, as if one part held it."""
        try:
            if self._scattered is None:
                self._scattered = await Scattered.of(self._journal, self._run.name, self._turns)
            record = await in_steps(self._scattered.record(wanted, secrets.token_hex(8)), self._turns)
        except UNREADABLE:
            raise damaged_results(self._run.name) from None
        return Known(0, len(wanted), record, 0)

    async def finish(self, chunk: Chunk[Message], send: Send) -> tuple[Receipts, DevinoError | None]:
        """Send what may be sent of a group, and return a receipt for each of its messages, in order.

        The error, if there is one, ends the run.
        """
        group = chunk.looked if isinstance(chunk, Group) else ()
        problem = group[-1].problem
        [first, *others] = group
        if not others and first.unsent == len(first.items) and not self._run.cancelled:
            recording = self._recording(first.positions, first.fingerprints)
            receipts, fatal = await send(Chunk(first.items, first.slices), recording)
            return await self._after(receipts, fatal), fatal
        messages, positions, fingerprints = await in_steps(to_send(group), self._turns)
        sent, fatal = Receipts(), None
        if messages:
            sent, fatal = await self._send(messages, self._recording(positions, fingerprints), send)
            sent = await self._after(sent, fatal)
        receipts, damage = await self._joined(group, iter(sent))
        for each in group:
            if each.problem is not None and each.end < len(each.items):
                receipts.extend(self.unlooked(each.items[each.end :], str(each.problem)))
        return receipts, fatal or problem or damage

    async def _after(self, receipts: Receipts, fatal: DevinoError | None) -> Receipts:
        """Return the receipts of what was sent.

        If another run has taken over, it may have sent what this one did not. So nothing is NotSent then.
        """
        self._some_unsent |= receipts.counts[NotSent] > 0 or fatal is not None
        if fatal is None or not is_elsewhere(fatal):
            return receipts
        self._overtaken_by, error, after = fatal, elsewhere(fatal), Receipts()
        for some in receipts.take():
            after.ready([Unconfirmed(each.message, error) if isinstance(each, NotSent) else each for each in some])
            await self._turns.give()
        return after

    async def _joined(self, group: Sequence[Looked], sent: Iterator[Receipt]) -> tuple[Receipts, JournalFailed | None]:
        """Join the receipts of what was sent now with the recorded ones, in order. Return what was damaged, too."""
        receipts, damage = Receipts(), None
        for each in group:
            # The receipts of short stretches, and where the first of them begins. Thousands of short runs would be more
            # live objects than the garbage collector can look at in a few milliseconds.
            few: list[Receipt] = []
            began = 0
            for start, stop, known in stretches(each):
                is_short = stop - start < _RECEIPTS_A_STEP
                if few and (not is_short or len(few) >= _RECEIPTS_A_STEP):
                    _add_again(few, each.items[began:start], receipts)
                    few = []
                    await self._turns.give()
                into = Receipts() if is_short else receipts
                if known is not None:
                    place = known.offset + start - known.at
                    wrong = await self._replays.add(known.record, place, each.items[start:stop], into)
                    damage = wrong or damage
                else:
                    for at in range(start, stop, _RECEIPTS_A_STEP):
                        into.ready(list(islice(sent, min(_RECEIPTS_A_STEP, stop - at))))
                        if not is_short:
                            await self._turns.give()
                if is_short:
                    began = began if few else start
                    few += into
            if few:
                _add_again(few, each.items[began : each.end], receipts)
        self._replays.forget_old()
        return receipts, damage

    def unlooked(self, messages: Sequence[Message], why: str) -> Receipts:
        """Return the receipts of messages that were read, but neither found in the journal nor proved to be new.

        An earlier run may have sent them, wherever they stood in its input. So they are Unconfirmed if there was one,
        or if another run has taken over.
        """
        if self._overtaken_by is not None:
            error: CallFailed = elsewhere(self._overtaken_by)
        elif self._run.recorded:
            error = OutcomeUnknown(
                f"{why}. It was not looked up whether an earlier run sent this message",
                operation=sending.ENDPOINT.operation,
                attempts=0,
            )
        else:
            error = sending.never_begun(why)
        return sending.receipts_after(error, messages)

    async def _send(
        self, messages: Sequence[Message], recording: Recording, send: Send
    ) -> tuple[Receipts, DevinoError | None]:
        if not self._run.cancelled:
            return await send(
                Chunk(messages, await in_steps(sending.encode_in_steps(messages), self._turns)), recording
            )
        error = sending.never_begun("the campaign was cancelled")
        error.__cause__ = CampaignCancelled(f"the campaign {self._run.name!r} was cancelled")
        return sending.receipts_after(error, messages), None

    def _recording(self, positions: Sequence[int], fingerprints: bytes) -> Recording:
        return Recording(self._recorder, positions, fingerprints)


def _add_again(few: Sequence[Receipt], messages: Sequence[Message], receipts: Receipts) -> None:
    """Add receipts as plain values. The receipts are made again when they are taken."""
    run = MixedRun(messages)
    for each in few:
        run.append(each)
    receipts.mixed(run)


async def _begun(journal: Journal, name: str, address: str) -> Run:
    """Begin a run. If this task is cancelled meanwhile, end the run again.

    Otherwise the run would not be ended, and its name would stay taken.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()

    def check_cancelled() -> None:
        # `to_the_end` does not raise it, whatever becomes of the work.
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError

    try:
        run = await to_the_end(journal.begin(name, address))
    except DevinoError:
        check_cancelled()
        raise
    try:
        check_cancelled()
    except asyncio.CancelledError:
        await to_the_end(journal.end(run, complete=False))
        raise
    return run


class Groups:
    """The chunks of an input in groups, each with enough to send for a batch, or with nothing to send.

    It has the interface of Chunks, so that a pipeline can read it. Messages that earlier runs did not send may be
    scattered. They are gathered from up to `max_span` positions, because a POST for each chunk would be small. A batch
    has up to `max_count` messages and about `max_bytes` bytes.
    """

    def __init__(
        self, run: CampaignRun, chunks: ChunkSource[Message], *, max_count: int, max_bytes: int, max_span: int
    ) -> None:
        self._run = run
        self._chunks = chunks
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_span = max_span
        self._held: list[Chunk[Message]] = []
        self._stopped = False

    def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        self._chunks.stop()

    def take_left(self) -> list[Message]:
        """Remove and return the messages that were read but not yielded."""
        held, self._held = self._held, []
        return [message for chunk in held for message in chunk.items] + self._chunks.take_left()

    async def __aiter__(self) -> AsyncIterator[Group]:
        read = 0
        group: list[Looked] = []
        failure: Exception | None = None
        try:
            async for chunk in self._chunks:
                read += len(chunk.items)
                # The reading task may be cancelled at any await from here on. `take_left` then finds the chunk here.
                self._held.append(chunk)
                looked = await self._looked(chunk)
                if group and self._is_full([*group, looked], over=True):
                    yield self._taken(group)
                    group = []
                group.append(looked)
                if looked.problem is not None or self._is_full(group):
                    yield self._taken(group)
                    group = []
                if looked.problem is not None:
                    return
        except Exception as error:  # noqa: BLE001 - raised again below, after what was read before it
            failure = error
        if group:
            yield self._taken(group)
        if failure is not None:
            raise failure
        if not self._stopped:
            self._run.input_ended(read)

    def _is_full(self, group: list[Looked], *, over: bool = False) -> bool:
        """Return whether a group must be sent now or, with `over`, holds more than one batch may hold."""
        unsent = sum(each.unsent for each in group)
        size = sum(each.size * each.unsent // len(each.items) for each in group)
        if over:
            return unsent > self._max_count or size > self._max_bytes
        span = sum(len(each.items) for each in group)
        return not unsent or unsent >= self._max_count or size >= self._max_bytes or span >= self._max_span

    async def _looked(self, chunk: Chunk[Message]) -> Looked:
        try:
            return await self._run.look(chunk)
        except (JournalError, ClientClosed) as error:
            problem = closed_too_early() if isinstance(error, ClientClosed) else error
            return Looked(chunk.items, chunk.slices, chunk.position, problem=problem)

    def _taken(self, group: list[Looked]) -> Group:
        del self._held[: len(group)]
        return Group.of(group)
