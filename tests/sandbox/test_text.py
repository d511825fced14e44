"""Segments of a text: the known limits, and an independent library's count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smsutil import split

from devino_async.sandbox.text import is_too_long, segment_count


@pytest.mark.parametrize(
    ("text", "segments"),
    [("", 1), ("x" * 160, 1), ("x" * 161, 2), ("x" * 306, 2), ("x" * 307, 3), ("Я" * 70, 1), ("Я" * 71, 2)]
    + [("Я" * 134, 2), ("Я" * 135, 3), ("€" * 80, 1), ("€" * 81, 2), ("`" * 71, 2), ("😀" * 35, 1), ("😀" * 36, 2)]
    + [("x" * 152 + "€" + "x" * 152, 3), ("Я" * 66 + "😀" + "Я" * 66, 3), ("\t" + "x" * 70, 2)],
)
def test_the_known_limits(text: str, segments: int) -> None:
    """A segment holds 160 or 70 characters alone, 153 or 67 in a chain. Some characters count as two."""
    assert segment_count(text) == segments


@pytest.mark.parametrize(("character", "limit"), [("x", 34_170), ("Я", 17_085)])
def test_the_documented_limits(character: str, limit: int) -> None:
    """34,170 Latin characters, or 17,085 others, are the longest text."""
    assert not is_too_long(character * limit)
    assert is_too_long(character * (limit + 1))


@given(
    st.text(st.sampled_from("abcXYZ 019@éñ€{}[]^"), max_size=500) | st.text(st.sampled_from("абвЯ x€"), max_size=500)
)
@settings(deadline=None)
def test_like_another_library(text: str) -> None:
    """The count is smsutil's, with double characters at a seam as well."""
    assert len(split(text).parts) == segment_count(text)
