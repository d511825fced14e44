"""The status of a message: a pure function of its start, its fate, its lifetime and the time.

There are no timers and no stored state. The rule is written twice, as SQL for queries over many messages and as
Python for the callbacks of one message. A test compares the two. The recipient's last three digits decide the fate, by
the table in recipients.py.
"""

from .recipients import FATES

__all__ = ["EVENT_TIME", "STATUS", "fate_of", "history"]

# A message stays :stage seconds in each status. Every query is given :now and :stage.
# `lifetime` is 0 unless the message expires at the end of its validity.
STATUS = """CASE
    WHEN :now < starts THEN 'SCHEDULED'
    WHEN lifetime > 0 AND :now >= starts + lifetime THEN fate
    WHEN :now < starts + :stage THEN 'ACCEPTED'
    WHEN :now < starts + 2 * :stage THEN 'ENROUTE'
    WHEN lifetime > 0 OR fate = 'SENT' OR :now < starts + 3 * :stage THEN 'SENT'
    WHEN fate = 'CLICKED' AND :now < starts + 4 * :stage THEN 'DELIVERED'
    ELSE fate END"""
EVENT_TIME = """CASE
    WHEN :now < starts THEN accepted
    WHEN lifetime > 0 AND :now >= starts + lifetime THEN starts + lifetime
    WHEN :now < starts + :stage THEN starts
    WHEN :now < starts + 2 * :stage THEN starts + :stage
    WHEN lifetime > 0 OR fate = 'SENT' OR :now < starts + 3 * :stage THEN starts + 2 * :stage
    WHEN fate = 'CLICKED' AND :now >= starts + 4 * :stage THEN starts + 4 * :stage
    ELSE starts + 3 * :stage END"""


def fate_of(recipient: str, shortened: bool) -> str:
    """Return the last status of a message, which its recipient's last digits decide."""
    fate = FATES.get(recipient[-3:], "DELIVERED")
    return "DELIVERED" if fate == "CLICKED" and not shortened else fate


def history(accepted: float, starts: float, fate: str, lifetime: int, stage: float) -> list[tuple[float, str]]:
    """Return all statuses of a message in order, each with the moment at which it begins."""
    steps = [(starts, "ACCEPTED"), (starts + stage, "ENROUTE"), (starts + 2 * stage, "SENT")]
    if lifetime:
        ends = starts + lifetime
        steps = [(moment, status) for moment, status in steps if moment < ends] + [(ends, fate)]
    elif fate == "CLICKED":
        steps += [(starts + 3 * stage, "DELIVERED"), (starts + 4 * stage, "CLICKED")]
    elif fate != "SENT":
        steps.append((starts + 3 * stage, fate))
    return [(accepted, "SCHEDULED"), *steps] if starts > accepted else steps
