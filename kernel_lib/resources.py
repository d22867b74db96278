"""Measure what each service, and this kernel with the processes it started, take of the machine.

    >>> read = resources.Reader()
    >>> read().usages["kafka-1"].memory_bytes
    331350016

Rates are between two calls. Linux counts a network's bytes by device and not by process, so they are given for the
loopback device as a whole: everything that the services, producers and kernels of the course send goes through it.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import psutil

from kernel_lib import services
from kernel_lib.settings import Settings, load

KERNEL = "this notebook"
LOOPBACK = "lo"
# Supervisor rounds the start to seconds, and notes it before the process is there.
SAME_START_SECONDS = 3.0
Processes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Usage:
    """What a service takes; `cpu` in cores and the rates in bytes/s are None until there are two readings.

    `written_per_second` is None also where the system does not say it to this user. `problem` says why nothing is
    known, or that the process does not run on.
    """

    memory_bytes: int = 0
    cpu: float | None = None
    written_per_second: float | None = None
    problem: str = ""


# A service that was never started is one for a later lesson.
ABSENT, NOT_STARTED = Usage(problem="is not running"), Usage(problem="is not started")


@dataclass(frozen=True)
class Resources:
    """The usages by service, and what goes through the loopback device."""

    at: float
    usages: Mapping[str, Usage]
    loopback_per_second: float | None = None


@dataclass(frozen=True)
class _Counters:
    cpu_seconds: float
    written_bytes: int | None
    memory_bytes: int


class Reader:
    """Read all usages at each call; raises ServiceUnavailable when supervisor does not answer."""

    def __init__(self, *, settings: Settings | None = None, processes: Callable[[], Processes] | None = None) -> None:
        self._processes = processes or partial(services.processes, settings=settings or load())
        self._before: dict[int, tuple[float, _Counters]] = {}
        self._loopback: tuple[float, int] | None = None

    def __call__(self) -> Resources:
        children = _children()
        usages = {name: self._usage(pid, start, children) for name, (pid, start) in self._processes().items()}
        usages[KERNEL] = self._usage(os.getpid(), psutil.Process().create_time(), children)
        return Resources(time.time(), usages, self._loopback_rate())

    def _usage(self, pid: int, started: float, children: Mapping[int, list[psutil.Process]]) -> Usage:
        if not pid:
            return ABSENT if started else NOT_STARTED
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - started) > SAME_START_SECONDS:
                return Usage(problem="runs in another container")
            family = [process]
            for member in family:
                family += children.get(member.pid, [])
            counters = _counters(family)
            frozen = process.status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return ABSENT
        now = time.monotonic()
        then, before = self._before.get(pid, (now, counters))
        self._before[pid] = (now, counters)
        problem = "is frozen" if frozen else ""
        if now == then:
            return Usage(counters.memory_bytes, problem=problem)
        # A child that has ended takes its counters with it.
        cpu = max(0.0, counters.cpu_seconds - before.cpu_seconds) / (now - then)
        written = None
        if counters.written_bytes is not None and before.written_bytes is not None:
            written = max(0, counters.written_bytes - before.written_bytes) / (now - then)
        return Usage(counters.memory_bytes, cpu, written, problem)

    def _loopback_rate(self) -> float | None:
        counters = psutil.net_io_counters(pernic=True).get(LOOPBACK)
        if counters is None:
            return None
        now, sent = time.monotonic(), counters.bytes_sent
        before, self._loopback = self._loopback, (now, sent)
        return (sent - before[1]) / (now - before[0]) if before else None


def _children() -> dict[int, list[psutil.Process]]:
    """Return the children of each process, by its id; asking each process for its own reads all of them each time."""
    found: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        found[process.info["ppid"]].append(process)
    return found


def _counters(family: list[psutil.Process]) -> _Counters:
    cpu, memory, written = 0.0, 0, 0
    hidden = False
    for process in family:
        try:
            times = process.cpu_times()
            cpu += times.user + times.system
            memory += process.memory_info().rss
            written += process.io_counters().write_bytes
        except psutil.AccessDenied:  # another user's: Elasticsearch never runs as root
            hidden = True
        except psutil.NoSuchProcess:
            if process is family[0]:
                raise
    return _Counters(cpu, None if hidden else written, memory)
