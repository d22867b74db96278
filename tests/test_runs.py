import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kernel_lib import runs
from kernel_lib.errors import NotFound
from kernel_lib.producer import stats_of
from kernel_lib.runs import Identity, Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    run = Run.create("r1")
    run.write_identity(Identity("r1", "user-events", "", 1, 0, pid=1, partitions=6))
    run.counters(writable=True)["numbered"][0] = 5
    states = [runs.ACKNOWLEDGED, runs.ACKNOWLEDGED, runs.REFUSED, runs.IN_FLIGHT, runs.IN_DOUBT]
    run.state_map(5)[:5] = states
    return run


def test_states_are_as_many_as_were_sent(run: Run) -> None:
    assert run.states().tolist() == [2, 2, 3, 1, 4]


def test_states_keep_their_place_as_the_file_grows(run: Run) -> None:
    run.state_map(3_000_000)
    assert run.states().tolist() == [2, 2, 3, 1, 4]


def test_of_a_dead_process_what_was_in_flight_is_in_doubt(run: Run) -> None:
    stats = stats_of(run, alive=False, event_types=())
    assert (stats.acknowledged, stats.refused, stats.in_doubt, stats.in_flight) == (2, 1, 2, 0)


def test_of_a_live_process_the_counters_are_believed(run: Run) -> None:
    run.counters(writable=True)["acknowledged"][0] = 4
    stats = stats_of(run, alive=True, event_types=())
    assert (stats.acknowledged, stats.in_doubt, stats.in_flight) == (4, 0, 1)


def test_errors_are_in_the_line_of_text(run: Run) -> None:
    counters = run.counters(writable=True)
    counters["errors"][0], counters["last_error"][0] = 2, b"_TRANSPORT: refused"
    text = stats_of(run, alive=False, event_types=()).text
    assert text.endswith("0 events/s; 2 errors, the last: _TRANSPORT: refused")


def test_another_process_with_a_reused_pid_is_not_the_producer(run: Run) -> None:
    assert not run.alive


def test_an_unknown_run_is_not_found(run: Run) -> None:
    with pytest.raises(NotFound, match="latest runs are: r1"):
        Run.open("r2")


def test_of_runs_of_more_than_an_hour_ago_only_the_latest_are_kept(run: Run) -> None:
    for number in range(runs.KEPT_RUNS + 5):
        old = Run.create(f"s{number:03}")
        old.write_identity(Identity("s", "user-events", "", 1, 0, pid=1, partitions=6))
        os.utime(old.folder, (0, 0))
    assert len(list(run.folder.parent.iterdir())) == runs.KEPT_RUNS + 1  # the first is of a moment ago
    assert run.folder.exists()


def test_producers_that_start_side_by_side_remove_the_same_old_runs(run: Run) -> None:
    """Fails when one of them looks at a run that another one has just removed."""
    for number in range(200):
        folder = run.folder.parent / f"s{number:03}"
        folder.mkdir()
        os.utime(folder, (0, 0))
    with ThreadPoolExecutor(8) as side_by_side:
        begun = list(side_by_side.map(Run.create, [f"t{number}" for number in range(8)]))
    assert all(each.folder.exists() for each in begun)
    assert not (run.folder.parent / "s000").exists()
