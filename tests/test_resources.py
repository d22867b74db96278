import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from kernel_lib import resources
from kernel_lib.settings import Service, Settings
from kernel_lib.waiting import wait_until


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing but count."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


ONE_SERVICE = Settings(
    kafka_bootstrap_servers="here:1",
    flink_jobmanager_url="http://here:2",
    elasticsearch_url="http://here:3",
    course_services={"kafka-1": Service(address="here:1", supervisor="http://here:4")},
)


def reader(pid: int, started: float) -> resources.Reader:
    return resources.Reader(settings=ONE_SERVICE, processes=lambda: {"kafka-1": (pid, int(started))})


def test_a_process_that_only_counts_takes_processor_time(busy: subprocess.Popen[bytes]) -> None:
    read = reader(busy.pid, time.time())
    first = read().usages["kafka-1"]
    assert first.cpu is None
    assert first.memory_bytes > 1_000_000
    wait_until(lambda: (read().usages["kafka-1"].cpu or 0) > 0.1, 10, "processor time")


def test_a_frozen_process_is_said_to_be_so(busy: subprocess.Popen[bytes]) -> None:
    read = reader(busy.pid, time.time())
    psutil.Process(busy.pid).suspend()
    wait_until(lambda: read().usages["kafka-1"].problem == "is frozen", 10, "the process to be frozen")


def test_the_kernel_counts_with_the_processes_that_it_started(busy: subprocess.Popen[bytes]) -> None:
    read = reader(0, 0)
    read()
    wait_until(lambda: (read().usages[resources.KERNEL].cpu or 0) > 0.1, 10, "processor time of a child")
    assert read().usages[resources.KERNEL].memory_bytes > psutil.Process(busy.pid).memory_info().rss


def test_a_process_of_another_container_is_not_taken_for_a_service() -> None:
    usage = reader(os.getpid(), 1_000_000_000)().usages["kafka-1"]
    assert usage == resources.Usage(problem="runs in another container")


def test_a_service_without_a_process_is_not_running() -> None:
    found = resources.Reader(settings=ONE_SERVICE, processes=lambda: {})()
    assert found.usages["kafka-1"].problem == "is not running"


def test_what_goes_through_the_loopback_is_measured() -> None:
    read = reader(0, 0)
    assert read().loopback_per_second is None
    assert (read().loopback_per_second or 0) >= 0
