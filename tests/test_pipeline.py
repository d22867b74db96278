import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kernel_lib import jobs, pipeline, producer, reference, slots, topics
from kernel_lib.errors import NoFreeSlots
from kernel_lib.owners import Kind, Owner
from kernel_lib.settings import Settings, load


@dataclass
class SomeJob:
    name: str
    kind: Kind | None
    drained: list[str] = field(default_factory=list)
    restart_attempts: int = 0
    waits_for_slots: bool = False

    def owner(self) -> Owner | None:
        return Owner.from_parameters(self.parameters())

    def parameters(self) -> dict[str, str]:
        if self.waits_for_slots:
            return {}
        return {"source": "user-events"} | (Owner.this_process(self.kind).parameters() if self.kind else {})

    def drain(self) -> None:
        self.drained.append(self.name)

    def wait_running(self) -> None:
        self.waits_for_slots = False


@pytest.fixture
def settings(empty_home: Path) -> Settings:
    return load(kafka_bootstrap_servers="k:1", flink_jobmanager_url="http://f", elasticsearch_url="http://e")


def test_its_jobs_outlive_more_kills_than_anybody_presses(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flink never forgets a restart: with three attempts the fourth kill of its TaskManager ends a job."""
    submitted: list[SomeJob] = []

    def submit(name: str, *, restart_attempts: int = 3, **_: object) -> SomeJob:
        submitted.append(SomeJob(name, "course", restart_attempts=restart_attempts))
        return submitted[-1]

    monkeypatch.setattr(jobs, "submit", submit)
    monkeypatch.setattr(jobs, "cancel_orphans", lambda **_: [])
    monkeypatch.setattr(jobs, "running", lambda **_: [])
    done = ((topics, "create_all"), (reference, "publish"), (producer, "start"), (slots, "wait_free"))
    for module, function in done:
        monkeypatch.setattr(module, function, lambda *_, **__: None)
    pipeline.start(settings=settings)
    assert sorted(job.name for job in submitted) == sorted(pipeline.JOBS)
    assert min(job.restart_attempts for job in submitted) >= 1_000


def test_it_asks_for_all_slots_that_it_lacks_before_it_starts_anything(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "cancel_orphans", lambda **_: [])
    monkeypatch.setattr(jobs, "running", lambda **_: [SomeJob("count_events", "course"), SomeJob("relay", "kernel")])
    monkeypatch.setattr(slots, "_returning", lambda _: False)
    monkeypatch.setattr(slots, "free", lambda _: 4)
    monkeypatch.setattr(slots, "refusal", lambda _, who, needed: NoFreeSlots(f"{who} needs {needed}"))
    with pytest.raises(NoFreeSlots, match="The pipeline needs 5"):
        pipeline.start(settings=settings)


def test_a_stop_waits_for_the_one_before_and_finds_its_work_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that drain the same job restart it for each other, and neither comes to an end."""
    found, begun, may_end = [SomeJob("track_sessions", "course")], threading.Event(), threading.Event()

    def drain() -> None:
        begun.set()
        assert may_end.wait(10)
        found.clear()

    monkeypatch.setattr(jobs, "running", lambda **_: list(found))
    monkeypatch.setattr(found[0], "drain", drain)
    with ThreadPoolExecutor(2) as buttons:
        first = buttons.submit(pipeline.stop, settings=settings)
        assert begun.wait(10)
        second = buttons.submit(pipeline.stop, settings=settings)
        may_end.set()
        assert first.result(10).endswith("1 job was drained")
        assert second.result(10) == "no producer of this notebook was running"


def test_a_stop_leaves_the_jobs_of_lessons_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lesson may run a job of the pipeline's with options of its own, and ends it itself."""
    found = [SomeJob("count_events", "kernel"), SomeJob("relay", "course"), SomeJob("track_sessions", "course")]
    found.append(SomeJob("match_fraud", None))
    monkeypatch.setattr(jobs, "running", lambda **_: found)
    assert pipeline.stop(settings=settings) == "no producer of this notebook was running; 1 job was drained"
    assert [job.drained for job in found] == [[], [], ["track_sessions"], []]


def test_a_stop_waits_for_jobs_that_wait_for_slots(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flink does not tell then whose they are, and they went on when the others had left them theirs."""
    found = [SomeJob("count_events", kind, waits_for_slots=True) for kind in ("course", "kernel")]
    monkeypatch.setattr(jobs, "running", lambda **_: found)
    assert pipeline.stop(settings=settings).endswith("; 1 job was drained")
    assert [job.drained for job in found] == [["count_events"], []]
