from typing import Any

import pytest

from kernel_lib import cluster, flink_reader
from kernel_lib.errors import NotFound, ServiceUnavailable
from kernel_lib.flink_reader import FlinkReader, parts
from kernel_lib.job import Failure, Job
from kernel_lib.settings import Settings

NOBODY = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="http://127.0.0.1:1", elasticsearch_url="")
LOST = Failure(1.0, "TaskManager lost")


def entry(state: str, *, changed_ms_ago: int) -> dict[str, Any]:
    return {"jid": "1", "state": state, "start-time": 0, "duration": 9_000, "last-modification": 9_000 - changed_ms_ago}


def test_pictures_that_read_together_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def get(settings: Settings, path: str, **query: str) -> Any:
        asked.append(path)
        return {"jobs": []}

    monkeypatch.setattr(flink_reader, "READING_SECONDS", 3600.0)
    monkeypatch.setattr(cluster, "get", get)
    for _ in range(5):
        flink = flink_reader.of(NOBODY.model_copy(update={"flink_jobmanager_url": "http://shared"}))
        flink.details("1"), flink.details("2"), flink.jobs()
    assert sorted(asked) == ["/jobmanager/metrics", "/jobs/1", "/jobs/2", "/jobs/overview"]


def test_a_cluster_that_is_down_is_said_to_be_so() -> None:
    flink = FlinkReader(NOBODY)
    for ask in (flink.jobs, lambda: flink.details("1"), lambda: flink.failures("1"), lambda: flink.get("/overview")):
        with pytest.raises(ServiceUnavailable, match="Flink at http://127"):
            ask()


@pytest.mark.parametrize(
    ("state", "changed_ms_ago", "asked"),
    [("RUNNING", 5_000, 1), ("RUNNING", 100, 3), ("RESTARTING", 5_000, 3)],
)
def test_failures_are_asked_for_until_a_job_has_run_for_a_while(
    monkeypatch: pytest.MonkeyPatch, state: str, changed_ms_ago: int, asked: int
) -> None:
    """Fails when the failure is not seen of which Flink tells a moment after it has restarted the job."""
    calls = list[str]()

    def failures(job: Job) -> list[Failure]:
        calls.append(job.id)
        return [LOST]

    monkeypatch.setattr(flink_reader, "READING_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "get", lambda *_, **__: {"jobs": [entry(state, changed_ms_ago=changed_ms_ago)]})
    monkeypatch.setattr(Job, "failures", failures)
    flink = FlinkReader(NOBODY)
    assert [flink.failures("1") for _ in range(3)] == [[LOST]] * 3
    assert len(calls) == asked


def test_a_job_that_has_changed_is_asked_for_its_failures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known, at = list[Failure](), [5_000]
    monkeypatch.setattr(flink_reader, "READING_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "get", lambda *_, **__: {"jobs": [entry("RUNNING", changed_ms_ago=at[0])]})
    monkeypatch.setattr(Job, "failures", lambda _: list(known))
    flink = FlinkReader(NOBODY)
    assert flink.failures("1") == []
    known.append(LOST)
    at[0] = 4_000
    assert flink.failures("1") == [LOST]


def test_the_failures_of_a_forgotten_job_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(settings: Settings, path: str, **query: str) -> Any:
        if path != "/jobs/overview":
            raise NotFound(f"Flink knows no {path}.")
        return {"jobs": []}

    monkeypatch.setattr(cluster, "get", get)
    with pytest.raises(NotFound):
        FlinkReader(NOBODY).failures("1")


def test_names_are_asked_for_in_as_few_parts_as_there_is_room_for() -> None:
    assert parts([], 10) == []
    assert parts(["abc", "def", "ghi"], 11) == [["abc", "def", "ghi"]]
    assert parts(["abc", "def", "ghi"], 10) == [["abc", "def"], ["ghi"]]
    assert parts(["much longer than that", "x"], 5) == [["much longer than that"], ["x"]]
