"""Count events by type in event-time windows, and pass the events on.

    user-events ──> source ──┬──> tumbling window, by eventType ──> metrics
                             └──> pass-through ───────────────────> processed-events

Both sinks are exactly-once: what they wrote is seen when a checkpoint completes.

    $ flink run -py flink_jobs/count_events.py --window-seconds 1
"""

from __future__ import annotations

import argparse
import os

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs.connectors import Kafka, Start, Topic, configuration, seconds

NAME = "count_events"

EVENT = """
  `eventId` STRING,
  `timestamp` STRING,
  `userId` STRING,
  `eventType` STRING,
  `sessionId` STRING,
  `page` STRING,
  `duration` DOUBLE,
  `userAgent` STRING,
  `location` ROW<`lat` DOUBLE, `lon` DOUBLE>,
  `sentAt` BIGINT
"""

# A window refuses a null time and then the job fails, so a record without a time is given the epoch: it
# never advances a watermark, and VALID keeps it out of both lanes.
EVENT_TIME = """
  `happened` AS TO_TIMESTAMP_LTZ(`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss[.SSS]''Z'''),
  `rowtime` AS COALESCE(TO_TIMESTAMP_LTZ(`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss[.SSS]''Z'''), TO_TIMESTAMP_LTZ(0, 3)),
  WATERMARK FOR `rowtime` AS `rowtime` - {out_of_orderness}
"""

VALID = """
SELECT *
FROM events
WHERE `happened` IS NOT NULL
  AND `eventId` IS NOT NULL
  AND `eventType` IS NOT NULL
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
  `timestamp`,
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
    source: Topic = "user-events",
    counts: Topic = "metrics",
    passed: Topic = "processed-events",
    start: Start = "committed",
    window_seconds: float = 1.0,
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
) -> None:
    """Add the job to `env`.

    `out_of_orderness_seconds`: how late an event may be and still be counted. `idle_timeout_seconds`:
    how long a partition without events holds the windows back; what it delivers after that is late.
    """
    tables = StreamTableEnvironment.create(env)
    columns = f"{EVENT.rstrip()},{EVENT_TIME.format(out_of_orderness=seconds(out_of_orderness_seconds))}"
    tables.execute_sql(
        kafka.source("events", source, columns, group=name, start=start, idle_timeout_seconds=idle_timeout_seconds)
    )
    tables.execute_sql(kafka.sink("counts", counts, COUNT, job=name, key="eventType"))
    tables.execute_sql(kafka.sink("passed", passed, EVENT, job=name, key="userId"))
    tables.create_temporary_view("valid_events", tables.sql_query(VALID))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(COUNT_BY_WINDOW.format(window=seconds(window_seconds)))
    lanes.add_insert_sql(PASS_THROUGH)
    lanes.attach_as_datastream()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window-seconds", type=float, default=1.0)
    parser.add_argument("--start", choices=("earliest", "latest", "committed"), default="committed")
    arguments = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(configuration()))
    kafka = Kafka.from_environment(os.environ)
    build(env, kafka, window_seconds=arguments.window_seconds, start=arguments.start)
    env.execute(kafka.named(NAME))


if __name__ == "__main__":
    main()
