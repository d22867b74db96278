"""Find card fraud with MATCH_RECOGNIZE: four patterns in the payments of each user.

                                      ┌──> card testing ──┐
    transactions ──> stamped ──> by   ├──> two cities ────┤
       merchants ──> payments   user ─┼──> burst ─────────┼──> alerts
         control ──────┘              └──> forced ────────┘

* card testing: a small payment, then three large ones.
* two cities: two payments in a row so far apart that nobody travels so fast; the online shop, which is nowhere, is
  left out.
* burst: eight payments in a row at one merchant.
* forced: four payments in a row that failed, then one that is completed.

`payments` prepares them. Each carries the thresholds and time limits that were in force when the watermark reached
it, and a match lives by those of its first payment. WITHIN is constant: no time limit is longer than that.

    $ flink run -py flink_jobs/match_fraud.py
"""

from __future__ import annotations

from typing import NamedTuple

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import Schema, StreamTableEnvironment

from flink_jobs import alerts, command_line, parameters, payments
from flink_jobs.connectors import LANES, Kafka, Start, Topic

NAME = "match_fraud"
PARAMETERS = payments.PARAMETERS

MATCH = """
SELECT
  '{alert}' AS `alert`,
  '{severity}' AS `severity`,
  `userId` AS `key`,
  `timestamp`,
  `eventIds`,
  `explanation`,
  `sentAt`
FROM {table} MATCH_RECOGNIZE (
  PARTITION BY `userId`
  ORDER BY
    `rowtime`,
    `eventId`
  MEASURES
    {timestamp} AS `timestamp`,
    ARRAY[{event_ids}] AS `eventIds`,
    CONCAT({explanation}) AS `explanation`,
    {sent_at} AS `sentAt`
  ONE ROW PER MATCH
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN ({pattern}) WITHIN INTERVAL '1' HOUR
  DEFINE
    {define}
)
"""

# Great-circle distance on a sphere of 6,371 km, by the haversine formula.
KILOMETRES = """2 * 6371 * ASIN(SQRT(
      POWER(SIN(RADIANS(THERE.`lat` - HERE.`lat`) / 2), 2)
      + COS(RADIANS(HERE.`lat`)) * COS(RADIANS(THERE.`lat`))
        * POWER(SIN(RADIANS(THERE.`lon` - HERE.`lon`) / 2), 2)
    ))"""

INSERT = """
INSERT INTO alerts
{matches}
"""


class Pattern(NamedTuple):
    """A pattern in SQL; `rows` are the rows of a match in order, each as what stands around the name of a column."""

    alert: str
    severity: str
    pattern: str
    define: str
    rows: tuple[str, ...]
    explanation: str
    table: str = "payments"

    def query(self) -> str:
        """Return the query whose rows are the pattern's alerts."""
        return MATCH.format(
            alert=self.alert,
            severity=self.severity,
            table=self.table,
            event_ids=", ".join(row.format("eventId") for row in self.rows),
            timestamp=self.rows[-1].format("timestamp"),
            sent_at=self.rows[-1].format("sentAt"),
            explanation=self.explanation.strip(),
            pattern=self.pattern,
            define=self.define.strip(),
        )


def repeated(variable: str, times: int) -> tuple[str, ...]:
    """Return the rows of a pattern variable that stands for several."""
    return tuple(f"FIRST({variable}.`{{}}`, {number})" for number in range(times))


def money(amount: str) -> str:
    """Return the SQL that writes an amount with two decimals."""
    return f"CAST(CAST({amount} AS DECIMAL(12, 2)) AS STRING)"


def seconds_between(first: str, last: str) -> str:
    """Return the SQL that writes the seconds between two rows with three decimals."""
    return f"CAST(CAST(({last.format('timeMs')} - {first.format('timeMs')}) / 1000.0 AS DECIMAL(12, 3)) AS STRING)"


CARD_TESTING = Pattern(
    "card testing",
    "high",
    "PROBE BIG{3}",
    """
    PROBE AS PROBE.`amount` < PROBE.`small_amount`,
    BIG AS BIG.`amount` >= PROBE.`large_amount`
      AND BIG.`timeMs` - PROBE.`timeMs` <= 1000 * PROBE.`testing_seconds`
    """,
    ("PROBE.`{}`", *repeated("BIG", 3)),
    f"""
      'paid ', {money("PROBE.`amount`")}, ' ', PROBE.`currency`, ', then ',
      {money("FIRST(BIG.`amount`)")}, ', ', {money("FIRST(BIG.`amount`, 1)")}, ' and ',
      {money("LAST(BIG.`amount`)")}, ' within ', {seconds_between("PROBE.`{}`", "LAST(BIG.`{}`)")}, ' s'
    """,
)

TWO_CITIES = Pattern(
    "two cities",
    "high",
    "HERE THERE",
    f"""
    THERE AS {KILOMETRES} * 3600000
      > (THERE.`timeMs` - HERE.`timeMs`) * HERE.`fastest_kmh`
    """,
    ("HERE.`{}`", "THERE.`{}`"),
    f"""
      'paid in ', HERE.`city`, ', and ', {seconds_between("HERE.`{}`", "THERE.`{}`")}, ' s later in ',
      THERE.`city`, ', ', CAST(CAST({KILOMETRES} AS BIGINT) AS STRING), ' km away'
    """,
    table="placed_payments",
)

BURST = Pattern(
    "burst",
    "medium",
    "SAME{8}",
    """
    SAME AS SAME.`merchantId` = FIRST(SAME.`merchantId`)
      AND SAME.`timeMs` - FIRST(SAME.`timeMs`) <= 1000 * FIRST(SAME.`burst_seconds`)
    """,
    repeated("SAME", 8),
    f"""
      'paid 8 times at ', FIRST(SAME.`merchantId`),
      IF(FIRST(SAME.`city`) = '', '', ' in '), FIRST(SAME.`city`),
      ' within ', {seconds_between("FIRST(SAME.`{}`)", "LAST(SAME.`{}`)")}, ' s, ',
      {money("SUM(SAME.`amount`)")}, ' ', FIRST(SAME.`currency`), ' together'
    """,
)

FORCED = Pattern(
    "forced",
    "medium",
    "FAILED{4} DONE",
    """
    FAILED AS FAILED.`status` = 'failed',
    DONE AS DONE.`status` = 'completed'
      AND DONE.`timeMs` - FIRST(FAILED.`timeMs`) <= 1000 * FIRST(FAILED.`forced_seconds`)
    """,
    (*repeated("FAILED", 4), "DONE.`{}`"),
    f"""
      '4 payments failed, then one of ', {money("DONE.`amount`")}, ' ', DONE.`currency`, ' was completed, within ',
      {seconds_between("FIRST(FAILED.`{}`)", "DONE.`{}`")}, ' s'
    """,
)

PATTERNS = (CARD_TESTING, TWO_CITIES, BURST, FORCED)


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = payments.TRANSACTIONS,
    merchants: Topic = payments.MERCHANTS,
    found: Topic = "alerts",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    guarantee: str = "exactly-once",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`.

    `out_of_orderness_seconds`: how late a payment may be and still be judged, and so how long each alert waits.
    `idle_timeout_seconds`: how long a partition without payments holds the alerts back.
    """
    tables = StreamTableEnvironment.create(env)
    stamped = payments.stamped_payments(
        env,
        tables,
        kafka,
        name=name,
        source=source,
        merchants=merchants,
        control=control,
        acknowledgements=acknowledgements,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
        begun_with=begun_with,
    )
    # Event time and watermarks are those of the stream.
    schema = Schema.new_builder().column_by_metadata("rowtime", "TIMESTAMP_LTZ(3)", "rowtime")
    schema = schema.watermark("rowtime", "SOURCE_WATERMARK()")
    tables.create_temporary_view("payments", stamped, schema.build())
    tables.create_temporary_view("placed_payments", tables.sql_query("SELECT * FROM payments WHERE `lat` IS NOT NULL"))
    tables.execute_sql(kafka.sink("alerts", found, alerts.COLUMNS, job=name, key=alerts.KEY, guarantee=guarantee))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(INSERT.format(matches="UNION ALL".join(pattern.query() for pattern in PATTERNS)))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
