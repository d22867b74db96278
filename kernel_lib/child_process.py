"""Own the processes that a notebook starts beside itself: told what to do through standard input, answering in lines.

So no password stands on a command line or in an environment, and the end of the pipe tells a child that its parent
is gone, also after kill -9.

    >>> child = Child("kernel_lib.producer_process", str(folder), stderr=log)
    >>> child.tell(order)
    True
    >>> child.end_within(10)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from kernel_lib.errors import WaitTimeout
from kernel_lib.waiting import wait_until

_ROOT = str(Path(__file__).resolve().parent.parent)
Line = TypeVar("Line", bound=msgspec.Struct)


class Child:
    """A process that runs a module of this library; `stderr` is a file, or subprocess.STDOUT."""

    def __init__(self, module: str, *arguments: str, stderr: IO[bytes] | int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": _ROOT},
            # Interrupting a notebook or a command line is not meant for its children.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The code it ended with, negative after a signal; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> IO[bytes]:
        """What it writes, line by line."""
        assert self._process.stdout
        return self._process.stdout

    def tell(self, line: msgspec.Struct) -> bool:
        """Send a line of JSON; return whether somebody reads it."""
        assert self._process.stdin
        try:
            self._process.stdin.write(msgspec.json.encode(line) + b"\n")
        except (BrokenPipeError, ValueError):  # the reader is gone; or this side is closed
            return False
        return True

    def end_within(self, seconds: float) -> None:
        """Wait until it has ended by itself, or kill it when the time is up."""
        try:
            wait_until(lambda: not self.alive, seconds, f"process {self.pid} to end", interval_seconds=0.02)
        except WaitTimeout:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Wait for its end, and close the pipes."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


def first_line(kind: type[Line]) -> Line:
    """Return the order that stands in the first line of this process's standard input; what follows is not touched."""
    with open(0, "rb", buffering=0, closefd=False) as unbuffered:
        return msgspec.json.decode(unbuffered.readline(), type=kind)


def say(line: msgspec.Struct) -> None:
    """Write a line of JSON to this process's standard output, which its parent reads."""
    os.write(1, msgspec.json.encode(line) + b"\n")
