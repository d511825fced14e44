"""The same table on uvloop, where it is installed: its sockets fail with other exceptions, in another order."""

import asyncio

import pytest
from certs import Certificates
from fault_check import Row, check, run
from rows_answers import ANSWERS
from rows_contents import CONTENTS
from rows_tls import TLS
from rows_wire import WIRE

uvloop = pytest.importorskip("uvloop")

# What is said in a whole answer does not depend on the loop: a few of those are enough.
ROWS = [*WIRE, *TLS, *ANSWERS, *CONTENTS[::8]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_on_uvloop(row: Row, certificates: Certificates) -> None:
    """A send ends as the table says on uvloop too."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        check(row, runner.run(run(row, certificates)))
