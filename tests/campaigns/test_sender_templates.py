"""Templates of a sender: what matches them, what cannot be read, and that no text makes matching slow."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError
from devino_async.campaigns import SenderTemplates, read_sender_templates
from devino_async.campaigns import sender_templates as module

CODE = "Ваш код %d{4} для входа на %w. Никому его не сообщайте"


@pytest.mark.parametrize(
    ("template", "good", "bad"),
    [
        (CODE, ["Ваш код 1234 для входа на shop.ru. Никому его не сообщайте"],
         ["Ваш код 123 для входа на shop.ru. Никому его не сообщайте",
          "ваш код 1234 для входа на a. Никому его не сообщайте",
          "Ваш код 1234 для входа на a b. Никому его не сообщайте",
          "Ваш код 1234 для входа на a. Никому его не сообщайте!"]),
        ("%w{1,3}, order %d+ is ready",
         ["Anna, order 5 is ready", "Anna Maria Lee, order 123456789 is ready"],
         ["Anna Maria Lee Roy, order 5 is ready", ", order 5 is ready", "Anna, order  is ready",
          "Anna, order 5a is ready"]),
        ("%w+", ["one", "one two three", "1 2"], ["", " one", "one "]),
        ("%w{2}", ["one two", "one  two", "one\ntwo"], ["one", "one two three"]),
        ("%d", ["1"], ["", "12", "a", "²", "١"]),
        ("%d{2,3}", ["12", "123"], ["1", "1234"]),
        ("100% cotton, 50%", ["100% cotton, 50%"], ["100 cotton, 50"]),
        ("a.b*(c)", ["a.b*(c)"], ["aXb(c)"]),
        (r"one\ntwo", ["one\ntwo"], ["one two"]),
        ("%w+aa", ["aaa", "baaaa", "b aaa"], ["aa", "aab"]),
        ("%w+" + "a" * 70, ["a" * 71, "b" + "a" * 90, "a b" + "a" * 70], ["a" * 70, "b" * 9 + "a" * 69]),
        ("%w%d", ["a1", "abc1", "11"], ["1", "a", "a 1"]),
    ],
)  # fmt: skip
def test_what_matches(template: str, good: list[str], bad: list[str]) -> None:
    """A text matches if it is the template, with words and digits in place of its variables."""
    templates = SenderTemplates([template])
    assert [text for text in good if not templates.matches(text)] == []
    assert [text for text in bad if templates.matches(text)] == []


def test_several_templates() -> None:
    """A text has to match one of the templates. Blank lines, a BOM and the ends of lines are not part of any."""
    templates = SenderTemplates(["\ufeffYour code: %d+\r\n", "\n", "   \n", "Hello, %w{1,2}"])
    assert len(templates) == 2
    assert repr(templates) == "SenderTemplates(<2 templates>)"
    for _ in range(2):
        assert all(map(templates.matches, ["Hello, Anna", "Your code: 12", "Hello, Anna Lee", "Your code: 3"]))
        assert not templates.matches("Sale!")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a %w{1,", "line 2, character 3: write %w, %w+, %w{5} or %w{1,5} with a closing brace"),
        ("%d{}", "line 2, character 1: write %d"),
        ("%d{a}", "write %d"),
        ("%d{1,2,3}", "write %d"),
        ("%d{-1}", "write %d"),
        ("%d{0,2}", "numbers in %d{..} must be from 1 to 100, the smaller one first"),
        ("%w{3,2}", "the smaller one first"),
        ("%w{1,101}", "from 1 to 100"),
        ("a" * 34_171, "line 2 is longer than 34,170 characters"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_read(line: str, problem: str) -> None:
    """A template that cannot be read is named by its line and place, with what to write."""
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        SenderTemplates(["a", line])


def test_files(tmp_path: Path) -> None:
    """A file of templates is UTF-8, one a line. What cannot be used is named with the file's name."""
    path = tmp_path / "templates.txt"
    path.write_bytes("\ufeffВаш код: %d+\r\n\r\nHello, %w\r\n".encode())
    assert read_sender_templates(path).matches("Ваш код: 1")
    path.write_bytes("Ваш код: %d+".encode("cp1251"))
    with pytest.raises(ConfigurationError, match=r"templates\.txt is not UTF-8: save it as UTF-8"):
        read_sender_templates(path)
    path.write_bytes(b"\n\n")
    with pytest.raises(ConfigurationError, match=r"templates\.txt: there are no templates"):
        read_sender_templates(path)
    path.write_bytes(b"ok\n%d{")
    with pytest.raises(ConfigurationError, match=r"templates\.txt: template on line 2, character 1"):
        read_sender_templates(path)
    path.write_bytes(b"a" * 10_000_001)
    with pytest.raises(ConfigurationError, match="larger than 10,000,000 bytes"):
        read_sender_templates(path)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_sender_templates(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="more than 10,000 templates"):
        SenderTemplates(["a"] * 10_001)


variables = st.sampled_from(["%w", "%d", "%w+", "%d+", "%w{2}", "%w{1,3}", "%w{2,3}", "%d{2}", "%d{1,3}"])
templates = st.lists(variables | st.text("a1 ", min_size=1, max_size=3), min_size=1, max_size=5).map("".join)
subjects = st.text("a1 \n", max_size=14)


def as_expression(template: str) -> str:
    """The template as a regular expression, which may be slow but says the same."""
    made, at = "", 0
    for found in re.finditer(r"%([wd])(\+|\{[0-9,]+\})?", template):
        made += re.escape(template[at : found.start()])
        at = found.end()
        bounds = [int(each) for each in re.findall("[0-9]+", found[2] or "{1}")] or [1, 50]
        few, many = bounds[0], bounds[-1]
        made += rf"[0-9]{{{few},{many}}}" if found[1] == "d" else rf"\S+(?:\s+\S+){{{few - 1},{many - 1}}}"
    return made + re.escape(template[at:])


@given(templates, st.lists(subjects, max_size=20))
def test_like_a_regular_expression(template: str, texts: list[str]) -> None:
    """Matching agrees with a regular expression that says the same."""
    expression = re.compile(as_expression(template))
    try:
        made = SenderTemplates([template])
    except ConfigurationError:
        assert not template.strip()
        return
    for text in texts:
        assert made.matches(text) == bool(expression.fullmatch(text)), text


def steps(call: Callable[[], object]) -> int:
    """How many lines of the matcher run during a call."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename == module.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    ("template", "piece"),
    [("%w{1,20}" * 10 + "!", "a"), ("%w{1,20} " * 10 + "!", "a "), ("%d+" * 20 + "!", "1"), ("%w+" * 20 + "!", "a1 ")]
    + [("%w+a" * 20 + "!", "a"), ("%d{1,100}" * 10 + "!", "1"), ("%w+" + "a" * 100 + "!", "a")],
)
def test_no_text_makes_matching_slow(template: str, piece: str) -> None:
    """Twice the text takes at most some more than twice the steps: no template and text make it try every way."""
    made = SenderTemplates([template, template[:-1] + "?"])
    short, long = ((piece * count)[:count] + " !" for count in (2_000, 16_000))
    assert steps(lambda: made.matches(long)) <= 9 * steps(lambda: made.matches(short))
    assert steps(lambda: made.matches(long)) < 40 * len(long)
