"""The lab itself is tested: it must find out a journal whose rules are broken, or it would prove nothing."""

import sys
from pathlib import Path

import pytest
from controls import CONTROLS, UNCHANGED, Control, changed, found_out
from power_cut import CC

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the lab needs Linux")
# The others are tried by controls.py.
NAMED = ("the claim comes after the POST", "commits do not wait for the disk", "what is in doubt is sent again")


@pytest.mark.parametrize("control", [each for each in CONTROLS if each.why in NAMED], ids=lambda each: each.why)
def test_broken_rules(control: Control) -> None:
    """A claim after the POST, commits that do not wait for the disk, and repeats of what is in doubt are found out."""
    if control.way == "power cut" and CC is None:
        pytest.skip("needs a C compiler")
    assert found_out(control)


def test_nothing_broken() -> None:
    """A copy in which nothing was changed passes."""
    assert not found_out(UNCHANGED)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda each: each.why)
def test_controls_still_apply(control: Control, tmp_path: Path) -> None:
    """Each control breaks a text that is in the code, just once."""
    changed(control, tmp_path)
