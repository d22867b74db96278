from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kernel_lib import checkpoints, topics
from kernel_lib.exercises import exact_over_kills, exactly_once
from kernel_lib.exercises.exactly_once import Answer, judge_exactness
from kernel_lib.job import Job
from kernel_lib.ledger import Figures, Ledger
from tests.odd_values import NO_NUMBERS, NO_TEXTS

EXACT = Answer("exactly-once", "read_committed", 1)
ALL_THERE = exactly_once.Seen(0.8, 2, Figures("processed-events", 4000, 4000, 0, 0, 0, 4000, 0, 0, 0, 0))


def spoilt(**figures: Any) -> exactly_once.Seen:
    return replace(ALL_THERE, kills=1, figures=replace(ALL_THERE.figures, **figures))


def test_all_events_there_once_are_right_whatever_the_settings() -> None:
    assert judge_exactness(EXACT, ALL_THERE).state == "right"
    assert "4,000 of 4,000 events are there after 2 kills" in judge_exactness(EXACT, ALL_THERE).words


@pytest.mark.parametrize(
    ("answer", "seen", "words"),
    [
        (replace(EXACT, checkpoint_seconds=60), replace(ALL_THERE, seen_after=None), "yours come every 60 s"),
        (
            replace(EXACT, guarantee="none"),
            spoilt(missing=90, duplicate=3),
            "90 events are missing and 3 are there twice",
        ),
        (replace(EXACT, guarantee="none"), spoilt(missing=90), "nobody waited for Kafka's acknowledgements"),
        (replace(EXACT, guarantee="at-least-once"), spoilt(duplicate=3), "reads again what came after its last checkp"),
        (replace(EXACT, isolation_level="read_uncommitted"), spoilt(duplicate=3), "transactions wrote that were abo"),
        (EXACT, spoilt(missing=1), "should not happen"),
    ],
)
def test_a_lost_or_repeated_event_is_laid_to_its_setting(answer: Answer, seen: exactly_once.Seen, words: str) -> None:
    verdict = judge_exactness(answer, seen)
    assert verdict.state == "not yet"
    assert words in verdict.words


def test_a_result_that_is_late_against_the_settings_is_not_the_learner_s() -> None:
    verdict = judge_exactness(EXACT, replace(ALL_THERE, seen_after=None))
    assert verdict.state == "not checked"
    assert "your settings do not explain it" in verdict.words


@pytest.mark.parametrize("odd", NO_TEXTS, ids=repr)
@pytest.mark.parametrize("name", ["guarantee", "isolation_level"])
def test_a_name_that_is_no_text_is_told_in_words(name: str, odd: Any) -> None:
    refused = exactly_once.refusal(replace(EXACT, **{name: odd}))
    assert refused is not None
    assert f"{name} = {odd!r} is not one of these:" in refused.words


@pytest.mark.parametrize("odd", [None, -1, *NO_NUMBERS], ids=repr)
def test_an_interval_that_no_job_can_have_is_told_in_words(odd: Any) -> None:
    refused = exactly_once.refusal(replace(EXACT, checkpoint_seconds=odd))
    assert refused is not None
    assert f"checkpoint_seconds = {odd!r} is not a number from 0.5 on" in refused.words


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            replace(EXACT, guarantee="twice"),
            "guarantee = 'twice' is not one of these: none, at-least",
        ),
        (replace(EXACT, isolation_level="serializable"), "isolation_level = 'serializable' is not one of these:"),
        (replace(EXACT, checkpoint_seconds=0), "checkpoint_seconds = 0 is not a number from 0.5 on"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused_before_a_job_starts(answer: Answer, words: str) -> None:
    verdict = exactly_once.refusal(answer)
    assert verdict is not None
    assert words in verdict.words
    assert exactly_once.refusal(EXACT) is None


class Book:
    """A ledger; `arrivals` says how many results are seen at its n-th look, when n events have been acknowledged."""

    def __init__(self, arrivals: Callable[[int], int]) -> None:
        self.looks, self.arrivals = 0, arrivals

    def update(self) -> Figures:
        self.looks += 1
        return replace(ALL_THERE.figures, acknowledged=self.looks, received=self.arrivals(self.looks))


def seen_after(arrivals: Callable[[int], int], checkpoint_seconds: float = 60.0) -> float | None:
    return exactly_once._wait_to_see(cast(Ledger, Book(arrivals)), checkpoint_seconds, within_seconds=0.5)


def test_a_lucky_first_checkpoint_does_not_hide_a_long_interval() -> None:
    """Flink takes the first one at a random moment of the interval, the next ones a whole interval apart."""
    assert seen_after(lambda looks: 1) is None
    assert seen_after(lambda looks: 0) is None
    assert seen_after(lambda looks: looks // 2) is not None


def test_one_slow_checkpoint_of_a_short_interval_is_not_the_learner_s() -> None:
    def arrivals(looks: int) -> int:
        return 1 if looks < 10 else looks  # seen in the second round

    assert seen_after(arrivals, checkpoint_seconds=1) is not None
    assert seen_after(arrivals, checkpoint_seconds=60) is None
    assert seen_after(lambda looks: 1, checkpoint_seconds=1) is None


def test_a_kill_waits_for_results_that_are_in_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes right after a checkpoint repeats nothing, and a wrong answer looked right."""
    least = exactly_once.UNSAVED
    moments = [(None, 0), (1, least - 1), (1, least), (2, 2 * least), (2, 3 * least)]  # the last checkpoint, the end
    left = iter(moments)
    now: list[tuple[int | None, int]] = []

    def ends(*_: Any, **__: Any) -> dict[int, tuple[int, int]]:
        now.append(next(left))
        return {0: (0, now[-1][1])}

    def look() -> Any:
        return SimpleNamespace(last_completed=now[-1][0] and SimpleNamespace(id=now[-1][0]))

    monkeypatch.setattr(checkpoints, "CheckpointReader", lambda job: look)
    monkeypatch.setattr(topics, "offsets", ends)
    exactly_once._wait_for_unsaved(cast(Job, SimpleNamespace(settings=None)))
    assert now == moments


@pytest.mark.parametrize("kills", [0, 1, -1, "five", None])
def test_too_few_kills_prove_nothing(kills: Any) -> None:
    assert "proves nothing; 2 is the least" in exact_over_kills("none", "read_committed", 1, kills=kills).words
