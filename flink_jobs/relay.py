"""Pass the records of a topic on as they are, byte for byte, with the guarantee that is asked for.

    user-events ──> source ──> [where] ──> processed-events

Two lanes: `exactly-once` shows results when a checkpoint completes; `at-least-once` is the fast one, seen within
milliseconds, and repeats events after a failure. `none` repeats them and loses others.

    $ flink run -py flink_jobs/relay.py --guarantee at-least-once --where "eventType = 'purchase'"
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import LANES, Kafka, Start, Topic
from kernel_lib.records import EVENT_TYPES

NAME = "relay"

PASS = """
INSERT INTO {sink}
SELECT
  `key`,
  `bytes`
FROM events
WHERE {where}
"""


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = "user-events",
    sink: Topic = "processed-events",
    guarantee: str = "exactly-once",
    where: str = "TRUE",
    start: Start = "committed",
) -> None:
    """Add the job to `env`.

    `guarantee`: "exactly-once", "at-least-once" or "none". `sink` may be several topics with a semicolon between them;
    then `guarantee` is several too, one for each. `where`: an SQL condition over the fields of the source's event
    type, such as "duration > 10"; a field that a record lacks is null.
    """
    columns = events.raw_columns(source) if source in EVENT_TYPES else events.RECORD
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.source("events", source, columns, group=name, start=start, value=events.RAW))
    lanes = tables.create_statement_set()
    for table, topic, promised in sinks(sink, guarantee):
        tables.execute_sql(
            kafka.sink(table, topic, events.RECORD, job=name, key="key", guarantee=promised, value=events.RAW)
        )
        lanes.add_insert_sql(PASS.format(sink=table, where=where))
    lanes.attach_as_datastream()


def sinks(topics: str, guarantees: str) -> list[tuple[str, str, str]]:
    """Return each topic with its table, named like it, and its guarantee; raises ValueError for unequal numbers."""
    pairs = zip(topics.split(";"), guarantees.split(";"), strict=True)
    return [(f"passed_{topic}".replace("-", "_"), topic, guarantee) for topic, guarantee in pairs]


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--source", default="user-events")
    options.add_argument("--sink", default="processed-events")
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    options.add_argument("--where", default="TRUE", help="an SQL condition over the fields of an event")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
