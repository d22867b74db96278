"""Measure this host with psutil, as a stream: what is sent was measured, so a seed cannot repeat it.

>>> HostMetrics(seed=0).emit(0, 1, log, run="r1", sent_at=0).events[0].metric
'cpu'
"""

from __future__ import annotations

import platform
import time

import numpy as np
import psutil
from numpy.typing import NDArray

from kernel_lib.knob_log import KnobLog
from kernel_lib.records import SystemMetric
from kernel_lib.streams import Emission, iso_stamps

_FRESH_SECONDS = 0.5
_UNITS = {"cpu": "percent", "memory": "percent", "disk": "percent", "load": "processes", "processes": "processes"}


class HostMetrics:
    """The figures in turn; each is measured anew when it is older than half a second."""

    event_types = tuple(_UNITS)

    def __init__(self, seed: int = 1) -> None:
        self._host = platform.node() or "localhost"
        self._measured: dict[str, float] = {}
        self._measured_at = -_FRESH_SECONDS
        psutil.cpu_percent()  # the first call only starts the measurement

    def types(self, first: int, count: int, log: KnobLog) -> NDArray[np.int64]:
        """Return which metric each of `count` events from index `first` on is, as indices into `event_types`."""
        return np.arange(first, first + count) % len(self.event_types)

    def emit(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int) -> Emission:
        """Return measured values with the host as the key."""
        types, stamps = self.types(first, count, log), iso_stamps(log.times_ms(first, count))
        values = self._values()
        events = [
            SystemMetric(f"{run}-{index}", stamp, self._host, name, values[name], _UNITS[name], sent_at)
            for index, (stamp, name) in enumerate(
                zip(stamps, map(self.event_types.__getitem__, types.tolist()), strict=True), first
            )
        ]
        return Emission([*events], [self._host] * count, types)

    def _values(self) -> dict[str, float]:
        if time.monotonic() - self._measured_at >= _FRESH_SECONDS:
            self._measured_at = time.monotonic()
            self._measured = {
                "cpu": psutil.cpu_percent(),
                "memory": psutil.virtual_memory().percent,
                "disk": psutil.disk_usage("/").percent,
                "load": round(psutil.getloadavg()[0], 2),
                "processes": float(len(psutil.pids())),
            }
        return self._measured
