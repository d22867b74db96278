"""Put each purchase on the site together with the payments of the same user shortly after it.

    user-events ───> source ──> valid purchase? ──┐
                                                  ├──> interval join, by userId ──> processed-events
    transactions ──> source ──> valid? ───────────┘

A pair is written as soon as both are there. A purchase without a payment is written with nulls and `matched` false,
once the watermarks of both topics say that none can come any more. Flink keeps an event for as long as a partner
may come, and looks at what has expired only now and then: a purchase may wait for half of the interval longer.

    $ flink run -py flink_jobs/join_streams.py --latest-seconds 10
"""

from __future__ import annotations

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import Kafka, Start, Topic, seconds

NAME = "join_streams"
LEFT, RIGHT = "user-events", "transactions"
SOURCE = f"{LEFT};{RIGHT}"

PAIR = """
  `eventId` STRING,
  `timestamp` STRING,
  `userId` STRING,
  `page` STRING,
  `paymentEventId` STRING,
  `paymentTimestamp` STRING,
  `secondsBetween` DOUBLE,
  `transactionId` STRING,
  `merchantId` STRING,
  `amount` DOUBLE,
  `currency` STRING,
  `status` STRING,
  `matched` BOOLEAN,
  `sentAt` BIGINT
"""

PURCHASES = """
SELECT *
FROM user_events
WHERE `eventType` = 'purchase'
  AND {valid}
"""

PAYMENTS = """
SELECT *
FROM transactions
WHERE {valid}
"""

JOIN = """
INSERT INTO pairs
SELECT
  purchase.`eventId`,
  DATE_FORMAT(purchase.`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  purchase.`userId`,
  purchase.`page`,
  payment.`eventId`,
  DATE_FORMAT(payment.`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  ROUND({between}, 3),
  payment.`transactionId`,
  payment.`merchantId`,
  payment.`amount`,
  payment.`currency`,
  payment.`status`,
  payment.`eventId` IS NOT NULL,
  COALESCE(GREATEST(purchase.`sentAt`, payment.`sentAt`), purchase.`sentAt`)
FROM purchases AS purchase
LEFT JOIN payments AS payment
  ON payment.`userId` = purchase.`userId`
  AND payment.`rowtime` BETWEEN {earliest} AND {latest}
"""

# TIMESTAMPDIFF counts whole seconds.
BETWEEN = """EXTRACT(EPOCH FROM payment.`timestamp`) - EXTRACT(EPOCH FROM purchase.`timestamp`)
    + (EXTRACT(MILLISECOND FROM payment.`timestamp`) - EXTRACT(MILLISECOND FROM purchase.`timestamp`)) / 1000.0E0"""


def later(time: str, by_seconds: float) -> str:
    """Return the SQL of a time so many seconds later, or earlier if there are fewer than none."""
    return f"{time} {'-' if by_seconds < 0 else '+'} {seconds(abs(by_seconds))}"


def topics_of(source: str) -> tuple[str, str]:
    """Return the topics with user events and with transactions; raises ValueError if there are not two."""
    topics = source.split(";")
    if len(topics) != 2:
        raise ValueError(f"source is {source!r}, and not two topics such as {SOURCE!r}")
    return topics[0], topics[1]


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = SOURCE,
    pairs: Topic = "processed-events",
    start: Start = "committed",
    earliest_seconds: float = 0.0,
    latest_seconds: float = 5.0,
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
) -> None:
    """Add the job to `env`; a payment fits from `earliest_seconds` to `latest_seconds` after its purchase.

    `earliest_seconds` may be below 0. `source`: user events first, then transactions. `idle_timeout_seconds`: how
    long a partition without events holds back what a purchase without a payment is waiting for.
    """
    tables = StreamTableEnvironment.create(env)
    for kind, topic in zip((LEFT, RIGHT), topics_of(source), strict=True):
        columns, table = events.parsed_columns(kind, out_of_orderness_seconds), kind.replace("-", "_")
        idle = idle_timeout_seconds
        tables.execute_sql(kafka.source(table, topic, columns, group=name, start=start, idle_timeout_seconds=idle))
    for view, query, kind in (("purchases", PURCHASES, LEFT), ("payments", PAYMENTS, RIGHT)):
        tables.create_temporary_view(view, tables.sql_query(query.format(valid=events.valid(kind))))
    tables.execute_sql(kafka.sink("pairs", pairs, PAIR, job=name, key="userId"))
    low, high = (later("purchase.`rowtime`", bound) for bound in (earliest_seconds, latest_seconds))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(JOIN.format(between=BETWEEN, earliest=low, latest=high))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--earliest-seconds", type=float, default=0.0)
    options.add_argument("--latest-seconds", type=float, default=5.0)
    command_line.run(build, options)


if __name__ == "__main__":
    main()
