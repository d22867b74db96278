"""Look, before anything is downloaded or started, for what would make it fail: each finding names its remedy.

>>> for finding in preflight.check(layout, preflight.PORTS_OF["lab"]): print(finding)

Run as a module by any python3, with the words of ./course, it says what stands against them and ends with code 1. So
nothing but the standard library is imported here.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import platform
import pwd
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import processes
from infra.layout import CHECKOUT, INSTALLED, PORTS, Layout, layout

GIB = 1024**3
PYTHONS = ((3, 11), (3, 12))
INSTALLING_DISK_GIB = 4
RUNNING_DISK_GIB = 3
NEEDED_MEMORY_GIB = 5
GOOD_MEMORY_GIB = 6
LONGEST_PATH = 160
# JupyterLab's own is wanted by `lab` only: `up` is harmless while a Lab of this course is open.
PORTS_OF = {"lab": tuple(PORTS), "up": tuple(name for name in PORTS if name != "jupyterlab")}
"""The ports that a verb needs, by their names. Verbs that start services on ports of their own find free ones."""
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Finding:
    """Something that will (`serious`) or may hurt, and what to do about it."""

    serious: bool
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{'error' if self.serious else 'warning'}: {self.what}\n  Try: {self.remedy}"


def check(where: Layout, ports: Iterable[str]) -> list[Finding]:
    """Return what is wrong with this machine for this course; `ports` are the names of those it will need."""
    return [
        *check_installation(),
        *([] if list(check_path(CHECKOUT)) else check_path(where.home)),
        *check_disk(_nearest_folder(where.home), RUNNING_DISK_GIB),
        *check_memory(memory_limit_bytes()),
        *check_ports(where, ports),
        *check_neighbours(),
    ]


def check_installation() -> Iterator[Finding]:
    """Yield what keeps the Python packages from being installed, or from running."""
    yield from check_platform(platform.system(), platform.machine())
    yield from check_python(sys.version_info[:2])
    yield from check_venv()
    yield from check_libpython(libpythons())
    yield from check_path(CHECKOUT)
    if not INSTALLED.exists():
        yield from check_disk(CHECKOUT, INSTALLING_DISK_GIB)


def suits(version: tuple[int, ...]) -> bool:
    """Tell whether a version of Python runs the course."""
    return version[:2] in PYTHONS


def check_python(version: tuple[int, ...]) -> Iterator[Finding]:
    if not suits(version):
        yield Finding(
            True,
            f"This is Python {_dotted(version)}; the course needs {' or '.join(map(_dotted, PYTHONS))}.",
            "apt-get install python3 python3-venv on Debian 12 or Ubuntu 24.04, or "
            "conda env create -f environment.yml; delete .venv, and call ./course again",
        )


def check_venv() -> Iterator[Finding]:
    if not importlib.util.find_spec("ensurepip"):
        yield Finding(
            True,
            f"{sys.executable} has no ensurepip, so it cannot make a virtual environment.",
            "apt-get install python3-venv (as root)",
        )


def check_libpython(found: Iterable[str]) -> Iterator[Finding]:
    if not any(found):
        version = _dotted(sys.version_info[:2])
        yield Finding(
            True,
            f"{sys.executable} has no shared library (libpython{version}.so), in which Flink runs Python functions.",
            f"apt-get install libpython{version} (as root), or conda env create -f environment.yml",
        )


def libpythons() -> Iterator[str]:
    """Yield the shared libraries of this Python, as find_libpython will look for them for a TaskManager."""
    names = {sysconfig.get_config_var("INSTSONAME") or "", f"libpython{_dotted(sys.version_info[:2])}.so"}
    for name in (name for name in sorted(names) if ".so" in name):
        for folder in (sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL")):
            if folder and Path(folder, name).is_file():
                yield str(Path(folder, name))
        if _loads(name):
            yield name


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


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


def check_disk(folder: Path, needed_gib: int) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free / GIB
    if free < needed_gib:
        yield Finding(
            True,
            f"Only {free:.1f} GiB are free at {folder}; the course needs {needed_gib} GiB.",
            "free some room, or move the checkout to another disk",
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
    """Yield one finding for all ports that somebody else holds: the remedy is the same."""
    holders = processes.listeners()
    held = [
        f"Port {where.port(name)}, wanted for {name}, is held by {processes.describe(holders[where.port(name)])}."
        for name in names
        if where.port(name) in holders and not processes.belongs_to_course(holders[where.port(name)], where.home)
    ]
    if held:
        yield Finding(
            True,
            "\n  ".join(held),
            "end what holds them, or the same command with --port-offset 1000, which moves all ports",
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


def memory_limit_bytes(limit_files: Iterable[Path] = CGROUP_LIMITS) -> int:
    """Return what this machine has or, in a container, what it may use."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in limit_files:
        if file.exists() and (text := file.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version[:2]))


def main(words: Sequence[str]) -> int:
    """Say what stands against ./course with these words, before anything is installed; warnings come with the start."""
    options = argparse.ArgumentParser(prog="./course", add_help=False, allow_abbrev=False)
    options.add_argument("--port-offset", type=int)
    known, _ = options.parse_known_args(words)
    verb = next(iter(words), "")
    found = check(layout(known.port_offset), PORTS_OF[verb]) if verb in PORTS_OF else check_installation()
    serious = [finding for finding in found if finding.serious]
    for finding in serious:
        print(finding, file=sys.stderr)
    return 1 if serious else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
