"""Add to each transaction what was known about its merchant and its user at the time of the event.

    transactions ──> source ──> valid? ──> join ──────> join ──> processed-events
                        merchants, versions ─┘           │
                                     users, versions ────┘

A version of a merchant or user is valid from its record's timestamp until the next version's. The joins compare
times, so the answer is the same in whatever order events and changes arrive. For that they wait: an event
comes out when the watermarks of all three topics have passed it, and one of a topic in which nothing changes does so
only by its idle time-out. So after the start, and after each change, results pause for `reference_idle_seconds`.

    $ flink run -py flink_jobs/enrich_transactions.py
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, enrichment, events, streams
from flink_jobs.connectors import Kafka, Start, Topic, Versions
from flink_jobs.enrichment import EVENTS

NAME = "enrich_transactions"

MERCHANTS = """
  `category` STRING,
  `city` STRING
"""

USERS = """
  `tier` STRING,
  `city` STRING
"""

VALID = """
SELECT *
FROM transactions
WHERE {valid}
"""

ENRICH = """
INSERT INTO enriched
SELECT
{fields},
  merchant.`category`,
  merchant.`city`,
  customer.`tier`,
  customer.`city`,
  merchant.`merchantId` IS NOT NULL AND customer.`userId` IS NOT NULL
FROM valid_transactions AS event
LEFT JOIN merchants FOR SYSTEM_TIME AS OF event.`rowtime` AS merchant
  ON event.`merchantId` = merchant.`merchantId`
LEFT JOIN users FOR SYSTEM_TIME AS OF event.`rowtime` AS customer
  ON event.`userId` = customer.`userId`
"""


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    merchants: Versions = "merchants",
    users: Versions = "users",
    enriched: Topic = "processed-events",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    reference_idle_seconds: float = 8.0,
) -> None:
    """Add the job to `env`; `start` is for the transactions, the versions are always read from the beginning.

    `idle_timeout_seconds`: how long a partition without transactions holds the results back.
    `reference_idle_seconds`: how long one without changes does; a change that takes longer than that to arrive
    misses the events that it should have met.
    """
    tables = StreamTableEnvironment.create(env)
    columns = events.parsed_columns(EVENTS, out_of_orderness_seconds)
    tables.execute_sql(
        kafka.source(
            "transactions", source, columns, group=name, start=start, idle_timeout_seconds=idle_timeout_seconds
        )
    )
    for table, topic, key, columns in (
        ("merchants", merchants, "merchantId", MERCHANTS),
        ("users", users, "userId", USERS),
    ):
        tables.execute_sql(
            kafka.versions(table, topic, columns, group=name, key=key, idle_timeout_seconds=reference_idle_seconds)
        )
    tables.create_temporary_view("valid_transactions", tables.sql_query(VALID.format(valid=events.valid(EVENTS))))
    tables.execute_sql(kafka.sink("enriched", enriched, enrichment.COLUMNS, job=name, key="userId"))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(ENRICH.format(fields=streams.as_sent(EVENTS, "event")))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--reference-idle-seconds", type=float, default=8.0)
    command_line.run(build, options)


if __name__ == "__main__":
    main()
