import numpy as np
import pytest

from kernel_lib.job import Failure
from kernel_lib.plots import recovery
from kernel_lib.plots.recovery import Outage

STEADY = np.arange(0, 30, 0.1)  # ten a second until 29.9
FAILED = Failure(30.0, "TaskManager lost")


def test_without_a_result_after_it_the_outage_goes_on() -> None:
    found = recovery.outage(FAILED, STEADY, 0)
    assert found is not None
    assert found.last_before == pytest.approx(29.9)
    assert found.rate == pytest.approx(10)
    assert (found.first_after, found.caught_up) == (None, None)
    assert recovery.recovery_sentence(0, [found]) == (
        "0 results/s. Failure at 00:00:30 UTC (TaskManager lost): no result since 00:00:29 UTC."
    )


def test_the_gap_ends_with_the_first_result_and_catching_up_with_what_was_missed() -> None:
    # Five seconds without a result, then the fifty that were missed within a second, then ten a second again.
    at = np.concatenate([STEADY, np.linspace(35, 36, 60), np.arange(36.1, 40, 0.1)])
    found = recovery.outage(FAILED, at, 0)
    assert found is not None
    assert found.first_after == 35
    assert found.caught_up is not None
    assert 35.9 < found.caught_up < 36.2
    said = recovery.recovery_sentence(10, [found])
    assert said.startswith("10 results/s. Failure at 00:00:30 UTC (TaskManager lost): no result for 5.1 s, all that ")
    assert said.endswith(" s after the last one before it.")


def test_results_that_are_lost_are_never_caught_up() -> None:
    at = np.concatenate([STEADY, np.arange(35, 60, 0.1)])  # the rate is back, what was missed is not
    found = recovery.outage(FAILED, at, 0)
    assert found is not None
    assert found.caught_up is None
    assert recovery.recovery_sentence(10, [found]).endswith("and what was missed has not all come yet.")


def test_the_rate_before_is_measured_only_where_the_picture_looked() -> None:
    found = recovery.outage(FAILED, STEADY[STEADY > 20], 20)
    assert found is not None
    assert found.rate == pytest.approx(10, rel=0.02)


def test_a_failure_before_the_first_result_is_no_outage() -> None:
    assert recovery.outage(FAILED, np.array([31.0]), 0) is None


def test_the_band_of_an_outage_that_goes_on_ends_now() -> None:
    gaps = recovery.gap_columns([Outage(30.0, "lost", 29.0, 10.0)], 33.0, 12)
    assert (gaps["left"], gaps["right"]) == ([29_000], [33_000])
    assert gaps["words"] == ["\N{MULTIPLICATION SIGN} 4.0 s"]


def test_results_are_counted_by_the_second() -> None:
    columns = recovery.bar_columns(np.array([1.2, 1.9, 3.0]))
    assert columns["at"].tolist() == [1000, 3000]
    assert columns["count"].tolist() == [2, 1]


def test_a_job_that_has_not_failed_says_so() -> None:
    assert recovery.recovery_sentence(30, []) == "30 results/s; the job has not failed in the last 120 s."
