from random import Random

import pytest

from flink_jobs.detect_anomalies import (
    PARAMETERS,
    WARM_UP,
    Level,
    Reading,
    Sensor,
    explanation,
    severity,
    started,
)

USUAL = [20 + 0.5 * ((7 * step) % 5 - 2) for step in range(60)]


def reading(value: float, event_id: str = "r-1") -> Reading:
    return Reading(event_id, value, "temperature", "°C", 7)


def after(values: list[float]) -> tuple[Sensor, list[list[str]]]:
    sensor, found = Sensor(), []
    for number, value in enumerate(values):
        sensor, anomalies = sensor.with_reading(reading(value, f"r-{number}"), 1000 * number, PARAMETERS)
        found.append(anomalies)
    return sensor, found


def test_usual_readings_are_no_anomaly() -> None:
    sensor, found = after(USUAL)
    assert not any(found)
    assert sensor.level.mean == pytest.approx(20, abs=0.3)
    assert sensor.last_ms == 59_000


def test_a_jump_off_and_back_is_a_spike_and_hardly_moves_the_mean() -> None:
    sensor, found = after([*USUAL, 40.0, *USUAL[:5]])
    assert [at for at, anomalies in enumerate(found) if anomalies == ["spike"]] == [60]
    assert sum(map(len, found)) == 1
    assert sensor.level.mean == pytest.approx(20, abs=0.6)


def test_a_climb_is_one_drift_and_no_spike() -> None:
    _, found = after([*USUAL, *(20 + 1.0 * step for step in range(1, 17))])
    assert [anomalies for anomalies in found if anomalies] == [["drift"]]


def test_the_fifth_same_value_is_stuck_with_all_five_events_and_none_after_it() -> None:
    _, found = after([*USUAL, *8 * [20.25]])
    assert [at for at, anomalies in enumerate(found) if anomalies == ["stuck"]] == [64]
    sensor, _ = after([*USUAL, *5 * [20.25]])
    assert sensor.ids == ("r-60", "r-61", "r-62", "r-63", "r-64")
    assert after(USUAL)[0].ids == ("r-59",)


def test_what_is_stuck_teaches_nothing() -> None:
    assert after([*USUAL, 20.25])[0].level == after([*USUAL, *9 * [20.25]])[0].level


def test_the_first_readings_are_judged_by_none() -> None:
    sensor, found = after([*USUAL[:8], 90.0, *USUAL[: WARM_UP - 10]])
    assert not any(found)
    assert (sensor.level.mean, sensor.level.deviations(100)) == (None, 0.0)


def test_medians_start_the_level_so_that_a_spike_does_not_count() -> None:
    random = Random(1)
    values = tuple(random.gauss(20, 1) for _ in range(WARM_UP))
    assert started(values[1:]) == Level(values[1:])
    clean, spoilt = started(values), started((*values[:8], 90.0, *values[9:]))
    assert clean.mean == pytest.approx(20, abs=0.6)
    assert clean.deviation == pytest.approx(1, rel=0.5)
    assert spoilt.deviation == pytest.approx(clean.deviation, rel=0.7)


def test_a_level_without_any_change_is_not_known_yet() -> None:
    assert started(WARM_UP * (20.0, 21.0)).mean == 20.5
    assert started(tuple(float(step // WARM_UP) for step in range(WARM_UP + 1))).mean is None


def test_severity_follows_how_far_off_a_spike_is() -> None:
    assert [severity("spike", z, PARAMETERS) for z in (6.0, -10.0, 16.0)] == ["low", "medium", "high"]
    assert severity("missing", 0.0, PARAMETERS) == "high"


def test_explanations_say_the_value_its_unit_and_the_mean() -> None:
    sensor, _ = after(USUAL)
    said = explanation("spike", "sensor-1", reading(40.0), sensor, sensor)
    assert said.startswith("sensor-1: 40 °C is ")
    assert " deviations above its mean of " in said
    assert explanation("stuck", "sensor-1", reading(40.0), sensor, sensor) == "sensor-1: 40 °C, 1 times in a row"
    assert "stayed below" in explanation("drift", "sensor-1", reading(4.0), sensor, sensor)
