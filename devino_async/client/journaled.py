"""Journaled: what only a client with a journal does. Runs of campaigns and keyed sends begin here.

What the journal holds, and what that means, is in campaigns/. Without a journal this file is not imported.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from ..campaigns.campaign import CampaignRun
from ..campaigns.journal import Journal
from ..campaigns.keys import KeyedRecording, KeyedSends, Put, Recorded
from ..campaigns.reconcile_report import ReconcileReport
from ..campaigns.reconciling import Reconciling
from ..campaigns.recording import Settling
from ..campaigns.states import KeyedSend
from ..checks import require_kind
from ..errors import CampaignBusy, ConfigurationError
from ..flow.steps import Turns
from ..protocol.message import Message
from ..protocol.receipts import Receipt
from .lookups import LookUps

__all__ = ["Journaled"]

_PORTS = {"http": 80, "https": 443}
_MAX_NAME = 255


class Journaled:
    """The journal of one client, with the keys and campaigns that it is sending."""

    def __init__(self, journal: Journal, base_url: str, turns: Turns, total_for: Callable[[int], float]) -> None:
        if not callable(getattr(journal, "claim_keys", None)):
            raise ConfigurationError(f"journal must be a SQLiteJournal or the like, not {type(journal).__name__}")
        self._journal = journal
        self._turns = turns
        self._total_for = total_for
        self._address = address_of(base_url)
        self._settling = Settling()
        # The campaigns with an open stream, those whose run is ending, and how many runs have ended.
        self._open: set[str] = set()
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._ended = 0
        self._keyed = KeyedSends(journal, self._address, self._settling, turns, total_for=total_for)

    def campaign(self, name: str, *, only_new: bool) -> Callable[[], Awaitable[CampaignRun]]:
        """Return a function that begins a run of this campaign. Raises ConfigurationError for a bad name."""
        require_kind("campaign", name, str)
        require_kind("only_new", only_new, bool)
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            raise ConfigurationError(f"campaign must be a str of 1 to {_MAX_NAME} printable characters")
        return partial(self._begin, name, only_new)

    async def _begin(self, name: str, only_new: bool) -> CampaignRun:
        """Begin a run, once the one that was left early has ended. Raises CampaignBusy if another run is under way."""
        while True:
            ended = self._ended
            try:
                run = await CampaignRun.begin(
                    self._journal, name, self._address, only_new=only_new, settling=self._settling, turns=self._turns
                )
            except CampaignBusy:
                # Check only now. If the caller left a stream with `break`, the event loop has closed it meanwhile.
                if name in self._open:
                    raise CampaignBusy(
                        f"this client is sending the campaign {name!r} in another stream. Read that stream to its end, "
                        "or leave it with contextlib.aclosing, before the campaign is run again"
                    ) from None
                if name in self._ending:
                    await asyncio.wait({self._ending[name]})
                elif self._ended == ended:
                    raise
            else:
                self._open.add(name)
                return run

    def ends(self, name: str, ending: "asyncio.Task[None]") -> None:
        """Note that the stream of a campaign is closed, and that this task ends its run."""

        def has_ended(_: object) -> None:
            # If the ends of two runs overlap, the later one is waited for.
            if self._ending.get(name) is ending:
                del self._ending[name]
            self._ended += 1

        self._open.discard(name)
        self._ending[name] = ending
        ending.add_done_callback(has_ended)

    async def send(self, message: Message, key: str, put: Put) -> Receipt:
        """Send one message under a key. `put` sends it like one without a key, and returns its receipt."""
        return await self._keyed.send(message, key, put)

    def recording(self, sends: Sequence[KeyedSend]) -> KeyedRecording:
        """Return the recording of a batch of keyed sends."""
        return KeyedRecording(self._keyed, sends)

    async def reconcile(self, campaign: str | None, key: str | None, look_ups: LookUps) -> ReconcileReport:
        """Look up messages in doubt, of a campaign, a key, or all keyed sends, and settle those that are found."""
        if campaign is not None and key is not None:
            raise ConfigurationError("reconcile takes a campaign or a key, not both")
        reconciling = Reconciling(
            self._journal,
            self._address,
            look_ups.pages,
            turns=self._turns,
            total_for=self._total_for,
            has_zone=look_ups.has_zone,
        )
        return await reconciling.run(campaign, key)

    def is_receipt(self, receipt: Receipt) -> bool:
        """Return whether this is a receipt, and not the sign that another process is sending the key."""
        return not isinstance(getattr(receipt, "error", None), Recorded)

    def close(self) -> None:
        """Stop waiting for other processes."""
        self._keyed.close()

    async def aclose(self) -> None:
        """Write what could not be written so far. Raises JournalFailed if that fails again."""
        await self._settling.aclose()


def address_of(base_url: str) -> str:
    """Return the scheme, host and port of a service. Each campaign and key belongs to one such address."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
