"""Files of messages: each row becomes a Message, or a problem with its line number.

Rows are read lazily, so a file may have any length or be a pipe. tables.py reads the cells of any kind of file,
columns.py says what a column means, and rows.py makes messages of cells.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import chain
from os import PathLike
from typing import Any, BinaryIO

from ..errors import ConfigurationError
from .columns import checked_mapping
from .file_kinds import EmptyFile
from .rows import Row, RowMaker
from .stop_list import StopList
from .tables import Form, open_table

__all__ = ["Rows", "read_messages"]


class Rows(Iterator[Row]):
    """The rows of a file, read lazily. Each can be read once: one by one, or in runs, which is faster.

    As soon as the first run is read, `header` has the names of the columns, and `recipients_at` the index of that with
    the recipients. Both are None for JSON lines.
    """

    def __init__(self, runs: Iterator[list[Row]]) -> None:
        self._runs = runs
        self.header: Sequence[str] | None = None
        self.recipients_at: int | None = None
        self._run: Iterator[Row] = iter(())

    def __next__(self) -> Row:
        while True:
            for row in self._run:
                return row
            self._run = iter(next(self._runs))

    def runs(self) -> Iterator[list[Row]]:
        """Return the rows that were not read yet, in lists of a few hundred. A pipe may give fewer at a time."""
        # Rows of a run of which one was read by itself must not get lost.
        begun = list(self._run)
        return chain([begun] if begun else [], self._runs)


def read_messages(
    source: str | PathLike[str] | BinaryIO,
    *,
    form: Form | None = None,
    columns: Mapping[str, str] | None = None,
    sender: str | None = None,
    text: str | None = None,
    validity: int | None = None,
    scheduled_time: datetime | None = None,
    priority: str | None = None,
    callback_url: str | None = None,
    time_zone: tzinfo | None = None,
    country: str | None = None,
    encoding: str | None = None,
    sheet: str | int | None = None,
    unique: bool = False,
    sent_before: Iterable[str] = (),
    exclude: StopList | str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    on_note: Callable[[str], object] | None = None,
    keep_cells: bool = False,
) -> Rows:
    """Read the rows of a file. `source` is a path, or a file opened for bytes, which stays open.

    - `form` is the kind of file. None means that it is detected, as for `encoding` and `sheet`.
    - `columns` names the column of a field, such as `{"to": "Phone 2"}`. Field names and usual headers do not need it.
    - `sender`, `text` and the like are for rows without such a cell. `text` may have placeholders, as in `Template`.
      A scheduled time without a zone is read in `time_zone`. Without `time_zone` its row is a bad row.
    - `country` is the country of national numbers, as in normalize_number().
    - `unique` leaves out each row whose number an earlier row has. It takes about 60 bytes of memory for each number.
    - `sent_before` are numbers with a message already, as digits. With `unique` no row of theirs gets another one.
    - `exclude` leaves out the numbers of these files, or of a StopList, which several calls may share.
    - `on_note` is called with what the user should know before the first row, such as a guessed encoding.
    - `keep_cells` gives each row its cells of the file, in the order of the header, or the members of its JSON object.

    Raises ConfigurationError for arguments that no message could have. Reading the first row raises it too, if the
    file cannot be read, or if it is not certain what a column means.
    """
    given: dict[str, Any] = {
        "sender": sender,
        "text": text,
        "validity": validity,
        "scheduled_time": scheduled_time,
        "priority": priority,
        "callback_url": callback_url,
    }
    if not isinstance(time_zone, tzinfo | None):
        raise ConfigurationError("time_zone must be a tzinfo or None")
    if isinstance(exclude, str | PathLike):
        exclude = [exclude]
    if exclude is not None and not isinstance(exclude, StopList):
        exclude = StopList(*exclude, country=country)
    note: Callable[[str], object] = _say_nothing if on_note is None else on_note
    maker = RowMaker(
        {name: value for name, value in given.items() if value is not None},
        columns=checked_mapping(columns),
        country=country,
        time_zone=time_zone,
        unique=unique,
        sent_before=sent_before,
        exclude=exclude,
        on_note=note,
        keep_cells=keep_cells,
    )
    maker.check_defaults()

    def runs() -> Iterator[list[Row]]:
        try:
            table = open_table(source, form=form, encoding=encoding, sheet=sheet)
        except EmptyFile:
            return
        with table:
            for each in table.notes:
                note(each)
            maker.begin(table.header, table.members)
            rows.header, rows.recipients_at = table.header, maker.recipients_at
            for run in table.runs():
                yield maker.rows_of(run)

    rows = Rows(runs())
    return rows


def _say_nothing(note: str) -> None:
    pass
