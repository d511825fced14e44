"""Magic recipients: the last digits of a number decide what becomes of its messages. This is the only table of them.

The README, `devino sandbox --help` and the inbox page show it.
"""

from attrs import frozen

__all__ = [
    "ANSWER_LOST",
    "FATES",
    "MAGIC_RECIPIENTS",
    "NEVER_REPORTED",
    "REFUSED",
    "SLOW",
    "SLOW_SECONDS",
    "Magic",
    "help_text",
]

REFUSED = "9990001"
NEVER_REPORTED = "9990002"
SLOW = "9990003"
ANSWER_LOST = "9990004"
SLOW_SECONDS = 3


@frozen
class Magic:
    """The last digits of a recipient, what becomes of its messages, and the last status if it is not DELIVERED."""

    ending: str
    means: str
    fate: str | None = None


# The endings of three digits set the last status. Those of seven digits change the call itself. They are long, so
# that running numbers of a load test do not meet them.
MAGIC_RECIPIENTS = (
    Magic("991", "accepted, ends as UNDELIVERABLE", "UNDELIVERABLE"),
    Magic("992", "accepted, ends as EXPIRED, at the end of its validity if it has one", "EXPIRED"),
    Magic("993", "accepted, ends as REJECTED by the operator", "REJECTED"),
    Magic("994", "accepted, ends as UNKNOWN", "UNKNOWN"),
    Magic("995", "accepted, stays SENT for ever", "SENT"),
    Magic("996", "accepted, CLICKED after DELIVERED if links were shortened", "CLICKED"),
    Magic(REFUSED, "rejected in the answer, with to.format.invalid"),
    Magic(NEVER_REPORTED, "DELIVERED, but no status callback is made"),
    Magic(SLOW, f"accepted, answered after {SLOW_SECONDS} seconds"),
    Magic(ANSWER_LOST, "accepted, but the connection closes without an answer"),
)
FATES = {each.ending: each.fate for each in MAGIC_RECIPIENTS if each.fate is not None}


def help_text() -> str:
    """Return the table for a terminal."""
    rows = [(f"...{each.ending}", each.means) for each in MAGIC_RECIPIENTS]
    rows.append(("all others", "accepted, ends as DELIVERED"))
    return "\n".join(f"  {ending:<11} {means}" for ending, means in rows)
