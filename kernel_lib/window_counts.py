"""Own the records that count_events writes: so many events of a type in a window of event time.

>>> window_counts.compared(shop).text
'counted equals sent: 6,000 events in 60 closed windows'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from kernel_lib import oracle, runs, topics
from kernel_lib.kafka_client import Record
from kernel_lib.oracle import Comparison, Window
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load
from kernel_lib.timestamps import epoch_ms

MOST_RECORDS = 1_000_000
SECOND = timedelta(seconds=1)


class WindowCount(msgspec.Struct, frozen=True):
    """A record of the topic `metrics`; the times are ISO-8601 in UTC."""

    windowStart: str
    windowEnd: str
    eventType: str
    count: int


def parsed(records: Iterable[Record]) -> list[WindowCount]:
    """Return the window counts among the records; other records of the topic are passed over."""
    found = []
    for record in records:
        try:
            found.append(msgspec.json.decode(record.value or b"", type=WindowCount))
        except msgspec.DecodeError:
            continue
    return found


def compared(
    producer: Producer,
    topic: str = "metrics",
    *,
    window: timedelta = SECOND,
    drained: bool = False,
    settings: Settings | None = None,
) -> Comparison:
    """Compare what a producer sent with what the job counted, in the windows that the job has closed.

    With `drained` also the last one, which only draining closes. Raises ServiceUnavailable, NotFound.
    """
    settings = settings or load()
    since_ms = runs.Run.open(producer.run).identity.started_ms
    counted: Counter[Window] = Counter()
    for row in parsed(topics.read(topic, since_ms=since_ms, limit=MOST_RECORDS, settings=settings)):
        counted[Window(round(epoch_ms(row.windowStart)), row.eventType)] += row.count
    return oracle.compare(counted, oracle.sent_by_window([producer], window), drained=drained)
