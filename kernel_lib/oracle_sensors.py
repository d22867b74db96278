"""Say which readings of replayed sensors are anomalies, by the statistic that `detect_anomalies` describes.

    >>> found = oracle_sensors.judged(oracle.replay(run), spike_z=6, drift_sum=10, stuck_readings=5)
    >>> oracle_sensors.silences(oracle.replay(run), timedelta(seconds=5))

It shares no code with the job: it computes a sensor's whole series at once where it can.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_WARM_UP, _WEIGHT, _MOST_Z, _ALLOWED_Z = 16, 0.06, 3.0, 1.0


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the readings of each sensor by time; of those that a sensor says twice at one time, the first."""
    return (
        frame.sort_values(["sensorId", "timeMs", "number"], kind="stable")
        .drop_duplicates(["sensorId", "timeMs"])
        .reset_index(drop=True)
    )


def judged(frame: pd.DataFrame, *, spike_z: float, drift_sum: float, stuck_readings: int) -> pd.DataFrame:
    """Return each reading with `mean`, `deviation` and `z` before it (NaN while unknown), `spike`, `drift`, `stuck`."""
    parts = [
        _judged(readings, spike_z, drift_sum, stuck_readings)
        for _, readings in in_order(frame).groupby("sensorId", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def silences(frame: pd.DataFrame, longest: timedelta) -> pd.DataFrame:
    """Return the silences of sensors that lasted longer and ended: `sensorId`, `lastMs` before, `nextMs` after it."""
    ordered = in_order(frame)
    after = ordered.assign(lastMs=ordered["timeMs"], nextMs=ordered.groupby("sensorId")["timeMs"].shift(-1))
    gap_ms = longest // timedelta(milliseconds=1)
    long = after[after["nextMs"] - after["lastMs"] > gap_ms]
    return long[["sensorId", "lastMs", "nextMs"]].astype({"nextMs": int}).reset_index(drop=True)


def _judged(readings: pd.DataFrame, spike_z: float, drift_sum: float, stuck_readings: int) -> pd.DataFrame:
    values = readings["value"].to_numpy()
    run = (readings["value"] != readings["value"].shift()).cumsum()
    place = readings.groupby(run).cumcount().to_numpy() + 1
    mean, deviation = _levels(values, fresh=place == 1)
    z = np.nan_to_num((values - mean) / deviation)
    step = np.abs(np.nan_to_num(np.diff(values, prepend=values[:1]) / deviation))
    limited = np.clip(z, -_MOST_Z, _MOST_Z)
    return readings.assign(
        mean=mean,
        deviation=deviation,
        z=z,
        spike=(np.abs(z) >= spike_z) & (step >= spike_z),
        drift=_drifts(limited, drift_sum),
        stuck=place == stuck_readings,
    )


def _levels(values: Floats, fresh: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return mean and deviation as they were before each reading; only fresh ones teach."""
    means, deviations = np.full(len(values), np.nan), np.full(len(values), np.nan)
    teaching = np.flatnonzero(fresh)
    for count in range(_WARM_UP, len(teaching) + 1):
        first = values[teaching[:count]]
        deviation = 1.4826 * float(np.median(np.abs(np.diff(first)) / np.sqrt(2)))
        if deviation:
            break
    else:
        return means, deviations
    mean, last = float(np.median(first)), int(teaching[count - 1])
    for at in range(last + 1, len(values)):
        means[at], deviations[at] = mean, deviation
        if fresh[at]:
            most = _MOST_Z * deviation
            mean += _WEIGHT * float(np.clip(values[at] - mean, -most, most))
            step = float(np.clip((values[at] - values[at - 1]) / np.sqrt(2), -most, most))
            deviation = float(np.sqrt((1 - _WEIGHT) * deviation**2 + _WEIGHT * step**2))
    return means, deviations


def _drifts(limited: Floats, most: float) -> NDArray[np.bool_]:
    found, drifting = np.zeros(len(limited), bool), False
    sums = np.zeros(2)
    for at, z in enumerate(limited):
        sums = np.clip(sums + np.array([z, -z]) - _ALLOWED_Z, 0, most)
        found[at] = not drifting and sums.max() >= most
        drifting = found[at] or (drifting and sums.max() > 0)
    return found
