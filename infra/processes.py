"""Know the processes of this machine as far as a course must: which are its own, and who holds a port.

>>> processes.listeners().get(9092)
4711
>>> processes.belongs_to_course(4711, Path("/home/ann/course/.course"))
True

Read from /proc with the standard library alone, since it is asked before any package is installed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MARKER = "COURSE_SERVICE_OF"
"""The variable that every process of a course carries, so that one whose supervisor died is found again."""

PROC = Path("/proc")
_LISTENING = "0A"


def belongs_to_course(pid: int | None, home: Path) -> bool:
    """Tell whether a process is a service, or a child of a service, of the course in `home`."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, is a zombie, or belongs to somebody else
        return False
    return os.fsencode(f"{MARKER}={home}") in environment


def listeners() -> dict[int, int | None]:
    """Return the TCP ports of this machine on which somebody listens, with the process; None is another user's."""
    ports = {port: inode for file in ("tcp", "tcp6") for port, inode in _listening(PROC / "net" / file)}
    owners = _owners(set(ports.values())) if ports else {}
    return {port: owners.get(inode) for port, inode in ports.items()}


def describe(pid: int | None) -> str:
    """Return what a person needs to know of a process to end it."""
    if pid is None:
        return "a process of another user"
    try:
        name = (PROC / str(pid) / "comm").read_text().strip()
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({name}: {command.strip()[:80]})"


def _listening(table: Path) -> list[tuple[int, str]]:
    """Return the port and the inode of each listening socket of a table of the kernel; none where it has no IPv6."""
    if not table.exists():
        return []
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [(int(row[1].rpartition(":")[2], 16), row[9]) for row in rows if row[3] == _LISTENING]


def _owners(inodes: set[str]) -> dict[str, int]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, int] = {}
    for folder in PROC.glob("[0-9]*/fd"):
        with suppress(OSError):  # it has ended, or belongs to somebody else
            for link in _links(folder):
                if link in wanted:
                    found[wanted[link]] = int(folder.parent.name)
    return found


def _links(folder: Path) -> list[str]:
    links = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(file.readlink()))
    return links
