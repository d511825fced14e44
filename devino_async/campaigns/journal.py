"""The journal: what outlives a process. This is what a store of it must do.

Stores such as sqlite.py keep parts and keys and decide nothing. campaign.py and keys.py know which message is which.
What the states mean is in states.py.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from .evidence import Evidence
from .states import (
    CampaignState,
    ForgottenCampaign,
    How,
    KeyedSend,
    KeyRecord,
    Outcome,
    Part,
    Pruned,
    Record,
    Resolved,
    Run,
    State,
)

__all__ = ["Journal"]


class Journal(Protocol):
    """A durable store of campaigns and keyed sends, for many tasks and processes.

    When a method returns, what it wrote is on disk. If the store fails, a method raises JournalFailed, which says what
    to do next. After the store was closed, it raises ClientClosed.
    """

    @property
    def references(self) -> bool:
        """Whether messages with a callback address are sent with an option that names them in callbacks."""
        ...

    @property
    def evidence(self) -> Evidence:
        """What reconciling needs of this journal."""
        ...

    # Runs of campaigns

    async def begin(self, name: str, address: str, *, path: str | None = None, output: str | None = None) -> Run:
        """Begin the only run of a campaign. If there is no campaign of this name, create it.

        `path` and `output` are recorded for the next run. None keeps what an earlier run recorded.
        Parts that a dead process had claimed become unconfirmed. Raises CampaignBusy, CampaignPaused,
        CampaignForgotten, and CampaignChanged(reason="address"). A run of a cancelled campaign may begin: it replays
        what is recorded, but its claims raise CampaignCancelled.
        """
        ...

    async def end(self, run: Run, *, complete: bool) -> None:
        """End a run. `complete` says that the input was read to its end, which is remembered for good."""
        ...

    async def records(self, name: str, start: int, stop: int) -> Sequence[Record]:
        """Return the parts with an unmoved message at `start` <= position < `stop`, sorted by first position."""
        ...

    async def recorded(self, name: str) -> int:
        """Return one more than the highest position of this campaign in the journal, or 0."""
        ...

    async def claim(self, run: Run, part: Part) -> None:
        """Record that a part is being sent. If it was released before, claim it again.

        In the same transaction its messages move here from earlier parts. Raises SentBefore if one of them may not be
        sent (see MAY_BE_SENT), CampaignBusy if another run has taken over, and CampaignPaused or CampaignCancelled. If
        it raises, nothing is recorded.
        """
        ...

    async def release(self, run: Run, token: str) -> None:
        """Record that nothing of a claimed part was sent."""
        ...

    async def settle(self, run: Run, part: Part, marks: bytes, results: bytes) -> None:
        """Record what became of a part, by the rule of `settled`. A part that was never claimed is recorded too.

        The text of each message is deleted as soon as the message is neither in doubt nor unsent. If messages of the
        part have moved to another and this answer accepts them, they were sent twice. The answer is kept as evidence.
        """
        ...

    # Keys

    async def find_keys(self, keys: Sequence[str]) -> Mapping[str, KeyRecord]:
        """Return what is known about these keys. A key that a dead process had claimed is unconfirmed."""
        ...

    async def claim_keys(
        self, token: str, address: str, sends: Sequence[KeyedSend], until: float, *, shortened: bool = False
    ) -> Mapping[str, KeyRecord]:
        """Record in one transaction that these are being sent, and return an empty mapping. `shortened` is as in Part.

        If any of the keys has a record in another state than planned or not sent, claim none of them and return these
        records instead. Keys that the same token has claimed already may be claimed again.
        """
        ...

    async def release_keys(self, token: str) -> None:
        """Record that nothing was sent of what this token claimed."""
        ...

    async def settle_keys(self, token: str, outcomes: Mapping[str, tuple[State, bytes]]) -> None:
        """Record the state and the results of each of these keys that this token claimed."""
        ...

    async def secret(self) -> bytes:
        """Return the random key of this journal's fingerprints. It has 32 bytes."""
        ...

    # What a person decides. Each raises JournalError for a campaign or a key that the journal does not know.

    async def pause(self, name: str) -> None:
        """Let no further batch of a campaign begin, in any process, until `unpause`."""
        ...

    async def unpause(self, name: str) -> None:
        """Let a paused campaign go on. Run it again to send the rest."""
        ...

    async def cancel(self, name: str) -> None:
        """End a campaign for good. Its runs give the recorded receipts, and NotSent for everything else."""
        ...

    async def resolve(self, name: str, how: How, positions: Collection[int] | None = None) -> Resolved:
        """Decide about the unconfirmed messages of a campaign, all of them or those at these positions.

        With "resend" the next run sends them. Messages whose batch is proved to have arrived are passed over, unless
        `positions` names them. With "assume_sent" they count as sent, and their receipts stay Unconfirmed.
        """
        ...

    async def resolve_key(self, key: str, how: How) -> bool:
        """Decide about an unconfirmed key. Returns False if it is not unconfirmed. With "resend" it is free again."""
        ...

    async def reopen(self, name: str, reasons: Collection[str]) -> int:
        """Let the next run send rejected messages again that have one of these reasons. Returns how many there are."""
        ...

    async def forget(self, name: str, even_unconfirmed: bool = False) -> int:
        """Delete all that is known of the messages of a campaign. Returns how many there were.

        The name, the address, the count and the moment stay, and a run of that name raises CampaignForgotten. Raises
        JournalError while messages are unconfirmed, unless `even_unconfirmed`, and CampaignBusy during a run.
        """
        ...

    async def prune(self, older_than: timedelta) -> Pruned:
        """Forget finished campaigns and delete settled keys that have not changed for this long.

        A key that was pruned sends again if it is used again.
        """
        ...

    # Looking

    async def campaigns(self) -> tuple[CampaignState, ...]:
        """Return all campaigns, the oldest first. Forgotten ones are not among them."""
        ...

    async def forgotten(self) -> tuple[ForgottenCampaign, ...]:
        """Return what stays of the campaigns that were forgotten, the oldest first."""
        ...

    def outcomes(self, name: str) -> AsyncIterator[Outcome]:
        """Yield what became of each message of a campaign, sorted by position."""
        ...

    def keys(self, state: State | str | None = None) -> AsyncIterator[Outcome]:
        """Yield what became of each keyed send, sorted by key. `state` limits it to those in one state.

        Raises JournalError if keys are pruned meanwhile, because their outcomes would be missing.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun, and close the store."""
        ...
