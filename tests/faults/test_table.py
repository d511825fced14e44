"""The table of faults: each scripted, each with the verdict and the number of tries that it must have."""

import pytest
from certs import Certificates
from fault_check import Row, check, run
from rows_answers import ANSWERS
from rows_contents import CONTENTS
from rows_tls import TLS
from rows_wire import WIRE

ROWS = [*WIRE, *TLS, *ANSWERS, *CONTENTS]

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_row(row: Row, certificates: Certificates) -> None:
    """A send ends as the table says, after as many tries as it says, and never against the ground truth."""
    check(row, await run(row, certificates))


def test_the_table_is_big_enough() -> None:
    """Each name stands once, and there are at least 120 faults."""
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert len(names) >= 120
