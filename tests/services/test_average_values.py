"""Moving averages of average_values, against those of the replayed run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernel_lib import jobs, oracle, oracle_windows, producer, timestamps, topics
from kernel_lib.oracle_windows import Counted
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings

SIZE, SLIDE = timedelta(milliseconds=900), timedelta(milliseconds=300)
KNOBS: dict[str, Any] = {"delay_ms": 100, "jitter_ms": 40, "malformed_share": 0.02, "duplicate_share": 0.02}
FIELDS = ("unit", "readings", "lowest", "highest", "average")


def expected(run: Producer, by: str, size: timedelta = SIZE, slide: timedelta = SLIDE) -> dict[Counted, list[Any]]:
    """Return the right row of each window; an average's last digits depend on the order in which Flink adds."""
    rows = oracle_windows.moving_averages(oracle.replay(run), size, slide, by=by)
    return {window: [*rest, pytest.approx(average, rel=1e-9)] for window, (*rest, average) in rows.items()}


def found(settings: Settings, by: str, topic: str = "metrics") -> dict[Counted, list[Any]]:
    """Return the rows that the job wrote, one a window; says if there are two."""
    rows = [record.json() for record in topics.read(topic, limit=1_000_000, settings=settings)]
    written = [row for row in rows if "average" in row]
    windows = {
        Counted(epoch_ms(row["windowStart"]), epoch_ms(row["windowEnd"]), row[by]): [row[each] for each in FIELDS]
        for row in written
    }
    assert len(windows) == len(written)
    return windows


def epoch_ms(timestamp: str) -> int:
    return round(timestamps.epoch_ms(timestamp))


def test_each_window_has_the_average_of_its_readings_by_type_and_by_sensor(settings: Settings) -> None:
    """Fails when a window is a slide longer, or when late readings are dropped because the bound for out-of-orderness
    is 50 ms."""
    for name in ("iot-sensors", "deviceType", "sensorId"):
        topics.create(name, settings=settings)
    running = [
        jobs.submit(
            "average_values",
            name=by,
            by=by,
            averages=by,
            size_seconds=SIZE.total_seconds(),
            slide_seconds=SLIDE.total_seconds(),
            settings=settings,
        )
        for by in ("deviceType", "sensorId")
    ]
    for job in running:
        job.wait_running()
    with producer.start("iot-sensors", events_per_second=1000, count=4000, seed=5, settings=settings, **KNOBS) as home:
        home.wait(60)
    for job in running:
        job.drain()
    for by in ("deviceType", "sensorId"):
        assert found(settings, by, topic=by) == expected(home, by)
