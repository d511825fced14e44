"""Campaigns: reading the messages of a large campaign from files. The client sends them.

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
from .comparing import Comparison, compare
from .files import Row, describe_reasons, read_messages
from .journal import CampaignState, Journal, Outcome, State
from .sqlite import SQLiteJournal

__all__ = [
    "CampaignBusy",
    "CampaignCancelled",
    "CampaignChanged",
    "CampaignForgotten",
    "CampaignPaused",
    "CampaignState",
    "Comparison",
    "Journal",
    "JournalError",
    "JournalFailed",
    "KeyConflict",
    "Outcome",
    "Row",
    "SQLiteJournal",
    "State",
    "compare",
    "describe_reasons",
    "read_messages",
]
