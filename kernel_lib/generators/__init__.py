"""Find the generator of a topic: seeded streams with planted truths, and measured metrics of this host.

>>> generators.event_types("iot-sensors")
('humidity', 'power', 'pressure', 'temperature', 'vibration')
"""

from __future__ import annotations

from kernel_lib.errors import NotFound
from kernel_lib.generators.host_metrics import HostMetrics
from kernel_lib.generators.sensor_readings import SensorReadings as SensorReadings
from kernel_lib.generators.streams import SeededStream as SeededStream
from kernel_lib.generators.streams import Stream
from kernel_lib.generators.transactions import Transactions as Transactions
from kernel_lib.generators.user_events import UserEvents as UserEvents
from kernel_lib.records import PARTITIONS

SEEDED: dict[str, type[SeededStream]] = {
    "user-events": UserEvents,
    "transactions": Transactions,
    "iot-sensors": SensorReadings,
}
STREAMS: dict[str, type[SeededStream] | type[HostMetrics]] = {**SEEDED, "system-metrics": HostMetrics}


def stream(topic: str, seed: int, partitions: int = PARTITIONS) -> Stream:
    """Return the generator of a topic; raises NotFound, naming those that exist."""
    return _class(topic)(seed, partitions=partitions)


def seeded(topic: str, seed: int, partitions: int = PARTITIONS) -> SeededStream:
    """Return the generator of a topic that can be replayed; raises NotFound, also for measured metrics."""
    if topic not in SEEDED:
        raise NotFound(f"Events of {topic!r} cannot be replayed.", cause=f"they can for: {', '.join(sorted(SEEDED))}")
    return SEEDED[topic](seed, partitions=partitions)


def event_types(topic: str) -> tuple[str, ...]:
    """Return the event types that a topic's generator makes; raises NotFound."""
    return _class(topic).event_types


def knobs(topic: str) -> tuple[str, ...]:
    """Return the names of the knobs that a topic's producer has; raises NotFound."""
    return _class(topic).knobs


def _class(topic: str) -> type[SeededStream] | type[HostMetrics]:
    if topic not in STREAMS:
        raise NotFound(
            f"There is no generator for {topic!r}.",
            cause=f"generators exist for: {', '.join(sorted(STREAMS))}",
            remedy='producer.start("user-events")',
        )
    return STREAMS[topic]
