"""The services of the course; tests/test_services.py has the cases that small programs can show."""

import signal

import httpx
import psutil
import pytest

from infra.layout import STARTED_SERVICES
from kernel_lib import services, topics
from kernel_lib.errors import ServiceControlFailed
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

pytestmark = pytest.mark.alone

# The ones that other tests need least.
BROKER = "kafka-3"
TASKMANAGER = "flink-taskmanager-2"


def family(name: str) -> list[psutil.Process]:
    leader = psutil.Process(services.status(name).pid)
    return [leader, *leader.children(recursive=True)]


def test_all_services_that_the_course_starts_are_healthy() -> None:
    states = {status.name: (status.state, status.reason) for status in services.statuses()}
    assert {name: states[name] for name in STARTED_SERVICES} == dict.fromkeys(STARTED_SERVICES, ("healthy", ""))


def test_a_healthy_service_has_an_address_and_an_uptime() -> None:
    for status in services.statuses():
        assert status.address.startswith("127.0.0.1:")
        assert status.uptime_seconds > 0 or not status.healthy


def test_a_killed_broker_is_down_with_a_reason_and_is_in_sync_again_after_a_start(settings: Settings) -> None:
    topics.create("letters", partitions=3)
    services.kill(BROKER)
    status = services.status(BROKER)
    assert (status.state, status.reason) == ("stopped", "was stopped or killed")
    assert f'services.start("{BROKER}")' in status.remedy
    topics.write("letters", b"written while a broker was down")
    services.start(BROKER)
    assert services.status(BROKER).healthy
    wait_until(lambda: in_sync_replicas("letters") == 3, 30, "the broker to catch up")


def in_sync_replicas(topic: str) -> int:
    return min(len(partition.in_sync) for partition in topics.describe(topic).partitions)


def test_a_paused_broker_is_paused_until_it_is_resumed() -> None:
    services.pause(BROKER)
    try:
        assert services.status(BROKER).state == "paused"
    finally:
        services.resume(BROKER)
    assert services.wait_healthy(BROKER, timeout_seconds=10).healthy


def test_a_killed_taskmanager_leaves_no_process_and_registers_again_after_a_start() -> None:
    processes = family(TASKMANAGER)
    services.kill(TASKMANAGER)
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    services.start(TASKMANAGER)
    assert services.status(TASKMANAGER).healthy


def test_a_taskmanager_is_healthy_again_by_a_registration_of_its_own(settings: Settings) -> None:
    """Fails when that of the killed process counts, which the JobManager keeps for some seconds."""
    before = registration(settings)
    services.kill(TASKMANAGER)
    services.start(TASKMANAGER)
    assert registration(settings) != before


def registration(settings: Settings) -> str:
    managers = httpx.get(f"{settings.flink_jobmanager_url}/taskmanagers").json()["taskmanagers"]
    return str(next(manager["path"] for manager in managers if manager["id"] == TASKMANAGER))


def test_a_service_that_dies_by_itself_is_reaped_and_started_again() -> None:
    # Elasticsearch's launcher has the server as its child: what is left of the group would keep the data locked.
    processes = family("elasticsearch")
    assert len(processes) > 1
    processes[0].send_signal(signal.SIGKILL)
    assert psutil.wait_procs(processes, timeout=10)[1] == []
    status = services.wait_healthy("elasticsearch", timeout_seconds=60)
    assert status.pid not in [process.pid for process in processes]


def test_what_waits_for_the_scaling_lesson_is_down_and_cannot_be_killed() -> None:
    assert services.status("flink-taskmanager-4").reason == services.NOT_STARTED
    with pytest.raises(ServiceControlFailed, match="flink-taskmanager-4"):
        services.kill("flink-taskmanager-4")


def test_flink_has_four_slots_a_taskmanager(settings: Settings) -> None:
    managers = httpx.get(f"{settings.flink_jobmanager_url}/taskmanagers").json()["taskmanagers"]
    assert {manager["slotsNumber"] for manager in managers} == {4}
