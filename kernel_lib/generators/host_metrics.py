"""Measure this host with psutil, as a stream: what is sent was measured, so a seed cannot repeat it.

>>> HostMetrics().emit(0, 1, log, run="r1", sent_at=0).keys
['laptop']
"""

from __future__ import annotations

import platform
import time

import msgspec
import numpy as np
import psutil

from kernel_lib.generators.partitioner import partition_of
from kernel_lib.generators.streams import COMMON_KNOBS, Emission, iso_stamps
from kernel_lib.knob_log import KnobLog
from kernel_lib.records import PARTITIONS, SystemMetric

_FRESH_SECONDS = 0.5
_UNITS = {"cpu": "percent", "memory": "percent", "disk": "percent", "load": "processes", "processes": "processes"}


class HostMetrics:
    """The figures in turn; each is measured anew when it is older than half a second."""

    event_types: tuple[str, ...] = tuple(_UNITS)
    knobs = COMMON_KNOBS

    def __init__(self, seed: int = 1, *, partitions: int = PARTITIONS) -> None:
        self._host = platform.node() or "localhost"
        self._partition = partition_of(self._host.encode(), partitions)
        self._measured: dict[str, float] = {}
        self._measured_at = -_FRESH_SECONDS
        psutil.cpu_percent()  # the first call only starts the measurement

    def emit(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int) -> Emission:
        """Return measured values with the host as the key."""
        index = np.arange(first, first + count)
        types, stamps = index % len(self.event_types), iso_stamps(log.due_ms(index))
        names, values = list(map(self.event_types.__getitem__, types.tolist())), self._values()
        events = [
            SystemMetric(f"{run}-{number}", stamp, self._host, name, values[name], _UNITS[name], sent_at)
            for number, stamp, name in zip(index.tolist(), stamps, names, strict=True)
        ]
        withheld = np.zeros(count, bool)
        for which, knobs in log.each(index):
            withheld[which] = self._host in knobs.silent_keys or self._partition in knobs.silent_partitions
        return Emission(list(map(msgspec.json.encode, events)), [self._host] * count, types, withheld)

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
