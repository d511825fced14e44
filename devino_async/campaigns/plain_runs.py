"""Plain runs: rows with nothing unusual become messages all at once, in half the time of single rows.

The checks are those of Message, on a whole run at once. If a run does not pass, rows.py makes it row by row. A property
test checks that the outcome is the same.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import repeat

from attrs import frozen

from ..protocol.message import NOTHING_MORE, SURELY_SHORT, Message, encodable, made_again
from ..protocol.placeholders import Placeholder, all_filled
from .digits import Normalizer

__all__ = ["PlainRuns"]

# Whatever the country, these are already normalized. For numbers of other countries that is not certain.
_NORMALIZED = re.compile(r"(?:[71][0-9]{10}\n)*", re.ASCII)


@frozen(kw_only=True)
class PlainRuns:
    """How to make messages of rows that have no other fields than a sender, a recipient and a text.

    `to`, `sender_at` and `text_at` are indexes of columns. `filling` is the text for all rows, with a `%s` for the cell
    of each column in `filled_from`.
    """

    to: int
    normalize: Normalizer
    is_international: bool
    sender: str | None
    sender_at: int | None
    text_at: int | None
    filling: str
    filled_from: Sequence[int]

    @classmethod
    def of(
        cls,
        fields: Mapping[str, int],
        filling: Sequence[str | tuple[Placeholder, int | None]],
        normalize: Normalizer,
        country: str | None,
        sender: str | None,
    ) -> "PlainRuns | None":
        """Return how to make messages of a whole run, or None if the rows are not simple enough for that."""
        values = [each for each in filling if not isinstance(each, str)]
        at = [index for _, index in values if index is not None]
        if (
            "to" not in fields
            or len(at) < len(values)
            or any(placeholder.format for placeholder, _ in values)
            or (sender is not None and not sender.isalnum())
        ):
            return None
        return cls(
            to=fields["to"],
            normalize=normalize,
            is_international=country is None,
            sender=sender,
            sender_at=fields.get("sender"),
            text_at=fields.get("text"),
            filling="".join(each.replace("%", "%%") if isinstance(each, str) else "%s" for each in filling),
            filled_from=at,
        )

    def messages(self, run: Sequence[Sequence[str]]) -> tuple[list[Message], list[str]] | None:
        """Return the messages of rows, and the recipients as written, or None if any of the rows is unusual."""
        written = [cells[self.to] for cells in run]
        tos = written
        if not self.is_international or not _NORMALIZED.fullmatch("\n".join([*written, ""])):
            normalized = list(map(self.normalize, written))
            if any(problem is not None for _, problem in normalized):
                return None
            tos = [digits for digits, _ in normalized]
        texts = self._texts(run)
        senders = self._senders(run)
        if texts is None or senders is None:
            return None
        return made_again(senders, tos, texts, repeat(NOTHING_MORE, len(run))), written

    def _texts(self, run: Sequence[Sequence[str]]) -> list[str] | None:
        if self.text_at is not None:
            at = self.text_at
            texts = [cells[at] for cells in run]
            is_filled = all_filled(texts)
        else:
            columns = [[cells[at] for cells in run] for at in self.filled_from]
            is_filled = all(map(all_filled, columns))
            filling = self.filling
            texts = (
                [filling % values for values in zip(*columns, strict=True)] if columns else [filling % ()] * len(run)
            )
        if not is_filled or max(map(len, texts)) > SURELY_SHORT or not encodable("".join(texts)):
            return None
        return texts

    def _senders(self, run: Sequence[Sequence[str]]) -> list[str] | None:
        if self.sender_at is None:
            return None if self.sender is None else [self.sender] * len(run)
        at = self.sender_at
        senders = [cells[at] for cells in run]
        return senders if all(map(str.isalnum, senders)) else None
