import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from kernel_lib.job import Failure, Job
from kernel_lib.kafka_client import Record
from kernel_lib.plots import Recovery, recovery
from kernel_lib.plots.recovery import Outage
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

STEADY = np.arange(0, 30, 0.1)
YOUNG = np.full(300, 0.1)
FAILED = Failure(30.0, "TaskManager lost")


def test_without_a_result_after_it_the_outage_goes_on() -> None:
    [found] = recovery.outages([FAILED], STEADY, YOUNG)
    assert found.last_before == pytest.approx(29.9)
    assert (found.first_after, found.caught_up) == (None, None)
    assert recovery.recovery_sentence(0, [found], 120) == (
        "0 results/s. Failure at 00:00:30 UTC (TaskManager lost): no result since 00:00:29 UTC."
    )


def test_the_gap_ends_with_the_first_result_and_catching_up_with_the_first_fresh_one() -> None:
    # Five seconds without a result, then those that waited, older and older no more, then fresh ones.
    at = np.concatenate([STEADY, [35.0, 35.5, 36.0, 36.5]])
    age = np.concatenate([YOUNG, [5.0, 3.0, 0.2, 0.1]])
    [found] = recovery.outages([FAILED], at, age)
    assert (found.first_after, found.caught_up) == (35.0, 36.0)
    assert recovery.recovery_sentence(10, [found], 120) == (
        "10 results/s. Failure at 00:00:30 UTC (TaskManager lost): no result for 5.1 s; "
        "results were as fresh as before after 6.1 s."
    )


def test_while_results_are_older_than_before_nothing_is_caught_up() -> None:
    # One partition is fresh again, another is not.
    at, age = np.concatenate([STEADY, [35.0, 35.1, 35.2]]), np.concatenate([YOUNG, [5.0, 0.1, 5.0]])
    [found] = recovery.outages([FAILED], at, age)
    assert found.caught_up is None
    assert recovery.recovery_sentence(10, [found], 120).endswith("results are still older than before.")


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
    assert recovery.recovery_sentence(30, [], 17.2) == "30 results/s; the job has not failed in the last 17 s."


def test_while_flink_is_away_nobody_says_that_the_job_has_not_failed() -> None:
    said = recovery.recovery_sentence(30, [], 120, unknown="Flink does not answer.")
    assert said == "30 results/s; whether the job has failed is not known because Flink does not answer."
    said = recovery.recovery_sentence(0, [Outage(30.0, "lost", 29.0)], 120, unknown="Flink does not answer.")
    assert said.startswith("0 results/s; whether the job has failed is not known because Flink does not answer. Fail")


def results(now: float) -> list[Record]:
    """Ten results of the last second."""
    times = [int((now - n / 10) * 1000) for n in range(10)]
    return [Record("results", 0, 0, None, b'{"sentAt": %d}' % at, at, "append") for at in times]


def test_results_that_come_say_nothing_of_failures_that_nobody_can_ask_for() -> None:
    tail = SimpleNamespace(
        topic="results", problem="", last_record_at=time.time(), poll=lambda: results(time.time()), stop=int
    )
    away = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="http://127.0.0.1:1", elasticsearch_url="")
    shown = Recovery(cast(Any, tail), Job("1", "count_events", away))
    try:
        wait_until(lambda: "is not known because Flink at http://127.0.0.1:1" in shown.text, 10, "the reason")
        assert "no data" in shown.widget.children[0].value
    finally:
        shown.close()


def test_failures_that_flink_has_forgotten_are_kept_while_they_are_shown() -> None:
    known: list[Failure] = []
    for second in range(10_000):
        known = recovery.remembered(known, [Failure(float(second), "lost")], second - 120)
        assert len(known) <= 121
    assert [each.at for each in recovery.remembered(known, known[-1:], 9_997)] == [9_997, 9_998, 9_999]
