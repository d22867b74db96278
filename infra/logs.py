"""Read the logs of all services as one, in the order of time.

>>> for line in logs.lines(layout.logs, ["kafka-1"], last=20): print(line)
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from kernel_lib.errors import NotFound
from kernel_lib.waiting import wait_until

_STAMP = re.compile(r"^\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)[.,](\d{3})")


class Line(NamedTuple):
    """A line of a log; one without a time of its own (a stack trace) has the time of the line before."""

    time: str
    service: str
    text: str


def names(folder: Path) -> list[str]:
    """Return the services that have a log in `folder`."""
    return sorted(path.stem for path in folder.glob("*.log"))


def lines(folder: Path, services: Sequence[str], *, last: int) -> list[Line]:
    """Return the newest `last` lines of the logs of `services` (none means all), oldest first."""
    chosen = _chosen(folder, services)
    merged = heapq.merge(*(_read(folder, name, last) for name in chosen), key=lambda line: line.time)
    return list(deque(merged, maxlen=last))


def follow(folder: Path, services: Sequence[str]) -> Iterator[Line]:
    """Yield lines as they are written, for ever."""
    files = {name: _open_at_end(folder / f"{name}.log") for name in _chosen(folder, services)}
    while True:
        yield from wait_until(lambda: _news(files), math.inf, "new log lines", interval_seconds=0.25)


def _chosen(folder: Path, services: Sequence[str]) -> list[str]:
    known = names(folder)
    for name in services:
        if name not in known:
            raise NotFound(f"{name!r} has no log.", cause=f"there are logs of {', '.join(known) or 'nothing yet'}")
    return list(services) or known


def _read(folder: Path, name: str, last: int) -> Iterator[Line]:
    rotated = sorted(folder.glob(f"{name}.log.*"), reverse=True)
    texts = itertools.chain.from_iterable(path.read_text(errors="replace").splitlines() for path in rotated)
    current = (folder / f"{name}.log").read_text(errors="replace").splitlines()
    return _stamped(name, deque(itertools.chain(texts, current), maxlen=last))


def _stamped(name: str, texts: Iterator[str] | deque[str]) -> Iterator[Line]:
    time = ""
    for text in texts:
        match = _STAMP.match(text)
        time = f"{match[1]}T{match[2]}.{match[3]}" if match else time
        yield Line(time, name, text)


def _open_at_end(path: Path) -> TextIO:
    file = path.open(errors="replace")
    file.seek(0, 2)
    return file


def _news(files: dict[str, TextIO]) -> list[Line]:
    for name, file in files.items():
        if Path(file.name).stat().st_ino != _inode(file):  # rotated meanwhile
            file.close()
            files[name] = open(file.name, errors="replace")  # noqa: SIM115  closed when it is rotated, like its predecessor
    fresh = [line for name, file in files.items() for line in _stamped(name, iter(file.read().splitlines()))]
    return sorted(fresh, key=lambda line: line.time)


def _inode(file: TextIO) -> int:
    return os.fstat(file.fileno()).st_ino
