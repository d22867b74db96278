"""Add up completed payments by currency: one query, for a stream that goes on or for a part of it that has an end.

    transactions ──> source ──> completed, by currency ──> metrics

The `mode` "streaming" says a currency's total anew with each payment, as long as payments come. "batch" reads up to
an end and says each total once. At the same offsets the last totals of a stream are those of the batch. Only valid
payments count, by the rule of `events`.

    $ flink run -py flink_jobs/total_sales.py --mode batch --start earliest
"""

from __future__ import annotations

from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events
from flink_jobs.connectors import Kafka, Start, Topic, Until

NAME = "total_sales"
EVENTS = "transactions"
MODES = {"streaming": RuntimeExecutionMode.STREAMING, "batch": RuntimeExecutionMode.BATCH}

TOTAL = """
  `currency` STRING,
  `payments` BIGINT,
  `sales` DOUBLE
"""

# Added up as decimals: the sum of doubles depends on their order, and the two modes would not end equal.
ADD_UP = """
INSERT INTO totals
SELECT
  `currency`,
  COUNT(*),
  CAST(SUM(CAST(`amount` AS DECIMAL(38, 2))) AS DOUBLE)
FROM payments
WHERE `status` = 'completed'
  AND {valid}
GROUP BY
  `currency`
"""


def end(mode: str, until: Until) -> Until:
    """Return where the source ends, which it always does in batch mode; raises ValueError for another mode."""
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, not one of {', '.join(MODES)}")
    return "latest" if mode == "batch" and until is None else until


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    totals: Topic = "metrics",
    mode: str = "streaming",
    until: Until = None,
    start: Start = "committed",
) -> None:
    """Add the job to `env`; with an end it finishes by itself.

    `mode`: "streaming" or "batch". `until`: where the source ends: before an offset for each partition, "latest", or
    None for never; in batch mode that is "latest". Give a batch a start, such as "earliest": from now on there is
    nothing to read.
    """
    until = end(mode, until)
    env.set_runtime_mode(MODES[mode])
    tables = StreamTableEnvironment.create(env)
    # Nothing waits for event time here.
    columns = events.parsed_columns(EVENTS, out_of_orderness_seconds=0)
    tables.execute_sql(kafka.source("payments", source, columns, group=name, start=start, until=until))
    tables.execute_sql(kafka.sink("totals", totals, TOTAL, job=name, key="currency", updating=True))
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(ADD_UP.format(valid=events.valid(EVENTS)))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--mode", choices=MODES, default="streaming")
    options.add_argument("--until", choices=["latest"], help="where the source ends; without it, never")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
