"""The seam: calls and answers."""

import pytest

from devino_async.exchange import Answer, Call


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (204, True), (299, True), (300, False)])
def test_ok(status: int, ok: bool) -> None:
    """Every 2xx is ok, nothing else."""
    assert Answer(status=status, body=b"").ok is ok


def test_size() -> None:
    """The size of a call is the bytes of its body over all slices."""
    assert Call(operation="x", method="GET", path="/").size == 0
    assert Call(operation="x", method="POST", path="/", body=(b"ab", b"", b"c")).size == 3
