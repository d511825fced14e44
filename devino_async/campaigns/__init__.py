"""Campaigns: reading the messages of a large campaign from files, and the journal that outlives a crash.

Import the names of this package from here.
"""

from ..errors import (
    CampaignBusy,
    CampaignCancelled,
    CampaignChanged,
    CampaignForgotten,
    CampaignPaused,
    JournalError,
    JournalFailed,
    KeyConflict,
)
from .files import Row, describe_reasons, read_messages
from .journal import CampaignState, Outcome
from .sqlite import SQLiteJournal

__all__ = [
    "CampaignBusy",
    "CampaignCancelled",
    "CampaignChanged",
    "CampaignForgotten",
    "CampaignPaused",
    "CampaignState",
    "JournalError",
    "JournalFailed",
    "KeyConflict",
    "Outcome",
    "Row",
    "SQLiteJournal",
    "describe_reasons",
    "read_messages",
]
