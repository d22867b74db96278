"""Track visits: a user's events belong together until the user is silent for longer than a gap.

    user-events ──> source ──> session window, by userId ──> metrics

A visit begins with its first event and ends a gap after its last one, so it is known no sooner: when the
watermark has passed `windowEnd`. Events exactly a gap apart are of one visit. Only valid events count, by the rule
of `events`.

    $ flink run -py flink_jobs/track_sessions.py --gap-seconds 30
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import LANES, Kafka, Start, Topic, seconds

NAME = "track_sessions"
EVENTS = "user-events"
GAP_SECONDS = 30.0

VALID = """
SELECT
  `userId`,
  `eventType`,
  `page`,
  `rowtime`
FROM events
WHERE {valid}
"""

VISIT = """
  `windowStart` STRING,
  `windowEnd` STRING,
  `userId` STRING,
  `lastEvent` STRING,
  `events` BIGINT,
  `pages` BIGINT,
  `purchases` BIGINT
"""

TRACK = """
INSERT INTO visits
SELECT
  DATE_FORMAT(window_start, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  DATE_FORMAT(window_end, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  `userId`,
  DATE_FORMAT(MAX(`rowtime`), 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  COUNT(*),
  COUNT(DISTINCT `page`),
  COUNT(*) FILTER (WHERE `eventType` = 'purchase')
FROM TABLE(SESSION(TABLE valid_events PARTITION BY `userId`, DESCRIPTOR(`rowtime`), {gap}))
GROUP BY
  window_start,
  window_end,
  `userId`
"""


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    visits: Topic = "metrics",
    guarantee: str = "exactly-once",
    start: Start = "committed",
    gap_seconds: float = GAP_SECONDS,
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
) -> None:
    """Add the job to `env`.

    `gap_seconds`: how long a user's silence must be for the next event to begin another visit.
    `out_of_orderness_seconds`: how late an event may be and still belong to its visit.
    `idle_timeout_seconds`: how long a partition without events holds the ends of visits back.
    """
    tables = StreamTableEnvironment.create(env)
    columns = events.parsed_columns(EVENTS, out_of_orderness_seconds)
    tables.execute_sql(
        kafka.source("events", source, columns, group=name, start=start, idle_timeout_seconds=idle_timeout_seconds)
    )
    tables.execute_sql(kafka.sink("visits", visits, VISIT, job=name, key="userId", guarantee=guarantee))
    tables.create_temporary_view("valid_events", tables.sql_query(VALID.format(valid=events.valid(EVENTS))))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(TRACK.format(gap=seconds(gap_seconds)))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--gap-seconds", type=float, default=GAP_SECONDS, help="the silence that ends a visit")
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
