from datetime import timedelta

import numpy as np
import pandas as pd

from kernel_lib import oracle_sensors

LIMITS = {"spike_z": 6.0, "drift_sum": 10.0}


def series(values: list[float], sensor: str = "s-1") -> pd.DataFrame:
    times = 1000 * np.arange(len(values))
    return pd.DataFrame({"number": range(len(values)), "timeMs": times, "sensorId": sensor, "value": values})


def usual(count: int) -> list[float]:
    return list(map(float, np.random.default_rng(1).normal(20, 1, count).round(3)))


def flags(values: list[float]) -> dict[str, list[int]]:
    found = oracle_sensors.judged(series(values), **LIMITS, stuck_readings=4)
    return {kind: found.index[found[kind]].tolist() for kind in ("spike", "drift", "stuck")}


def test_usual_readings_are_no_anomaly() -> None:
    assert flags(usual(500)) == {"spike": [], "drift": [], "stuck": []}


def test_a_reading_that_jumps_off_and_back_is_one_spike() -> None:
    assert flags([*usual(40), 35.0, *usual(40)]) == {"spike": [40], "drift": [], "stuck": []}


def test_readings_that_climb_away_are_one_drift_and_no_spike() -> None:
    found = flags([*usual(60), *(20 + 1.5 * step for step in range(1, 17)), *usual(10)])
    assert found["spike"] == found["stuck"] == []
    assert len(found["drift"]) == 1
    assert 60 < found["drift"][0] < 70


def test_the_same_value_four_times_is_stuck_once() -> None:
    assert flags([*usual(40), *6 * [20.5], *usual(20), *3 * [19.5]])["stuck"] == [43]


def test_nothing_is_judged_before_there_are_sixteen_readings() -> None:
    found = oracle_sensors.judged(series([*usual(10), 90.0, *usual(10)]), **LIMITS, stuck_readings=4)
    assert found["mean"].isna().tolist() == [True] * 16 + [False] * 5
    assert not found["spike"].any()


def test_a_silence_has_a_reading_before_and_after_it() -> None:
    frame = series([1.0, 2.0, 3.0, 4.0]).assign(timeMs=[0, 1000, 9000, 14_000])
    found = oracle_sensors.silences(frame, timedelta(seconds=5))
    assert found.values.tolist() == [["s-1", 1000, 9000]]


def test_what_a_sensor_says_twice_at_one_time_counts_once() -> None:
    twice = pd.concat([series([1.0, 2.0]), series([1.0, 2.0]).assign(number=[7, 8])])
    assert oracle_sensors.in_order(twice)["number"].tolist() == [0, 1]
