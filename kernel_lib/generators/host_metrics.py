"""Measure this host with psutil, as a stream: what is sent was measured, so a seed cannot repeat it.

>>> HostMetrics().emit(0, 1, log, run="r1", sent_at=0).keys
['laptop']
"""

from __future__ import annotations

import platform
import time

import numpy as np
import psutil

from kernel_lib.generators.json_texts import column, records, stamps, table
from kernel_lib.generators.partitioner import partition_of
from kernel_lib.generators.streams import COMMON_KNOBS, Emission
from kernel_lib.knob_log import KnobLog
from kernel_lib.records import PARTITIONS

_FRESH_SECONDS = 0.5
_UNITS = {"cpu": "percent", "memory": "percent", "disk": "percent", "load": "processes", "processes": "processes"}
_METRIC_FIELDS, _UNIT_FIELDS = table("metric", _UNITS), table("unit", _UNITS.values())


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
        types, measured = index % len(self.event_types), self._values()
        columns = [
            stamps(log.due_ms(index)),
            column("host", [self._host] * count),
            _METRIC_FIELDS[types],
            table("value", [measured[name] for name in self.event_types])[types],
            _UNIT_FIELDS[types],
        ]
        values = [draft + b"%d}" % sent_at for draft in records(run, index, columns)]
        withheld = np.zeros(count, bool)
        for which, knobs in log.each(index):
            withheld[which] = self._host in knobs.silent_keys or self._partition in knobs.silent_partitions
        return Emission(values, [self._host] * count, types, withheld)

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
