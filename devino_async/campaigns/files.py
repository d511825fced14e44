"""Files of messages: each row becomes a Message, or a problem with its line number.

Rows are read lazily, so a file may have any length or be a pipe. What a file is and what its cells are is in tables.py,
what a column means in columns.py, and how cells become a message in rows.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
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
    """The rows of a file, read lazily. They can be read once: one by one, or in runs, which is faster.

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
        """Yield the rows in lists of a few hundred. A pipe may give fewer at a time."""
        return self._runs


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
    exclude: StopList | str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    on_note: Callable[[str], object] | None = None,
    keep_cells: bool = False,
) -> Rows:
    """Read the rows of a file. `source` is a path, or a file opened for bytes, which stays open.

    - `form` is the kind of file. If it is None, the first bytes decide. `encoding` and `sheet` are decided likewise.
    - `columns` names the column of a field, such as `{"to": "Phone 2"}`. Fields and usual headers need no naming.
    - `sender`, `text` and the like are for rows without such a cell. `text` may have placeholders, as in `Template`.
      A scheduled time without a zone is read in `time_zone`. Without that its row is a problem.
    - `country` is the country of national numbers, as in normalize_number().
    - `unique` leaves out each row whose number an earlier row has. It takes about 60 bytes of memory for a number.
    - `exclude` leaves out the numbers of these files, or of a StopList, which several readings may share.
    - `on_note` is called with what a person should know before the first row, such as a guessed encoding.
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
            maker.begin(table.header)
            rows.header, rows.recipients_at = table.header, maker.recipients_at
            for run in table.runs():
                yield maker.rows_of(run)

    rows = Rows(runs())
    return rows


def _say_nothing(note: str) -> None:
    pass
