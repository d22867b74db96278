"""Measure what each service, and this kernel with the processes it started, take of the machine.

    >>> read = resources.Reader()
    >>> read().usages["kafka-1"].memory_bytes
    331350016

Rates are between two calls. What a service sends over the network is counted by its TCP connections; what one of them
sent after the last call before it was closed is in no rate.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import psutil

from kernel_lib import services, sockets
from kernel_lib.settings import Settings, load

KERNEL = "this notebook"
# Supervisor rounds the start to seconds, and notes it before the process is there.
SAME_START_SECONDS = 3.0
Processes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Usage:
    """What a service takes; `cpu` in cores and the rates in bytes/s are None until there are two readings.

    `written_per_second` and `sent_per_second` are None also where the system does not say it to this user. `problem`
    says why nothing is known, or that the process does not run on.
    """

    memory_bytes: int = 0
    cpu: float | None = None
    written_per_second: float | None = None
    sent_per_second: float | None = None
    problem: str = ""


# A service that was never started is one for a later lesson.
ABSENT, NOT_STARTED = Usage(problem="is not running"), Usage(problem="is not started")


@dataclass(frozen=True)
class Resources:
    """The usages by service."""

    at: float
    usages: Mapping[str, Usage]


@dataclass(frozen=True)
class _Counters:
    cpu_seconds: float
    memory_bytes: int
    written_bytes: int | None
    sent_bytes: Mapping[int, int] | None  # by socket


class Reader:
    """Read all usages at each call; raises ServiceUnavailable when supervisor does not answer."""

    def __init__(self, *, settings: Settings | None = None, processes: Callable[[], Processes] | None = None) -> None:
        self._processes = processes or partial(services.processes, settings=settings or load())
        self._before: dict[int, tuple[float, _Counters]] = {}

    def __call__(self) -> Resources:
        machine = _Machine(_children(), sockets.bytes_sent())
        usages = {name: self._usage(pid, start, machine) for name, (pid, start) in self._processes().items()}
        usages[KERNEL] = self._usage(os.getpid(), psutil.Process().create_time(), machine)
        return Resources(time.time(), usages)

    def _usage(self, pid: int, started: float, machine: _Machine) -> Usage:
        if not pid:
            return ABSENT if started else NOT_STARTED
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - started) > SAME_START_SECONDS:
                return Usage(problem="runs in another container")
            counters = _counters(machine.family(process), machine.sent_bytes)
            frozen = process.status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return ABSENT
        now = time.monotonic()
        then, before = self._before.get(pid, (now, counters))
        self._before[pid] = (now, counters)
        problem = "is frozen" if frozen else ""
        if now == then:
            return Usage(counters.memory_bytes, problem=problem)
        return Usage(counters.memory_bytes, *_rates(before, counters, now - then), problem)


@dataclass(frozen=True)
class _Machine:
    """What is read once for all services: the children of each process, the bytes that each socket has sent."""

    children: Mapping[int, list[psutil.Process]]
    sent_bytes: Mapping[int, int]

    def family(self, process: psutil.Process) -> list[psutil.Process]:
        """Return the process and all that it has started."""
        found = [process]
        for member in found:
            found += self.children.get(member.pid, [])
        return found


def _rates(before: _Counters, now: _Counters, seconds: float) -> tuple[float, float | None, float | None]:
    """Return cores, and the bytes/s that were written and sent."""
    # A child that has ended takes its counters with it.
    cpu = max(0.0, now.cpu_seconds - before.cpu_seconds) / seconds
    written = sent = None
    if now.written_bytes is not None and before.written_bytes is not None:
        written = max(0, now.written_bytes - before.written_bytes) / seconds
    if now.sent_bytes is not None and before.sent_bytes is not None:
        sent = sum(count - before.sent_bytes.get(inode, 0) for inode, count in now.sent_bytes.items()) / seconds
    return cpu, written, sent


def _children() -> dict[int, list[psutil.Process]]:
    """Return the children of each process, by its id; asking each process for its own reads all of them each time."""
    found: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        found[process.info["ppid"]].append(process)
    return found


def _counters(family: list[psutil.Process], sent_bytes: Mapping[int, int]) -> _Counters:
    cpu, memory, written = 0.0, 0, 0
    sent: dict[int, int] = {}
    hidden = False
    for process in family:
        try:
            times = process.cpu_times()
            cpu += times.user + times.system
            memory += process.memory_info().rss
            written += process.io_counters().write_bytes
            sent |= {inode: sent_bytes[inode] for inode in sockets.inodes(process.pid) & sent_bytes.keys()}
        except (psutil.AccessDenied, PermissionError):  # another user's: Elasticsearch never runs as root
            hidden = True
        except (psutil.NoSuchProcess, FileNotFoundError):
            if process is family[0]:
                raise psutil.NoSuchProcess(process.pid) from None
    return _Counters(cpu, memory, None if hidden else written, None if hidden else sent)
