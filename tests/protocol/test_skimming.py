"""Skimming: accepted results are read by their look, and what looks otherwise is left where it is."""

import json

import pytest

from devino_async.protocol.skimming import Skimmed, skim

NEXT = '{"code":"REJECTED"}]'


def items(*ids: str, look: str = '{{"code":"OK","messageId":"{}"}},') -> str:
    return "".join(look.format(each) for each in ids)


def skim_all(text: str) -> tuple[list[str], int]:
    """All ids that can be skimmed, step by step, and the place after them."""
    ids: list[str] = []
    at = 0
    while True:
        found, at = skim(text, at)
        if not found.ids:
            return ids, at
        ids += found.ids


def test_results_that_look_alike() -> None:
    """Results in one writing are skimmed together, up to the one that is not followed by the same look."""
    text = items("1", "22", "333") + NEXT
    assert skim(text, 0) == (Skimmed(["1", "22"]), len(items("1", "22")))
    assert skim_all(text) == (["1", "22", "333"], text.index(NEXT))


def test_segments_stay_text() -> None:
    """Ids of segments are kept as the service wrote them."""
    text = items("5", "6", look='{{"code": "OK", "messageId": "{}", "segmentsId": ["7", "8"]}}, ') + NEXT
    assert skim(text, 0) == (Skimmed(["5", "6"], ['"7", "8"'] * 2), text.index(NEXT))


@pytest.mark.parametrize(
    "item",
    [
        '{"code":"REJECTED","messageId":"5"},',
        '{"code":"OK","messageId":5},',
        '{"code":"OK","messageId":""},',
        '{"code":"OK","messageId":"5a"},',
        '{"code":"OK","messageId":"٥"},',
        '{"code":"OK","messageId":"' + "5" * 65 + '"},',
        '{"code":"OK","messageId":"5","messageId":"6"},',
        '{"code":"OK","messageId":"5","reasons":[]},',
        '{"messageId":"5","code":"OK"},',
    ],
)
def test_other_looks_are_left(item: str) -> None:
    """Whatever is written otherwise is left to the scanner, as the first result and behind others."""
    assert skim(item + NEXT, 0) == (Skimmed([]), 0)
    before = items("1", "2")
    assert skim_all(before + item + items("3", "4") + NEXT) == (["1", "2"], len(before))


@pytest.mark.parametrize("end", ["]", "]}", "", ",", ", nul", ',"x"'])
def test_the_last_result_is_left(end: str) -> None:
    """A result that no other object follows is left: it may be cut, or be the last."""
    text = items("1", "2") + '{"code":"OK","messageId":"3"}' + end
    assert skim_all(text) == (["1", "2"], len(items("1", "2")))


@pytest.mark.parametrize("segments", [None, ["7"]])
def test_a_few_hundred_at_a_time(segments: list[str] | None) -> None:
    """A step takes a few hundred results at most, so that the event loop is not blocked by a whole batch."""
    text = json.dumps([{"code": "OK", "messageId": str(each), "segmentsId": segments} for each in range(5_000)])
    at, found = 1, []
    while (step := skim(text, at))[0].ids:
        assert len(step[0]) <= 512
        found += step[0].ids
        at = step[1]
    assert found == list(map(str, range(4_999)))
