from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from kernel_lib import jobs, oracle, oracle_sensors, producer, topics
from kernel_lib.job import Job
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.timestamps import epoch_ms

SENSORS, COUNT, RATE = 40, 5000, 500
PERIOD = timedelta(seconds=SENSORS / RATE)
LIMITS: dict[str, Any] = {"spike_z": 6.0, "drift_sum": 10.0, "stuck_readings": 5}
# A dropout is longer than this; two readings that are malformed one after the other are not.
SILENCE = 6.5 * PERIOD
JUDGED = ("spike", "drift", "stuck")
# A kind of alert, its sensor, and the event time at which it was complete.
Found = set[tuple[str, str, int]]


@pytest.fixture(autouse=True)
def all_topics(settings: Settings) -> None:
    for name in ("iot-sensors", "metrics", "alerts", "acknowledgements"):
        topics.create(name, partitions=2, append_time=name != "iot-sensors", settings=settings)
    topics.create("control", compacted=True, settings=settings)


def send(settings: Settings, count: int, **knobs: Any) -> Producer:
    with producer.start(
        "iot-sensors",
        events_per_second=RATE,
        count=count,
        keys=SENSORS,
        anomaly_share=0.06,
        settings=settings,
        **knobs,
    ) as sent:
        sent.wait(60)
    return sent


def judged(run: Producer) -> pd.DataFrame:
    return oracle_sensors.judged(oracle.replay(run), **LIMITS)


def expected(run: Producer) -> Found:
    """Return the alerts that the statistic says; a sensor is missing only if it spoke again."""
    readings, silences = judged(run), oracle_sensors.silences(oracle.replay(run), SILENCE)
    missing_ms = SILENCE // timedelta(milliseconds=1)
    alerts = {
        (kind, *place)
        for kind in JUDGED
        for place in readings.loc[readings[kind], ["sensorId", "timeMs"]].itertuples(index=False, name=None)
    }
    ended = silences[["sensorId", "lastMs"]].itertuples(index=False, name=None)
    return alerts | {("missing", sensor, last_ms + missing_ms) for sensor, last_ms in ended}


def found(run: Producer, settings: Settings) -> Found:
    """Return the alerts, without those on sensors that were missing when the run ended."""
    last = oracle.replay(run).groupby("sensorId")["timeMs"].max()
    rows = [record.json() for record in topics.read("alerts", settings=settings)]
    alerts = [(row["alert"], row["key"], round(epoch_ms(row["timestamp"]))) for row in rows]
    assert len(alerts) == len(set(alerts))
    return {each for each in alerts if each[0] != "missing" or each[2] < last[each[1]]}


def submit(settings: Settings) -> Job:
    # Never idle: on a busy machine a drain may take longer than the time-out allows.
    return jobs.submit(
        "detect_anomalies",
        idle_timeout_seconds=600,
        missing_seconds=SILENCE.total_seconds(),
        settings=settings,
        **LIMITS,
    )


def planted(run: Producer, kind: str, least: int = 1) -> set[tuple[str, int, int]]:
    truths = oracle.truths(run)
    chosen = truths[(truths["truth"] == kind) & (truths["numbers"].map(len) >= least)]
    return set(chosen[["key", "firstMs", "lastMs"]].itertuples(index=False, name=None))


def hits(episodes: set[tuple[str, int, int]], alerts: Found, kind: str) -> set[tuple[str, int, int]]:
    return {
        (key, first, last)
        for key, first, last in episodes
        if any(alert == kind and sensor == key and first <= at <= last for alert, sensor, at in alerts)
    }


def test_what_is_planted_is_found(settings: Settings) -> None:
    """Fails when stuck is said one reading later than asked, or a silence a millisecond later."""
    job = submit(settings)
    run = send(settings, COUNT)
    job.drain()
    alerts = found(run, settings)
    assert alerts == expected(run)
    readings = judged(run)
    known_ms = readings[readings["mean"].notna()].groupby("sensorId")["timeMs"].min()

    stuck = planted(run, "stuck", LIMITS["stuck_readings"])
    assert hits(stuck, alerts, "stuck") == stuck
    assert len(stuck) == sum(kind == "stuck" for kind, *_ in alerts)
    ended_ms = oracle.replay(run).groupby("sensorId")["timeMs"].max()
    dropouts = {each for each in planted(run, "dropout") if each[2] < ended_ms[each[0]]}
    assert hits(dropouts, alerts, "missing") == dropouts
    assert len(dropouts) == sum(kind == "missing" for kind, *_ in alerts)
    spikes = {each for each in planted(run, "spike") if each[1] >= known_ms[each[0]]}
    assert hits(spikes, alerts, "spike") == spikes
    assert len(spikes) / sum(kind == "spike" for kind, *_ in alerts) >= 0.75
    drifts = {each for each in planted(run, "drift", 16) if each[1] >= known_ms[each[0]]}
    assert len(hits(drifts, alerts, "drift")) / len(drifts) >= 0.8
    assert min(map(len, (stuck, dropouts, spikes, drifts))) >= 5


def test_order_of_arrival_duplicates_and_malformed_readings_change_nothing(settings: Settings) -> None:
    """Fails when a reading within the bound for out-of-orderness is taken for late."""
    job = submit(settings)
    run = send(settings, 2600, delay_ms=100, jitter_ms=60, malformed_share=0.02, duplicate_share=0.02)
    job.drain()
    assert found(run, settings) == expected(run)
    ordered = oracle_sensors.in_order(oracle.replay(run))
    sent = sorted(zip(ordered["sensorId"], ordered["timeMs"].tolist(), ordered["value"], strict=True))
    rows = [record.json() for record in topics.read("metrics", settings=settings)]
    assert sorted((row["sensorId"], round(epoch_ms(row["timestamp"])), row["value"]) for row in rows) == sent
    spikes = [row for row in rows if "spike" in row["flagged"]]
    assert spikes
    assert not any(row["low"] <= row["value"] <= row["high"] for row in spikes)
