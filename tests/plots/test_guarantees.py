import re
from dataclasses import replace
from typing import Any

import pytest

from kernel_lib.ledger import Figures
from kernel_lib.plots import guarantees

WELL = Figures("exact", 100, 100, 0, 0, 0, 100, 0, 0, 0, 0, running=True)
LOST = replace(WELL, missing=7, duplicate=12)
LANES = {"none": LOST, "exactly-once": WELL}


def history(lanes: dict[str, Figures], *, seconds: float) -> dict[str, list[tuple[float, Figures]]]:
    """Readings of lanes that stay as they are for some seconds."""
    return {lane: [(0.0, figures), (seconds, figures)] for lane, figures in lanes.items()}


def test_when_nothing_has_moved_for_some_seconds_nothing_is_on_its_way() -> None:
    assert guarantees.settled(history(LANES, seconds=8.5))
    assert not guarantees.settled(history(LANES, seconds=7.5))


@pytest.mark.parametrize("before", [{"sent": 60}, {"received": 60}])
def test_while_events_are_sent_or_received_what_is_missing_may_be_on_its_way(before: Any) -> None:
    rows = history(LANES, seconds=8.5)
    rows["none"][0] = (0.0, replace(LOST, **before))
    assert not guarantees.settled(rows)
    assert not guarantees.settled(history({lane: replace(f, in_flight=1) for lane, f in LANES.items()}, seconds=9))


def test_while_the_job_is_away_no_lane_has_all_and_nothing_is_given_up() -> None:
    assert not guarantees.settled(history({lane: replace(f, missing=7) for lane, f in LANES.items()}, seconds=9))


def test_before_the_first_reading_nothing_is_settled() -> None:
    assert not guarantees.settled({"none": [], "exactly-once": []})


def test_the_sentence_says_each_lane_and_how_it_is_read() -> None:
    assert guarantees.sentence(LANES, is_settled=True, committed=True) == (
        "100 sent. none: 7 missing, 12 duplicate; exactly-once: 0 missing, 0 duplicate. Readers: read_committed."
    )
    said = guarantees.sentence(LANES, is_settled=False, committed=False)
    assert "none: 7 on the way or missing, 12 duplicate" in said
    assert said.endswith("Readers: read_uncommitted.")


def words_of(html: str) -> str:
    return re.sub("<[^>]+>", "", html)


def test_a_card_marks_what_is_lost_only_when_nothing_is_on_its_way() -> None:
    assert "7 …" in words_of(guarantees.columns_of_html(LANES, is_settled=False))
    settled = words_of(guarantees.columns_of_html(LANES, is_settled=True))
    assert "7 ✗" in settled
    assert "12 ✗" in settled
    assert settled.count("0 ✓") == 2
