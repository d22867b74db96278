"""Find anomalies in the readings of each sensor: spikes, drifts, values that are stuck, and sensors that are missing.

    iot-sensors ──> source ──> valid? ──> by sensor ──> in order of event time ──> statistics ──┬──> metrics
                                             control ───────────────────┘ └────> acknowledgements └──> alerts

Each sensor has a moving mean and variance of its own. `z` is how many deviations a reading is off the mean:

* spike: at least `spike_z` off the mean, and as far off the reading before;
* drift: the sum of what z is beyond 1, in one direction, reaches `drift_sum` (CUSUM);
* stuck: the same value `stuck_readings` times in a row;
* missing: no reading for `missing_seconds`.

`metrics` shows every reading with the band in which it is no spike. Readings wait until the watermark has passed
them and are then taken in the order of their times, so that neither a restart nor the order of arrival changes an
answer; what comes later than the bound is left out.

    $ flink run -py flink_jobs/detect_anomalies.py
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from pyflink.common import Row, Types
from pyflink.datastream import RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from flink_jobs import alerts, columns, command_line, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic

NAME = "detect_anomalies"
EVENTS = "iot-sensors"
PARAMETERS: parameters.Parameters = {
    "spike_z": 6.0,
    "drift_sum": 10.0,
    "stuck_readings": 5,
    "missing_seconds": 5.0,
}

# So many readings before the first judgement.
WARM_UP = 16
# The weight of a new reading in mean and deviation; an anomaly counts as if it were only so many deviations off.
WEIGHT, MOST_Z = 0.06, 3.0
# A normal distribution's standard deviation is so many median deviations.
PER_MEDIAN_DEVIATION = 1.4826
# What of z a drift's sum leaves out.
ALLOWED_Z = 1.0
# The watermark of a job that is drained: it says nothing about sensors.
END_MS = (1 << 63) - 1

BAND = """
  `sensorId` STRING,
  `deviceType` STRING,
  `unit` STRING,
  `eventId` STRING,
  `timestamp` STRING,
  `value` DOUBLE,
  `mean` DOUBLE,
  `low` DOUBLE,
  `high` DOUBLE,
  `flagged` STRING,
  `sentAt` BIGINT
"""


SHOW = """
INSERT INTO shown
SELECT
{fields}
FROM found
WHERE `band` IS NOT NULL
"""

WARN = """
INSERT INTO warned
SELECT
{fields}
FROM found
WHERE `warning` IS NOT NULL
"""


class Reading(NamedTuple):
    """What is taken from an event."""

    event_id: str
    value: float
    device_type: str
    unit: str
    sent_at: int


class Level(NamedTuple):
    """What a sensor usually says: the first readings until there are enough, then mean and deviation."""

    first: tuple[float, ...] = ()
    mean: float | None = None
    deviation: float = 0.0

    def deviations(self, off: float) -> float:
        """Return how many deviations a difference is; 0 while the sensor is not known."""
        return 0.0 if self.mean is None else off / self.deviation

    def with_reading(self, value: float, before: float | None) -> Level:
        """Return the level after a reading; the deviation follows from its step, in which a drift is small."""
        if self.mean is None or before is None:
            return started((*self.first, value))
        off = limited((value - self.mean) / self.deviation) * self.deviation
        step = limited((value - before) / self.deviation / math.sqrt(2)) * self.deviation
        return Level((), self.mean + WEIGHT * off, math.sqrt((1 - WEIGHT) * self.deviation**2 + WEIGHT * step**2))


def limited(z: float) -> float:
    """Return z, but no more than an anomaly counts."""
    return max(-MOST_Z, min(MOST_Z, z))


def started(first: tuple[float, ...]) -> Level:
    """Return the level that the first readings say; medians, because some of them may be anomalies."""
    steps = [abs(after - before) / math.sqrt(2) for before, after in pairwise(first)]
    deviation = PER_MEDIAN_DEVIATION * median(steps) if len(first) >= WARM_UP else 0.0
    # Without any deviation everything would be infinitely far off.
    return Level((), median(first), deviation) if deviation else Level(first)


class Sensor(NamedTuple):
    """What is kept of a sensor; `ids` are the readings in a row, up to as many as are stuck, with the last `value`."""

    level: Level = Level()
    rising: float = 0.0
    falling: float = 0.0
    drifts: bool = False
    value: float | None = None
    repeats: int = 0
    ids: tuple[str, ...] = ()
    last_ms: int = 0
    sent_at: int = 0
    watched_until_ms: int = 0

    def with_reading(self, reading: Reading, time_ms: int, in_force: parameters.Parameters) -> tuple[Sensor, list[str]]:
        """Return the sensor after a reading, and which anomalies the reading completes."""
        value = reading.value
        z = self.level.deviations(value - (self.level.mean or 0.0))
        step = self.level.deviations(value - (value if self.value is None else self.value))
        repeats = self.repeats + 1 if value == self.value else 1
        rising, falling, drifts, drift = self._drift(limited(z), float(in_force["drift_sum"]))
        found = {
            "spike": self.level.mean is not None and min(abs(z), abs(step)) >= float(in_force["spike_z"]),
            "drift": drift,
            "stuck": repeats == int(in_force["stuck_readings"]),
        }
        # A value that is stuck says nothing about what the sensor usually says.
        level = self.level if repeats > 1 else self.level.with_reading(value, self.value)
        ids = (*self.ids, reading.event_id)[-min(repeats, int(in_force["stuck_readings"])) :]
        passed = time_ms, reading.sent_at, self.watched_until_ms
        after = Sensor(level, rising, falling, drifts, value, repeats, ids, *passed)
        return after, [name for name, is_so in found.items() if is_so]

    def _drift(self, z: float, most: float) -> tuple[float, float, bool, bool]:
        rising = min(most, max(0.0, self.rising + z - ALLOWED_Z))
        falling = min(most, max(0.0, self.falling - z - ALLOWED_Z))
        reached = max(rising, falling) >= most
        # One drift is one alert: the next needs the sum to have fallen back.
        drifts = reached or (self.drifts and max(rising, falling) > 0)
        return rising, falling, drifts, reached and not self.drifts


def severity(anomaly: str, z: float, in_force: parameters.Parameters) -> str:
    """Return how bad an anomaly is: a spike by how far off it is; a sensor that is missing is the worst."""
    if anomaly == "spike":
        times = abs(z) / float(in_force["spike_z"])
        return "low" if times < 1.5 else "medium" if times < 2.5 else "high"
    return {"stuck": "low", "drift": "medium", "missing": "high"}[anomaly]


def explanation(anomaly: str, sensor_id: str, reading: Reading, before: Sensor, after: Sensor) -> str:
    """Say in words what a reading completes."""
    said, mean = f"{sensor_id}: {reading.value:g} {reading.unit}", before.level.mean or 0.0
    where = "above" if reading.value > mean else "below"
    z = abs(before.level.deviations(reading.value - mean))
    return {
        "spike": f"{said} is {z:.1f} deviations {where} its mean of {mean:.4g}",
        "drift": f"{said}; its readings have stayed {where} its mean of {mean:.4g} for a while",
        "stuck": f"{said}, {after.repeats} times in a row",
    }[anomaly]


def band(
    sensor_id: str, reading: Reading, time_ms: int, before: Sensor, found: list[str], in_force: parameters.Parameters
) -> Row:
    """Return a reading as a row of `BAND`: with the mean before it, and between what it would be no spike."""
    mean, half = before.level.mean, float(in_force["spike_z"]) * before.level.deviation
    bounds = (None, None) if mean is None else (mean - half, mean + half)
    identity = sensor_id, reading.device_type, reading.unit, reading.event_id, streams.iso(time_ms)
    return Row(*identity, reading.value, mean, *bounds, ", ".join(found), reading.sent_at)


def alert(
    anomaly: str, sensor_id: str, reading: Reading, before: Sensor, after: Sensor, in_force: parameters.Parameters
) -> Row:
    """Return the alert on an anomaly that a reading completes."""
    z = before.level.deviations(reading.value - (before.level.mean or 0.0))
    ids = after.ids if anomaly == "stuck" else [reading.event_id]
    words = explanation(anomaly, sensor_id, reading, before, after)
    level = severity(anomaly, z, in_force)
    return alerts.row(anomaly, level, sensor_id, streams.iso(after.last_ms), ids, words, reading.sent_at)


def missing(sensor_id: str, sensor: Sensor, due_ms: int, missing_ms: int, in_force: parameters.Parameters) -> Row:
    """Return the alert on a sensor that says nothing; its event is the last one before the silence."""
    words = f"{sensor_id}: no reading for {missing_ms / 1000:g} s, since {streams.iso(sensor.last_ms)}"
    level = severity("missing", 0.0, in_force)
    return alerts.row("missing", level, sensor_id, streams.iso(due_ms), sensor.ids[-1:], words, sensor.sent_at)


class Watch(parameters.LiveParameters):
    """Takes each sensor's readings in order of time, and yields pairs: a reading with its band, or an alert."""

    def open(self, runtime_context: RuntimeContext) -> None:
        super().open(runtime_context)
        waiting = MapStateDescriptor("waiting readings", Types.LONG(), Types.PICKLED_BYTE_ARRAY())
        self._waiting = runtime_context.get_map_state(waiting)
        self._sensor = runtime_context.get_state(ValueStateDescriptor("sensor", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        at, timers = ctx.timestamp(), ctx.timer_service()
        if at <= timers.current_watermark():
            return
        event = streams.as_event(EVENTS, value)
        reading = tuple(event[name] for name in ("eventId", "value", "deviceType", "unit", "sentAt"))
        # A sensor says one thing at a time: what comes twice is kept once.
        known = self._waiting.get(at)
        self._waiting.put(at, min(reading, known) if known else reading)
        timers.register_event_time_timer(at)

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Row]:
        sensor, waiting = self._kept(), self._waiting.get(timestamp)
        in_force = self.in_force(ctx)
        missing_ms = round(1000 * float(in_force["missing_seconds"]))
        if waiting:
            self._waiting.remove(timestamp)
            reading = Reading(*waiting)
            after, found = sensor.with_reading(reading, timestamp, in_force)
            yield Row(band(ctx.get_current_key(), reading, timestamp, sensor, found, in_force), None)
            for anomaly in found:
                yield Row(None, alert(anomaly, ctx.get_current_key(), reading, sensor, after, in_force))
            sensor = after
        if timestamp == sensor.watched_until_ms or (waiting and not sensor.watched_until_ms):
            due_ms = sensor.last_ms + missing_ms
            if due_ms > timestamp:
                ctx.timer_service().register_event_time_timer(due_ms)
            elif self._says_it(ctx):
                yield Row(None, missing(ctx.get_current_key(), sensor, due_ms, missing_ms, in_force))
            sensor = sensor._replace(watched_until_ms=due_ms if due_ms > timestamp else 0)
        # Plain tuples: a class that was sent by value cannot be pickled into state.
        self._sensor.update((tuple(sensor.level), *sensor[1:]))

    def _says_it(self, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> bool:
        """Say whether a silence is one: at the end of the job only if the sensor spoke again."""
        return ctx.timer_service().current_watermark() < END_MS or not self._waiting.is_empty()

    def _kept(self) -> Sensor:
        level, *rest = self._sensor.value() or Sensor()
        return Sensor(Level(*level), *rest)


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    shown: Topic = "metrics",
    warned: Topic = "alerts",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`.

    `out_of_orderness_seconds`: how late a reading may be and still be judged. `idle_timeout_seconds`: how long a
    partition without readings holds the others back.
    """
    tables = StreamTableEnvironment.create(env)
    readings = streams.valid_events(
        tables,
        kafka,
        EVENTS,
        source=source,
        group=name,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
    )
    found = parameters.connect(
        readings.key_by(streams.field(EVENTS, "sensorId"), Types.STRING()),
        Watch(name, begun_with),
        kafka,
        output_type=Types.ROW_NAMED(["band", "warning"], [columns.row_type(BAND), alerts.row_type()]),
        control=control,
        acknowledgements=acknowledgements,
    )
    tables.create_temporary_view("found", tables.from_data_stream(found))
    tables.execute_sql(kafka.sink("shown", shown, BAND, job=name, key="sensorId"))
    tables.execute_sql(kafka.sink("warned", warned, alerts.COLUMNS, job=name, key=alerts.KEY))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(SHOW.format(fields=columns.of_part("band", BAND)))
    lanes.add_insert_sql(WARN.format(fields=columns.of_part("warning", alerts.COLUMNS)))
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
