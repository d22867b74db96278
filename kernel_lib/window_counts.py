"""Own the records that count_events writes: so many events of a type in a window of event time.

>>> window_counts.compared(shop, job)
           sent  counted  difference
page_view  6346     6346           0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
import pandas as pd

from kernel_lib import cluster, topics
from kernel_lib.job import Job
from kernel_lib.kafka_client import Record
from kernel_lib.producer import Producer

MOST_RECORDS = 1_000_000


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


def counted(job: Job, topic: str = "metrics") -> Counter[str]:
    """Return how many events of each type a job has counted, in the windows that it closed since it started.

    Raises ServiceUnavailable, NotFound.
    """
    started_ms = cluster.get(job.settings, f"/jobs/{job.id}")["start-time"]
    return total(parsed(topics.read(topic, since_ms=started_ms, limit=MOST_RECORDS, settings=job.settings)))


def total(counts: Iterable[WindowCount]) -> Counter[str]:
    """Return the sum over the windows, by type."""
    sums: Counter[str] = Counter()
    for row in counts:
        sums[row.eventType] += row.count
    return sums


def compared(producer: Producer, job: Job, topic: str = "metrics") -> pd.DataFrame:
    """Return, by type, what a producer sent, what a job counted, and the difference."""
    return difference(producer.stats.by_type, counted(job, topic))


def difference(sent: Mapping[str, int], counts: Mapping[str, int]) -> pd.DataFrame:
    """Return two counts side by side, with a row for their sum."""
    frame = pd.DataFrame({"sent": pd.Series(sent, dtype=int), "counted": pd.Series(counts, dtype=int)})
    frame = frame.fillna(0).astype(int)
    frame.loc["all"] = frame.sum()
    return frame.assign(difference=frame["counted"] - frame["sent"])
