"""Average what sensors measure over sliding windows of event time: a moving average.

    iot-sensors ──> source ──> sliding window, by deviceType ──> metrics

Each `slide_seconds` a window of `size_seconds` ends, so that a reading counts in size / slide averages: a longer
window is calmer and says later what has changed. Readings in different units are never averaged together. Only
valid readings count, by the rule of `events`.

    $ flink run -py flink_jobs/average_values.py --size-seconds 60 --slide-seconds 10
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import LANES, Kafka, Start, Topic, seconds

NAME = "average_values"
EVENTS = "iot-sensors"
KEYS = ("deviceType", "sensorId")
SIZE_SECONDS, SLIDE_SECONDS = 10.0, 1.0

VALID = """
SELECT
  `{by}`,
  `unit`,
  `value`,
  `rowtime`
FROM events
WHERE {valid}
"""

AVERAGE = """
  `windowStart` STRING,
  `windowEnd` STRING,
  `{by}` STRING,
  `unit` STRING,
  `readings` BIGINT,
  `average` DOUBLE,
  `lowest` DOUBLE,
  `highest` DOUBLE
"""

AVERAGE_BY_WINDOW = """
INSERT INTO averages
SELECT
  DATE_FORMAT(window_start, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  DATE_FORMAT(window_end, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  `{by}`,
  `unit`,
  COUNT(*),
  AVG(`value`),
  MIN(`value`),
  MAX(`value`)
FROM TABLE(HOP(TABLE valid_events, DESCRIPTOR(`rowtime`), {slide}, {size}))
GROUP BY
  window_start,
  window_end,
  `{by}`,
  `unit`
"""


def check(by: str, size_seconds: float, slide_seconds: float) -> None:
    """Raise ValueError for a key that readings are not grouped by, or windows that Flink cannot slide so."""
    if by not in KEYS:
        raise ValueError(f"by is {by!r}, not one of {', '.join(KEYS)}")
    size_ms, slide_ms = round(size_seconds * 1000), round(slide_seconds * 1000)
    # Flink adds a window up from parts that are as long as the slide.
    if slide_ms <= 0 or size_ms <= 0 or size_ms % slide_ms:
        raise ValueError(f"size_seconds is {size_seconds:g}, no whole number of slides of {slide_seconds:g} s")


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    averages: Topic = "metrics",
    by: str = "deviceType",
    guarantee: str = "exactly-once",
    start: Start = "committed",
    size_seconds: float = SIZE_SECONDS,
    slide_seconds: float = SLIDE_SECONDS,
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
) -> None:
    """Add the job to `env`.

    `by`: "deviceType" or "sensorId". `size_seconds` is a whole number of `slide_seconds`.
    `out_of_orderness_seconds`: how late a reading may be and still be counted. `idle_timeout_seconds`: how long a
    partition without readings holds the windows back.
    """
    check(by, size_seconds, slide_seconds)
    tables = StreamTableEnvironment.create(env)
    columns = events.parsed_columns(EVENTS, out_of_orderness_seconds)
    tables.execute_sql(
        kafka.source("events", source, columns, group=name, start=start, idle_timeout_seconds=idle_timeout_seconds)
    )
    tables.execute_sql(kafka.sink("averages", averages, AVERAGE.format(by=by), job=name, key=by, guarantee=guarantee))
    valid = VALID.format(by=by, valid=events.valid(EVENTS))
    tables.create_temporary_view("valid_events", tables.sql_query(valid))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(AVERAGE_BY_WINDOW.format(by=by, size=seconds(size_seconds), slide=seconds(slide_seconds)))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--by", choices=KEYS, default="deviceType")
    options.add_argument("--size-seconds", type=float, default=SIZE_SECONDS, help="how long a window is")
    options.add_argument("--slide-seconds", type=float, default=SLIDE_SECONDS, help="how often one ends")
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
