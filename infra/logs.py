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
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kernel_lib.errors import NotFound
from kernel_lib.waiting import wait_until

# 2026-01-31T12:00:00.000, 2026-01-31 12:00:00,000 and JupyterLab's [I 2026-01-31 12:00:00.000
_STAMP = re.compile(r"^(?:\[[A-Z] |\[)?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)[.,](\d{3})")


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
    """Return the lines that are written from now on, for ever."""
    tails = [_Tail(folder / f"{name}.log") for name in _chosen(folder, services)]

    def news() -> list[Line]:
        return sorted((line for tail in tails for line in tail.news()), key=lambda line: line.time)

    def endless() -> Iterator[Line]:
        while True:
            yield from wait_until(news, math.inf, "new log lines", interval_seconds=0.25)

    return endless()


def _chosen(folder: Path, services: Sequence[str]) -> list[str]:
    known = names(folder)
    for name in services:
        if name not in known:
            raise NotFound(f"{name!r} has no log.", cause=f"there are logs of {', '.join(known) or 'nothing yet'}")
    return list(services) or known


class _Tail:
    """What is new in one log, across its rotations; a line counts when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open(errors="replace")
        self._file.seek(0, os.SEEK_END)
        self._begun = ""
        self._time = ""

    def news(self) -> list[Line]:
        text = self._begun + self._file.read()
        if self._rotated():
            self._file.close()
            self._file = self._path.open(errors="replace")
            text += self._file.read()
        *complete, self._begun = text.split("\n")
        fresh = list(_stamped(self._path.stem, complete, self._time))
        self._time = fresh[-1].time if fresh else self._time
        return fresh

    def _rotated(self) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:  # renamed, and not made anew yet
            return False


def _read(folder: Path, name: str, last: int) -> Iterator[Line]:
    rotated = sorted(folder.glob(f"{name}.log.*"), reverse=True)
    texts = (path.read_text(errors="replace").splitlines() for path in (*rotated, folder / f"{name}.log"))
    return _stamped(name, deque(itertools.chain.from_iterable(texts), maxlen=last))


def _stamped(name: str, texts: Iterable[str], time: str = "") -> Iterator[Line]:
    for text in texts:
        match = _STAMP.match(text)
        time = f"{match[1]}T{match[2]}.{match[3]}" if match else time
        yield Line(time, name, text)
