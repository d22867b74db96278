"""Write every record that is no valid event to the topic dead-letters, with the reason in words.

    user-events ────┐
    transactions ───┤
    iot-sensors ────┼──> source ──> what is wrong with it? ──> dead-letters
    system-metrics ─┘

A dead letter has the reason, the place and the text of its record, and is keyed by topic. The other jobs skip
exactly these records, so valid events + dead letters = what was sent. The rule is that of `events`.

    $ flink run -py flink_jobs/dead_letters.py
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import Kafka, Topic
from kernel_lib.records import EVENT_TYPES

NAME = "dead_letters"
RAW_TOPICS = ";".join(EVENT_TYPES)
# In JSON a character may take six bytes, and a record of Kafka has at most a million.
MOST_CHARACTERS = 100_000

PLACE = """
  `topic` STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL
"""

DEAD_LETTER = """
  `reason` STRING,
  `topic` STRING,
  `partition` INT,
  `offset` BIGINT,
  `value` STRING
"""

BURY = """
INSERT INTO dead_letters
SELECT *
FROM (
{letters}
)
WHERE `reason` IS NOT NULL
"""

LETTERS = """
SELECT
  {reason} AS `reason`,
  '{topic}' AS `topic`,
  `partition`,
  `offset`,
  COALESCE(LEFT({text}, {most_characters}), '') AS `value`
FROM records
WHERE `topic` = '{full_name}'
"""


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = RAW_TOPICS,
    dead_letters: Topic = "dead-letters",
) -> None:
    """Add the job to `env`; it goes on after the offsets that an earlier run has committed, or begins at the beginning.

    `source`: one or several of the raw topics, with a semicolon between them.
    """
    topics = source.split(";")
    tables = StreamTableEnvironment.create(env)
    columns = f"{events.raw_columns(*topics)},{PLACE}"
    tables.execute_sql(kafka.source("records", source, columns, group=name, start="committed", value=events.RAW))
    tables.execute_sql(kafka.sink("dead_letters", dead_letters, DEAD_LETTER, job=name, key="topic"))
    letters = (
        LETTERS.format(
            reason=events.reason(topic),
            topic=topic,
            full_name=kafka.named(topic),
            text=events.TEXT,
            most_characters=MOST_CHARACTERS,
        )
        for topic in topics
    )
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(BURY.format(letters="UNION ALL".join(letters)))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME, start=False)
    options.add_argument("--source", default=RAW_TOPICS, help="raw topics, with a semicolon between them")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
