import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kernel_lib.checkpoints import Checkpoint, Counts, Reading, Restore, Spent
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.job import Job
from kernel_lib.plots import checkpoints, refresher
from kernel_lib.plots.checkpoints import Checkpoints
from kernel_lib.settings import load
from kernel_lib.waiting import wait_until
from tests.plots.drawn import missing_columns

NAME = "checkpoints of a test"
COUNT = Spent("count per window", 30, 1, 4, 3, 4)


def checkpoint(number: int, *, status: str = "completed", at: float | None = None, **other: Any) -> Checkpoint:
    moment = float(number) if at is None else at
    plain = Checkpoint(number, status, False, "checkpoint", moment, 35.0, 12_345, 4_000, 0, 0, 9, 9)
    return replace(plain, **other)


def reading(*history: Checkpoint, total: int = 42, failed: int = 0, restored: int = 0, **other: Any) -> Reading:
    return Reading("RUNNING", "", Counts(total, total - failed, failed, restored), history, **other)


@pytest.fixture
def job(empty_home: object) -> Job:
    away = load(kafka_bootstrap_servers="b:1", flink_jobmanager_url="http://f", elasticsearch_url="http://e")
    return Job("1", "count_events", away)


@pytest.fixture
def name() -> Iterator[str]:
    yield NAME
    refresher.remove(NAME)


def test_a_job_that_is_well_is_said_in_one_sentence() -> None:
    history = (checkpoint(41), checkpoint(42, tasks=(COUNT,)))
    assert checkpoints.checkpoint_sentence(reading(*history, interval_ms=1000.0), history, 43.0) == (
        "Checkpoint 42 took 35 ms for 12 kB of state, 1.0 s after the one before (one is due every 1 s); "
        "its barriers were aligned within 4 ms, the longest in count per window; none of 42 failed."
    )


def test_the_interval_is_said_before_there_are_two_checkpoints() -> None:
    first = (checkpoint(1),)
    assert checkpoints.checkpoint_sentence(reading(*first, total=1, interval_ms=10_000.0), first, 2.0).startswith(
        "Checkpoint 1 took 35 ms for 12 kB of state, one is due every 10 s; "
    )
    assert checkpoints.checkpoint_sentence(reading(total=0, interval_ms=10_000.0), (), 2.0) == (
        "No checkpoint is complete so far, one is due every 10 s."
    )


@pytest.mark.parametrize(
    ("newest", "words"),
    [
        (checkpoint(1), "its barriers were aligned"),
        (checkpoint(1, tasks=(replace(COUNT, alignment=0.0),)), "its barriers were aligned at once"),
        (
            checkpoint(1, tasks=(COUNT, replace(COUNT, task="write", alignment=1500.0))),
            "its barriers were aligned within 1.5 s, the longest in write",
        ),
        (
            checkpoint(1, kind="unaligned checkpoint", persisted=40_000),
            "it is unaligned, with 40 kB of records in flight",
        ),
        (
            checkpoint(1, kind="unaligned checkpoint", persisted=40_000, tasks=(COUNT,)),
            "it is unaligned, with 40 kB of records in flight, its barriers came within 4 ms, "
            "the longest in count per window",
        ),
    ],
)
def test_alignment_is_said_in_words(newest: Checkpoint, words: str) -> None:
    assert checkpoints.alignment_words(newest) == words


def test_hovering_says_how_a_checkpoint_was_aligned_once_it_is_complete() -> None:
    columns = checkpoints.bar_columns([checkpoint(1, tasks=(COUNT,)), checkpoint(2, status="under way")], now=3.0)
    assert columns["alignment"] == [checkpoints.alignment_words(checkpoint(1, tasks=(COUNT,))), "not complete"]


def test_failures_and_restores_are_said_with_the_reason() -> None:
    history = (checkpoint(57), checkpoint(58, status="failed", failure="The job has failed."), checkpoint(60))
    found = reading(
        *history,
        total=60,
        failed=2,
        restored=1,
        last_failed=history[1],
        restore=Restore(59.0, 57, False, "the TaskManager was lost."),
    )
    assert checkpoints.checkpoint_sentence(found, history, 61.0) == (
        "Checkpoint 60 took 35 ms for 12 kB of state, 3.0 s after the one before; its barriers were aligned; "
        "2 of 60 failed, the last that had begun because of: The job has failed; "
        "the job was restored once, from checkpoint 57 because of: the TaskManager was lost."
    )


def test_what_could_not_begin_is_told_from_what_failed() -> None:
    """Flink counts both as failed, and tries before all tasks of a new job run."""
    found = reading(checkpoint(40), checkpoint(41), total=42, failed=2)
    assert "; none of 40 failed (2 more could not begin: a task was not running)." in checkpoints.checkpoint_sentence(
        found, found.history, 42.0
    )


def test_a_checkpoint_that_takes_too_long_is_spoken_of() -> None:
    history = (checkpoint(57), checkpoint(58, status="under way", acknowledged=3))
    sentence = checkpoints.checkpoint_sentence(reading(*history), history, 70.0)
    assert sentence.startswith("Checkpoint 58 has been under way for 12 s, 3 of 9 subtasks have acknowledged it. ")
    assert "under way" not in checkpoints.checkpoint_sentence(reading(*history), history, 58.5)


def test_a_job_without_a_complete_checkpoint_says_so() -> None:
    assert checkpoints.checkpoint_sentence(reading(total=0), (), 0.0) == "No checkpoint is complete so far."


def test_known_checkpoints_are_kept_for_the_time_shown() -> None:
    """Flink tells the last ten only."""
    known = checkpoints.merged({}, [checkpoint(1), checkpoint(50)], now=60.0)
    later = checkpoints.merged(known, [checkpoint(140)], now=141.0)
    assert list(later) == [50, 140]


def test_what_was_known_of_the_tasks_stays() -> None:
    known = checkpoints.merged({}, [checkpoint(1, tasks=(COUNT,))], now=2.0)
    assert checkpoints.merged(known, [checkpoint(1)], now=3.0)[1].slowest == COUNT


def test_a_checkpoint_that_was_lost_under_way_is_dropped() -> None:
    known = checkpoints.merged({}, [checkpoint(1), checkpoint(2, status="under way")], now=3.0)
    assert list(checkpoints.merged(known, [checkpoint(3)], now=4.0)) == [1, 3]


def test_bars_differ_by_colour_and_sign() -> None:
    kinds: list[dict[str, Any]] = [{}, {"savepoint": True}, {"status": "failed"}, {"status": "under way"}]
    columns = checkpoints.bar_columns([checkpoint(n, **kind) for n, kind in enumerate(kinds)], now=8.0)
    for channel in ("colour", "sign"):
        assert len(set(columns[channel])) == 4
    assert columns["top"].tolist() == [35, 35, 35, 5000]


def test_a_savepoint_at_the_time_of_a_checkpoint_is_seen() -> None:
    both = [checkpoint(1, at=5.0, savepoint=True), checkpoint(2, at=5.1, milliseconds=700.0), checkpoint(3, at=6.0)]
    columns = checkpoints.bar_columns(both, now=8.0)
    assert columns["id"] == [2, 3, 1]
    assert columns["sign_at"][-1] == 700.0


def test_neighbouring_bars_leave_a_gap() -> None:
    columns = checkpoints.bar_columns([checkpoint(n) for n in range(5)], now=8.0)
    assert (columns["right"][:-1] < columns["left"][1:]).all()


def test_a_failed_savepoint_is_a_failure() -> None:
    assert checkpoints.looks_like(checkpoint(1, status="failed", savepoint=True)) == "failed"


def test_only_the_last_restore_says_from_where() -> None:
    columns = checkpoints.restore_columns([Restore(1.0, 7, False), Restore(2.0, 9, True)], 100.0)
    assert columns["words"] == ["↺", "↺ from\nsavepoint 9"]


@pytest.mark.parametrize(
    ("milliseconds", "words"), [(0, "0 ms"), (35.4, "35 ms"), (3400, "3.4 s"), (61_000, "61 s"), (2_000_000, "2,000 s")]
)
def test_a_duration_has_its_unit(milliseconds: float, words: str) -> None:
    assert checkpoints.duration_words(milliseconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (999, "999 bytes"), (4_000, "4.0 kB"), (12_345, "12 kB"), (7.1e9, "7.1 GB")]
)
def test_a_size_has_its_unit(size: float, words: str) -> None:
    assert checkpoints.size_words(size) == words


def test_ticks_reach_to_the_top_and_do_not_crowd() -> None:
    for top in (100.0, 4e3, 1e6):
        marks = checkpoints.ticks(top)
        assert max(marks) >= top
        assert len(marks) <= 15


def test_the_axis_does_not_jump_with_every_bar_and_leaves_room_above() -> None:
    tops = {checkpoints.top_of_axis(height) for height in range(30, 61)}
    assert len(tops) <= 2
    assert all(checkpoints.top_of_axis(height) >= 4 * height for height in (5, 35, 3400, 61_000))


def test_the_view_keeps_what_flink_forgets_and_all_it_draws_is_there(job: Job, name: str) -> None:
    now = [reading(*(checkpoint(n, at=time.time() - 20 + n) for n in range(10)))]
    view = Checkpoints(job, read=lambda: now[0], name=name)
    wait_until(lambda: "Checkpoint 9 took" in view.text, 5, "the bars")
    assert missing_columns(view.root) == set()
    now[0] = reading(checkpoint(10, at=time.time()))
    wait_until(lambda: "Checkpoint 10 took" in view.text, 5, "the next bar")
    assert sorted(view.source.data["id"]) == list(range(11))


def test_a_job_that_does_not_run_says_so(job: Job, name: str) -> None:
    broken = replace(reading(checkpoint(1, at=time.time())), state="RESTARTING", reason="the TaskManager was lost")
    view = Checkpoints(job, read=lambda: broken, name=name)
    wait_until(lambda: "because job count_events is RESTARTING: the TaskManager was lost" in view.text, 5, "the reason")
    assert view.text.startswith("No data since")


def test_flink_that_does_not_answer_is_named_and_found_again(job: Job, name: str) -> None:
    problems = [ServiceUnavailable("Flink", "flink:1", "connection refused")]

    def read() -> Reading:
        for problem in problems:
            raise problem
        return reading(checkpoint(1, at=time.time()))

    view = Checkpoints(job, read=read, name=name)
    wait_until(lambda: "No data yet because Flink at flink:1" in view.text, 5, "the reason")
    problems.clear()
    wait_until(lambda: "Checkpoint 1 took" in view.text, 5, "the job to be read again")
    assert view.quiet_because == ""
