import numpy as np
import pytest

from kernel_lib.job import Failure
from kernel_lib.plots import recovery
from kernel_lib.plots.recovery import Outage

STEADY = np.arange(0, 30, 0.1)
YOUNG = np.full(300, 0.1)
FAILED = Failure(30.0, "TaskManager lost")


def test_without_a_result_after_it_the_outage_goes_on() -> None:
    [found] = recovery.outages([FAILED], STEADY, YOUNG)
    assert found.last_before == pytest.approx(29.9)
    assert (found.first_after, found.caught_up) == (None, None)
    assert recovery.recovery_sentence(0, [found]) == (
        "0 results/s. Failure at 00:00:30 UTC (TaskManager lost): no result since 00:00:29 UTC."
    )


def test_the_gap_ends_with_the_first_result_and_catching_up_with_the_first_fresh_one() -> None:
    # Five seconds without a result, then those that waited, older and older no more, then fresh ones.
    at = np.concatenate([STEADY, [35.0, 35.5, 36.0, 36.5]])
    age = np.concatenate([YOUNG, [5.0, 3.0, 0.2, 0.1]])
    [found] = recovery.outages([FAILED], at, age)
    assert (found.first_after, found.caught_up) == (35.0, 36.0)
    assert recovery.recovery_sentence(10, [found]) == (
        "10 results/s. Failure at 00:00:30 UTC (TaskManager lost): no result for 5.1 s; "
        "results were as fresh as before after 6.1 s."
    )


def test_while_results_are_older_than_before_nothing_is_caught_up() -> None:
    # One partition is fresh again, another is not.
    at, age = np.concatenate([STEADY, [35.0, 35.1, 35.2]]), np.concatenate([YOUNG, [5.0, 0.1, 5.0]])
    [found] = recovery.outages([FAILED], at, age)
    assert found.caught_up is None
    assert recovery.recovery_sentence(10, [found]).endswith("results are still older than before.")


def test_failed_attempts_to_restart_belong_to_the_first_failure() -> None:
    again = Failure(32.0, "no slots")
    [found] = recovery.outages([again, FAILED], np.append(STEADY, 35.0), np.append(YOUNG, 0.1))
    assert (found.reason, found.failed_at, found.first_after) == ("TaskManager lost", 30.0, 35.0)


def test_a_second_failure_ends_what_is_told_of_the_first() -> None:
    at, age = np.concatenate([STEADY, [35.0, 45.0]]), np.concatenate([YOUNG, [5.0, 0.1]])
    first, second = recovery.outages([FAILED, Failure(40.0, "again")], at, age)
    assert (first.first_after, first.caught_up) == (35.0, None)
    assert (second.last_before, second.first_after) == (35.0, 45.0)


def test_a_failure_before_the_first_result_is_left_out() -> None:
    assert recovery.outages([FAILED], np.array([31.0]), np.array([0.1])) == []


def test_the_band_of_an_outage_that_goes_on_ends_now() -> None:
    gaps = recovery.gap_columns([Outage(30.0, "lost", 29.0)], 33.0, 12)
    assert (gaps["left"], gaps["right"]) == ([29_000], [33_000])
    assert gaps["words"] == ["\N{MULTIPLICATION SIGN} 4.0 s"]


def test_results_are_counted_by_the_second() -> None:
    columns = recovery.bar_columns(np.array([1.2, 1.9, 3.0]))
    assert columns["at"].tolist() == [1000, 3000]
    assert columns["count"].tolist() == [2, 1]


def test_a_job_that_has_not_failed_says_so() -> None:
    assert recovery.recovery_sentence(30, []) == "30 results/s; the job has not failed in the last 120 s."
