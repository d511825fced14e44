"""Campaigns that outlive the process: the journal, its errors, and the reading of messages from files.

Import the names of this package from here. Each is loaded when it is first used, so reading a file loads no SQLite.
The client sends campaigns (`send_many(..., campaign=)`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import CampaignBusy as CampaignBusy
    from ..errors import CampaignCancelled as CampaignCancelled
    from ..errors import CampaignChanged as CampaignChanged
    from ..errors import CampaignForgotten as CampaignForgotten
    from ..errors import CampaignPaused as CampaignPaused
    from ..errors import JournalError as JournalError
    from ..errors import JournalFailed as JournalFailed
    from ..errors import KeyConflict as KeyConflict
    from .comparing import Comparison as Comparison
    from .comparing import Recorded as Recorded
    from .comparing import compare as compare
    from .files import Rows as Rows
    from .files import read_messages as read_messages
    from .journal import Journal as Journal
    from .numbers import InvalidNumber as InvalidNumber
    from .numbers import normalize_number as normalize_number
    from .preflight_results import Preflight as Preflight
    from .preflighting import PreflightPass as PreflightPass
    from .preflighting import preflight as preflight
    from .reconcile_report import ReconcileReport as ReconcileReport
    from .rows import Row as Row
    from .rows import describe_reasons as describe_reasons
    from .schedule import Schedule as Schedule
    from .sender_templates import SenderTemplates as SenderTemplates
    from .sender_templates import read_sender_templates as read_sender_templates
    from .sqlite import SQLiteJournal as SQLiteJournal
    from .states import CampaignState as CampaignState
    from .states import ForgottenCampaign as ForgottenCampaign
    from .states import Outcome as Outcome
    from .states import Pruned as Pruned
    from .states import Resolved as Resolved
    from .states import State as State
    from .stop_list import StopList as StopList

# The same names again, for use at run time. A test compares the two lists.
_HOMES = {
    "CampaignBusy": "..errors",
    "CampaignCancelled": "..errors",
    "CampaignChanged": "..errors",
    "CampaignForgotten": "..errors",
    "CampaignPaused": "..errors",
    "JournalError": "..errors",
    "JournalFailed": "..errors",
    "KeyConflict": "..errors",
    "Comparison": ".comparing",
    "Recorded": ".comparing",
    "compare": ".comparing",
    "Row": ".rows",
    "describe_reasons": ".rows",
    "Rows": ".files",
    "read_messages": ".files",
    "CampaignState": ".states",
    "ForgottenCampaign": ".states",
    "Journal": ".journal",
    "InvalidNumber": ".numbers",
    "normalize_number": ".numbers",
    "Outcome": ".states",
    "Pruned": ".states",
    "Resolved": ".states",
    "State": ".states",
    "Preflight": ".preflight_results",
    "PreflightPass": ".preflighting",
    "preflight": ".preflighting",
    "ReconcileReport": ".reconcile_report",
    "StopList": ".stop_list",
    "Schedule": ".schedule",
    "SenderTemplates": ".sender_templates",
    "read_sender_templates": ".sender_templates",
    "SQLiteJournal": ".sqlite",
}


def __getattr__(name: str) -> object:
    if name == "__all__":
        return sorted(_HOMES)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
