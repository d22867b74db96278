"""Look, before anything starts, for what would make it fail: each finding names its remedy.

>>> for finding in preflight.check(layout): print(finding)
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.layout import CHECKOUT, PORTS, Layout
from infra.stack import belongs_to_course

GIB = 1024**3
NEEDED_DISK_GIB = 3
NEEDED_MEMORY_GIB = 5
GOOD_MEMORY_GIB = 6
LONGEST_PATH = 160
# JupyterLab's own is wanted by `lab` only: `up` is harmless while a Lab of this course is open.
SERVICE_PORTS = tuple(name for name in PORTS if name != "jupyterlab")
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Finding:
    """Something that will (`serious`) or may hurt, and what to do about it."""

    serious: bool
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{'error' if self.serious else 'warning'}: {self.what}\n  Try: {self.remedy}"


def check(where: Layout, ports: Iterable[str] = tuple(PORTS)) -> list[Finding]:
    """Return what is wrong with this machine for this course; `ports` are the names of those it will need."""
    return [
        *check_python(sys.version_info[:2]),
        *check_platform(platform.system(), platform.machine()),
        *check_path(CHECKOUT),
        *check_path(where.home),
        *check_disk(_nearest_folder(where.home)),
        *check_memory(memory_limit_bytes()),
        *check_ports(where, ports),
        *check_neighbours(),
    ]


def check_python(version: tuple[int, ...]) -> Iterator[Finding]:
    if not (3, 11) <= version <= (3, 12):
        yield Finding(
            True,
            f"Python {'.'.join(map(str, version))} runs the course; it needs 3.11 or 3.12.",
            "install Python 3.11 or 3.12, delete .venv, and call ./course again",
        )


def check_platform(system: str, machine: str) -> Iterator[Finding]:
    if (system, machine) != ("Linux", "x86_64"):
        yield Finding(
            True,
            f"This is {system} on {machine}; PyFlink has wheels for Linux on x86_64 only.",
            "docker compose up, which runs the course in a container (README.md, When something fails)",
        )


def check_path(path: Path) -> Iterator[Finding]:
    text = str(path)
    bad = sorted(set(re.sub(r"[A-Za-z0-9_./+@~-]", "", text)))
    if bad:
        yield Finding(
            True,
            f"The path {text!r} contains {', '.join(map(repr, bad))}, which the services cannot take.",
            "move the checkout to a path of letters, digits and _ . + @ ~ -",
        )
    if len(text) > LONGEST_PATH:
        yield Finding(
            True,
            f"The path {text!r} has {len(text)} characters; more than {LONGEST_PATH} make file names too long.",
            "move the checkout nearer to the root",
        )


def check_disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free / GIB
    if free < NEEDED_DISK_GIB:
        yield Finding(
            True,
            f"Only {free:.1f} GiB are free at {folder}; the course needs {NEEDED_DISK_GIB} GiB.",
            "free some room, or set COURSE_HOME to a folder on another disk",
        )


def check_memory(limit_bytes: int) -> Iterator[Finding]:
    gib = limit_bytes / GIB
    if gib < GOOD_MEMORY_GIB:
        yield Finding(
            gib < NEEDED_MEMORY_GIB,
            f"This machine or container may use {gib:.1f} GiB of memory; the course needs {NEEDED_MEMORY_GIB} GiB, "
            f"and {GOOD_MEMORY_GIB} GiB are comfortable.",
            "close other programs, or give the container or virtual machine more memory",
        )


def check_ports(where: Layout, names: Iterable[str] = tuple(PORTS)) -> Iterator[Finding]:
    holders = _listeners()
    for name in names:
        port = where.port(name)
        if port in holders and not belongs_to_course(holders[port], where.home):
            yield Finding(
                True,
                f"Port {port}, wanted for {name}, is held by {_describe(holders[port])}.",
                "end that process, or ./course up --port-offset 1000, which moves all ports",
            )


def check_neighbours() -> Iterator[Finding]:
    people = [
        user.pw_name
        for user in pwd.getpwall()
        if user.pw_uid >= 1000 and user.pw_uid != os.geteuid() and user.pw_shell.endswith("sh")
    ]
    if people:
        yield Finding(
            False,
            f"Other people have accounts here ({', '.join(people[:5])}). Flink's REST interface has no login, so while "
            "the course runs, they could run code as you through it.",
            "use a machine or container of your own",
        )


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def memory_limit_bytes(limit_files: Iterable[Path] = CGROUP_LIMITS) -> int:
    """Return what this machine has or, in a container, what it may use."""
    limits = [psutil.virtual_memory().total]
    for file in limit_files:
        if file.exists() and (text := file.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def _listeners() -> dict[int, psutil.Process | None]:
    """Return the ports of this machine on which somebody listens; the process is None when it is another user's."""
    found: dict[int, psutil.Process | None] = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            found[connection.laddr.port] = _process(connection.pid)
    return found


def _process(pid: int | None) -> psutil.Process | None:
    try:
        return psutil.Process(pid) if pid else None
    except psutil.NoSuchProcess:
        return None


def _describe(process: psutil.Process | None) -> str:
    if process is None:
        return "a process of another user"
    try:
        return f"process {process.pid} ({process.name()}: {' '.join(process.cmdline())[:80]})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return f"process {process.pid}"
