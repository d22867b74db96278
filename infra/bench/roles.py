"""Own which process of the machine plays which role while a lesson is open, and what each role takes.

>>> before = roles.taken(where, settings, laboratory)
>>> after = roles.taken(where, settings, laboratory)
>>> roles.cpu_percent(before, after)["brokers"]
57.1
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

from infra import stack
from infra.layout import Layout
from kernel_lib import services
from kernel_lib.settings import Settings

SERVICES = {
    "kafka": "brokers",
    "zookeeper": "zookeeper",
    "flink-jobmanager": "jobmanager",
    "flink-taskmanager": "taskmanagers",
    "elasticsearch": "elasticsearch",
}
NAMES = (*SERVICES.values(), "supervisor", "producers", "kernel", "lab", "browser")
PRODUCER, BROWSER = "kernel_lib.producer_process", "chrom"


@dataclass(frozen=True)
class Taken:
    """What every process of a course has taken at a time (monotonic s): its role, seconds of a core, megabytes.

    `machine_seconds` are those of all processes of the machine.
    """

    at: float
    processes: dict[int, tuple[str, float, float]]
    machine_seconds: float


def taken(where: Layout, settings: Settings, laboratory: int) -> Taken:
    """Read all processes: services, the JupyterLab of that process id, and Chromium, which this process has started.

    Memory is proportional set size, where the system tells it. Raises ServiceUnavailable without supervisor.
    """
    found = {}
    for role, process in _processes(where, settings, laboratory):
        with suppress(psutil.NoSuchProcess):
            found[process.pid] = role, sum(process.cpu_times()[:2]), _megabytes(process)
    cores = psutil.cpu_times()
    return Taken(time.monotonic(), found, sum(cores) - cores.idle - cores.iowait - cores.guest - cores.guest_nice)


def cpu_percent(before: Taken, after: Taken) -> dict[str, float]:
    """Return how much of one core each role took between two readings; a process that has ended is left out."""
    seconds: dict[str, float] = dict.fromkeys(NAMES, 0.0)
    for pid, (role, now, _) in after.processes.items():
        seconds[role] += now - before.processes.get(pid, (role, 0.0, 0.0))[1]
    return {role: 100 * spent / (after.at - before.at) for role, spent in seconds.items()}


def other_cpu_percent(before: Taken, after: Taken) -> float:
    """Return how much of one core everything else on the machine took between two readings."""
    spent = (after.machine_seconds - before.machine_seconds) / (after.at - before.at)
    return max(0.0, 100 * spent - sum(cpu_percent(before, after).values()))


def megabytes(reading: Taken) -> dict[str, float]:
    """Return the memory of each role."""
    found: dict[str, float] = dict.fromkeys(NAMES, 0.0)
    for role, _, size in reading.processes.values():
        found[role] += size
    return found


def _processes(where: Layout, settings: Settings, laboratory: int) -> Iterator[tuple[str, psutil.Process]]:
    named = {pid: _role(name) for name, (pid, _) in services.processes(settings=settings).items() if pid}
    for process in stack.processes(where):
        yield _of_ancestor(process, named) or "supervisor", process
    yield "lab", psutil.Process(laboratory)
    for process in psutil.Process(laboratory).children(recursive=True):
        yield _in_lab(process), process
    for process in psutil.Process().children(recursive=True):
        if BROWSER in process.name():
            yield "browser", process


def _role(service: str) -> str:
    return next(role for prefix, role in SERVICES.items() if service.startswith(prefix))


def _of_ancestor(process: psutil.Process, named: dict[int, str]) -> str:
    """Return the role of the service that has started the process, or its parent, and so on."""
    pids: Iterable[int] = [process.pid, *(parent.pid for parent in process.parents())]
    return next((named[pid] for pid in pids if pid in named), "")


def _in_lab(process: psutil.Process) -> str:
    return "producers" if PRODUCER in process.cmdline() else "kernel"


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss / 1e6)
    except psutil.AccessDenied:  # a process that shields itself: what it has, shared pages too
        return float(process.memory_info().rss / 1e6)
