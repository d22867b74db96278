import pytest

from kernel_lib import cluster, services, slots
from kernel_lib.services import NOT_STARTED, ServiceStatus
from kernel_lib.settings import Service, Settings

SERVICES = {name: Service(address="", supervisor="") for name in ("kafka-1", "flink-taskmanager-1")}
OURS = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="", elasticsearch_url="", course_services=SERVICES)


def status(name: str, state: str, reason: str) -> ServiceStatus:
    return ServiceStatus(name=name, state=state, address="", reason=reason, remedy="", pid=0, uptime_seconds=0)


@pytest.fixture(autouse=True)
def _cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "get", lambda *_, **__: {"slots-available": 0, "slots-total": 4})
    monkeypatch.setattr(slots, "holders", lambda _: ["count_events (4) of the course"])
    found = [
        status("kafka-1", "stopped", "was killed"),
        status("flink-taskmanager-1", "stopped", "was killed"),
        status("flink-taskmanager-2", "healthy", ""),
        status("flink-taskmanager-3", "stopped", NOT_STARTED),
    ]
    monkeypatch.setattr(services, "statuses", lambda **_: found)


def test_a_refusal_names_who_holds_the_slots_and_the_taskmanagers_that_are_down() -> None:
    error = slots.refusal(OURS, "Job relay", 1)
    assert error.args[0].startswith("Job relay needs 1 free slot; the cluster has 0 of 4.")
    assert error.cause == "flink-taskmanager-1 is down; slots are held by count_events (4) of the course"
    assert error.remedy.startswith('services.start("flink-taskmanager-1"); or jobs.find(name).cancel()')


def test_where_the_course_runs_no_services_none_is_down() -> None:
    error = slots.refusal(OURS.model_copy(update={"course_services": {}}), "Job relay", 2)
    assert error.cause == "slots are held by count_events (4) of the course"
    assert "needs 2 free slots" in error.args[0]


@pytest.mark.parametrize(("total", "cause"), [(4, ""), (0, "no TaskManager has registered")])
def test_without_jobs_the_cause_is_what_is_down(total: int, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when TaskManagers that have registered are denied."""
    monkeypatch.setattr(cluster, "get", lambda *_, **__: {"slots-available": total, "slots-total": total})
    monkeypatch.setattr(slots, "holders", lambda _: [])
    assert slots.refusal(OURS, "The pipeline", 6).cause == "; ".join(
        filter(None, ["flink-taskmanager-1 is down", cause])
    )
