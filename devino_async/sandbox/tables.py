"""The tables that the inbox reads, beside those of store.py. Triggers keep them in step with the messages.

A phone's row is written by sqlite itself, in the transaction of its message, so the inbox never counts all messages.
The phone with the highest `turn` is the newest, because many messages can have the same moment.
"""

__all__ = ["INBOX_TABLES", "MAX_REJECTED"]

# Rejected messages are kept for the inbox alone: the newest ones are enough.
MAX_REJECTED = 10_000
# The characters of the last text in the list of phones.
_EXCERPT = 120


def _told(event: str, phone: str, moment: str, text: str, unread: int) -> str:
    """Return a trigger that enters one new line of a conversation in the row of its phone."""
    return f"""CREATE TRIGGER IF NOT EXISTS {event}_added AFTER INSERT ON {event} BEGIN
        INSERT INTO phone (number, turn, moment, text, entries, unread)
        VALUES (new.{phone}, (SELECT coalesce(max(turn), 0) + 1 FROM phone), new.{moment},
            substr(new.{text}, 1, {_EXCERPT}), 1, {unread})
        ON CONFLICT (number) DO UPDATE SET turn = excluded.turn, moment = excluded.moment, text = excluded.text,
            entries = entries + 1, unread = unread + {unread};
        END;"""  # noqa: S608 - constants


def _forgotten(event: str, phone: str) -> str:
    """Return a trigger that takes one line of a conversation out of the row of its phone."""
    return f"""CREATE TRIGGER IF NOT EXISTS {event}_deleted AFTER DELETE ON {event} BEGIN
        UPDATE phone SET entries = entries - 1, unread = min(unread, entries - 1) WHERE number = old.{phone};
        DELETE FROM phone WHERE number = old.{phone} AND entries <= 0;
        END;"""  # noqa: S608 - constants


INBOX_TABLES = f"""
CREATE TABLE IF NOT EXISTS phone (
    number TEXT PRIMARY KEY, turn INTEGER, moment REAL, text TEXT, entries INTEGER, unread INTEGER);
CREATE INDEX IF NOT EXISTS phone_turn ON phone (turn);
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY, moment REAL, phone TEXT, sender TEXT, text TEXT, reasons TEXT);
CREATE INDEX IF NOT EXISTS rejected_phone ON rejected (phone, moment);
CREATE TABLE IF NOT EXISTS attempt (message INTEGER, status TEXT, moment REAL, answer TEXT);
CREATE INDEX IF NOT EXISTS attempt_message ON attempt (message);
CREATE INDEX IF NOT EXISTS reply_phone ON reply (phone, moment);
{_told("message", "recipient", "accepted", "text", 1)}
{_told("rejected", "phone", "moment", "text", 1)}
{_told("reply", "phone", "moment", "text", 0)}
{_forgotten("message", "recipient")}
{_forgotten("rejected", "phone")}
{_forgotten("reply", "phone")}
"""
