import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from kernel_lib import resources
from kernel_lib.waiting import wait_until


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing but count."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


def reader(pid: int, started: float) -> resources.Reader:
    return resources.Reader(processes=lambda: {"kafka-1": (pid, int(started))})


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


@pytest.mark.parametrize(("started", "problem"), [(1_700_000_000, "is not running"), (0, "is not started")])
def test_a_service_without_a_process_is_down_or_was_never_started(started: int, problem: str) -> None:
    assert reader(0, started)().usages["kafka-1"].problem == problem


def test_what_a_process_sends_is_counted_as_its_own() -> None:
    """Fails when the counters of a machine's sockets are not told apart by process, or its sum is taken for a rate."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
        with closing(sender), closing(receiver):
            read = resources.Reader(processes=lambda: {"nobody": (0, 0)})
            assert read().usages[resources.KERNEL].sent_per_second is None
            sender.sendall(b"x" * 30_000)
            receiver.recv(30_000, socket.MSG_WAITALL)
            wait_until(lambda: read().usages[resources.KERNEL].sent_per_second, 10, "a rate above 0")
            wait_until(lambda: read().usages[resources.KERNEL].sent_per_second == 0, 10, "nothing more to be sent")
