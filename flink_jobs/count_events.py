"""Count events by type in event-time windows, and pass the events on.

    user-events ──> source ──┬──> tumbling window, by eventType ──> metrics
                             └──> pass-through ───────────────────> processed-events

Only valid events count, by the rule of `events`. By default both sinks are exactly-once: what they wrote is
seen when a checkpoint completes.

    $ flink run -py flink_jobs/count_events.py --window-seconds 1
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import LANES, Kafka, Start, Topic, seconds

NAME = "count_events"
EVENTS = "user-events"

VALID = """
SELECT *
FROM events
WHERE {valid}
"""

COUNT = """
  `windowStart` STRING,
  `windowEnd` STRING,
  `eventType` STRING,
  `count` BIGINT
"""

COUNT_BY_WINDOW = """
INSERT INTO counts
SELECT
  DATE_FORMAT(window_start, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  DATE_FORMAT(window_end, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  `eventType`,
  COUNT(*)
FROM TABLE(TUMBLE(TABLE valid_events, DESCRIPTOR(`rowtime`), {window}))
GROUP BY
  window_start,
  window_end,
  `eventType`
"""

PASS_THROUGH = """
INSERT INTO passed
SELECT
  `eventId`,
  DATE_FORMAT(`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  `userId`,
  `eventType`,
  `sessionId`,
  `page`,
  `duration`,
  `userAgent`,
  `location`,
  `sentAt`
FROM valid_events
"""


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    counts: Topic = "metrics",
    passed: Topic = "processed-events",
    guarantee: str = "exactly-once",
    start: Start = "committed",
    window_seconds: float = 1.0,
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float | None = 20.0,
) -> None:
    """Add the job to `env`.

    `passed`: "" passes no events on. `guarantee`: that of both sinks, "exactly-once", "at-least-once" or "none".
    `out_of_orderness_seconds`: how late an event may be and still be counted. `idle_timeout_seconds`:
    how long a partition without events holds the windows back, None for ever; what it delivers after that is late.
    """
    tables = StreamTableEnvironment.create(env)
    columns = events.parsed_columns(EVENTS, out_of_orderness_seconds)
    tables.execute_sql(
        kafka.source("events", source, columns, group=name, start=start, idle_timeout_seconds=idle_timeout_seconds)
    )
    tables.execute_sql(kafka.sink("counts", counts, COUNT, job=name, key="eventType", guarantee=guarantee))
    tables.create_temporary_view("valid_events", tables.sql_query(VALID.format(valid=events.valid(EVENTS))))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(COUNT_BY_WINDOW.format(window=seconds(window_seconds)))
    if passed:
        columns = events.columns(EVENTS)
        tables.execute_sql(kafka.sink("passed", passed, columns, job=name, key="userId", guarantee=guarantee))
        lanes.add_insert_sql(PASS_THROUGH)
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--window-seconds", type=float, default=1.0)
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
