"""Own whose a Flink job is: the process and lesson that submitted it, or the course itself.

>>> Owner.this_process().is_gone()
False
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

Kind = Literal["kernel", "course"]


@dataclass(frozen=True)
class Owner:
    """Who submitted a job: a process on a host, and the lesson it was in; or the course itself."""

    kind: Kind
    host: str
    pid: int
    created: str
    lesson: str = ""

    @classmethod
    def this_process(cls, kind: Kind = "kernel", lesson: str = "") -> Owner:
        """Return the owner that this process is; the lesson is the notebook's name unless given."""
        notebook = Path(os.environ.get("JPY_SESSION_NAME", "")).stem
        pid = os.getpid()
        return cls(kind, socket.gethostname(), pid, _created(psutil.Process(pid)), lesson or notebook)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Owner | None:
        """Read what `parameters` wrote; None for a job that this library did not submit."""
        if parameters.get("owner") not in ("kernel", "course"):
            return None
        kind: Kind = "course" if parameters["owner"] == "course" else "kernel"
        return cls(
            kind,
            parameters["owner-host"],
            int(parameters["owner-pid"]),
            parameters["owner-created"],
            parameters["owner-lesson"],
        )

    def parameters(self) -> dict[str, str]:
        """Return this owner as global parameters of a job, which Flink's REST interface shows."""
        return {
            "owner": self.kind,
            "owner-host": self.host,
            "owner-pid": str(self.pid),
            "owner-created": self.created,
            "owner-lesson": self.lesson,
        }

    def is_gone(self) -> bool:
        """Say whether this owner was a process of this host and has ended."""
        if self.kind == "course" or self.host != socket.gethostname():
            return False
        try:
            return _created(psutil.Process(self.pid)) != self.created
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return "the course" if self.kind == "course" else f"{self.lesson or 'a Python process'} (pid {self.pid})"


def _created(process: psutil.Process) -> str:
    """Tell a process from a later one with the same pid."""
    return f"{process.create_time():.2f}"
