"""Own the readings of sensors, with planted anomalies.

Every device reports once a round: a level of its own, the rhythm of the day, a slow drift and noise. Its battery
declines over two weeks and is then renewed. A knob plants, into blocks of a device's readings:

* spike: one reading far off; stuck: the same value ten times;
* drift: sixteen readings that climb away; dropout: eight readings that are missing.

    >>> SensorReadings(seed=1).key_names[7]
    'sensor-0007'
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators import rounds
from kernel_lib.generators.json_texts import Column, column, stamps, table
from kernel_lib.generators.people import CITY_LAT, CITY_LON, DAY_MS
from kernel_lib.generators.streams import SEEDED_KNOBS, Batch, SeededStream, no_truths
from kernel_lib.knob_log import MOST_KEYS, Indices, KnobLog, Knobs
from kernel_lib.records import Location

DEVICES = 200
BATTERY_DAYS = 14
_DRIFT_DAYS = 30


class Kind(NamedTuple):
    """A type of device: its usual level, the rhythm of a day, and the noise (standard deviation), in `unit`."""

    unit: str
    level: float
    rhythm: float
    noise: float


KINDS = {
    "humidity": Kind("%", 55, 12, 0.8),
    "power": Kind("W", 300, 120, 6),
    "pressure": Kind("hPa", 1013, 3, 0.3),
    "temperature": Kind("°C", 19, 6, 0.2),
    "vibration": Kind("mm/s", 2, 0.4, 0.05),
}
_LEVEL, _RHYTHM, _NOISE = (
    np.array([getattr(kind, name) for kind in KINDS.values()]) for name in ("level", "rhythm", "noise")
)

# Anomalies: readings in a block, how long each kind lasts, how far a spike and the end of a drift are off, in noise.
BLOCK = 32
_LENGTHS = np.array([0, 1, 10, 16, 8])
_SPIKE, _STUCK, _DRIFT, _DROPOUT = 1, 2, 3, 4
_MEAN_LENGTH, _LATEST_START = float(_LENGTHS[1:].mean()), 14
_SPIKE_NOISES, _DRIFT_NOISES = 15.0, 24.0


class SensorReadings(SeededStream):
    """What devices measure; every device reports once a round."""

    event_types = tuple(KINDS)
    truths = ("", "spike", "stuck", "drift", "dropout")
    number_field = "value"
    knobs = (*SEEDED_KNOBS, "anomaly_share")

    def __init__(self, seed: int = 1, **options: Any) -> None:
        super().__init__(seed, **options)
        devices = np.arange(MOST_KEYS)
        city = self.dice.below(len(CITY_LAT), "city", devices)
        lat = np.round(CITY_LAT[city] + 0.04 * self.dice.normal("north", devices), 5)
        lon = np.round(CITY_LON[city] + 0.04 * self.dice.normal("east", devices), 5)
        self._locations = table("location", map(Location, lat.tolist(), lon.tolist()))
        self.key_names = np.array([f"sensor-{number:04d}" for number in range(MOST_KEYS)], np.object_)
        self._ids, self._types = table("sensorId", self.key_names), table("deviceType", KINDS)
        self._units = table("unit", [kind.unit for kind in KINDS.values()])

    def content(self, index: Indices, time_ms: Indices, log: KnobLog, knobs: Knobs) -> dict[str, NDArray[Any]]:
        """Return devices, values, batteries, and the planted anomalies."""
        devices = knobs.keys or DEVICES
        turn, device = rounds.turn_of(index, devices)
        if knobs.hot_share:
            device = np.where(self.dice.share("hot", index) < knobs.hot_share, 0, device)
        columns = {
            "key": device,
            "type": device % len(KINDS),
            "value": self._value(index, device, time_ms),
            "battery": np.round(
                100 * (1 - (time_ms / DAY_MS / BATTERY_DAYS + self.dice.share("battery", device)) % 1), 1
            ),
        } | no_truths(len(index))
        if knobs.anomaly_share:
            self._plant_anomalies(columns, turn, devices, log, knobs.anomaly_share)
        columns["value"] = np.round(columns["value"], 3)
        return columns

    def json(self, batch: Batch) -> list[Column]:
        """Return the fields of the events, in their order on the wire."""
        return [
            stamps(batch.time_ms),
            self._ids[batch.key],
            self._types[batch.type],
            column("value", batch.columns["value"].tolist()),
            self._units[batch.type],
            self._locations[batch.key],
            column("batteryLevel", batch.columns["battery"].tolist()),
        ]

    def _value(self, index: Indices, device: Indices, time_ms: Indices) -> NDArray[np.float64]:
        kind, days = device % len(KINDS), time_ms / DAY_MS
        own = _LEVEL[kind] * (1 + 0.05 * self.dice.normal("level", device))
        rhythm = _RHYTHM[kind] * np.sin(2 * np.pi * (days + self.dice.share("phase", device)))
        drift = _NOISE[kind] * np.sin(2 * np.pi * (days / _DRIFT_DAYS + self.dice.share("drift", device)))
        noise = _NOISE[kind] * self.dice.normal("noise", index)
        value: NDArray[np.float64] = own + rhythm + drift + noise
        return value

    def _plant_anomalies(
        self, columns: dict[str, NDArray[Any]], turn: Indices, devices: int, log: KnobLog, share: float
    ) -> None:
        block, device = turn // BLOCK, columns["key"]
        chosen = self.dice.share("anomaly", device, block) < share * BLOCK / _MEAN_LENGTH
        kind = 1 + self.dice.below(len(_LENGTHS) - 1, "anomaly kind", device, block)
        start = block * BLOCK + 1 + self.dice.below(_LATEST_START, "anomaly start", device, block)
        step = turn - start
        planted = chosen & (step >= 0) & (step < _LENGTHS[kind])
        off = _NOISE[device % len(KINDS)] * np.where(self.dice.bits("sign", device, block) & np.uint64(1), 1, -1)
        value = columns["value"]
        value += np.where(planted & (kind == _SPIKE), _SPIKE_NOISES * off, 0)
        value += np.where(planted & (kind == _DRIFT), _DRIFT_NOISES * off * (step + 1) / _LENGTHS[_DRIFT], 0)
        stuck = planted & (kind == _STUCK)
        first = rounds.index_of(start[stuck], device[stuck], devices)
        value[stuck] = self._value(first, device[stuck], log.due_ms(first))
        columns["gone"] = planted & (kind == _DROPOUT)
        columns["truth"], columns["step"] = np.where(planted, kind, 0), np.where(planted, step, 0)
        columns["episode"] = np.where(planted, device * (1 << 32) + block, 0)
