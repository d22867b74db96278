from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kernel_lib import jobs, pipeline
from kernel_lib.owners import Kind, Owner
from kernel_lib.settings import load


@dataclass
class SomeJob:
    name: str
    kind: Kind | None
    drained: list[str] = field(default_factory=list)

    def owner(self) -> Owner | None:
        return self.kind and Owner.this_process(self.kind)

    def drain(self) -> None:
        self.drained.append(self.name)


def test_a_stop_leaves_the_jobs_of_lessons_alone(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lesson may run a job of the pipeline's with options of its own, and ends it itself."""
    settings = load(kafka_bootstrap_servers="k:1", flink_jobmanager_url="http://f", elasticsearch_url="http://e")
    found = [SomeJob("count_events", "kernel"), SomeJob("relay", "course"), SomeJob("track_sessions", "course")]
    found.append(SomeJob("match_fraud", None))
    monkeypatch.setattr(jobs, "running", lambda **_: found)
    monkeypatch.setattr(jobs.Job, "drain", SomeJob.drain)
    assert pipeline.stop(settings=settings) == "no producer of this notebook was running; 1 jobs were drained"
    assert [job.drained for job in found] == [[], [], ["track_sessions"], []]
