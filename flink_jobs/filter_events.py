"""Pass the events that are long enough and of the wanted type; both can be changed while the job runs.

    user-events ──> source ──> valid? ──> by user ──> filter ──> processed-events
                                  control ──────────────┘ └────> acknowledgements

`minimum_duration` is in seconds; `event_type` "" passes every type. Only valid events pass, by the rule of
`events`.

    $ flink run -py flink_jobs/filter_events.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events, parameters
from flink_jobs.connectors import Kafka, Start, Topic
from kernel_lib.records import UserEvent

NAME = "filter_events"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"minimum_duration": 0.0, "event_type": ""}
FIELDS = UserEvent.__struct_fields__

VALID = """
SELECT
  `eventId`,
  DATE_FORMAT(`timestamp`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') AS `timestamp`,
  `userId`,
  `eventType`,
  `sessionId`,
  `page`,
  `duration`,
  `userAgent`,
  `location`,
  `sentAt`
FROM events
WHERE {valid}
"""


def passes(event: Mapping[str, Any], in_force: parameters.Parameters) -> bool:
    """Say whether an event is long enough and of the wanted type."""
    return event["duration"] >= in_force["minimum_duration"] and in_force["event_type"] in ("", event["eventType"])


def user_of(event: Row) -> str:
    """Return the key by which events are spread over the subtasks."""
    return str(event[FIELDS.index("userId")])


class Filter(parameters.LiveParameters):
    """Passes the events that pass."""

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        if passes(dict(zip(FIELDS, value, strict=True)), self.in_force(ctx)):
            yield value


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    passed: Topic = "processed-events",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`."""
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(
        kafka.source("events", source, events.parsed_columns(EVENTS, out_of_orderness_seconds), group=name, start=start)
    )
    tables.execute_sql(kafka.sink("passed", passed, events.columns(EVENTS), job=name, key="userId"))
    valid = tables.to_data_stream(tables.sql_query(VALID.format(valid=events.valid(EVENTS))))
    filtered = parameters.connect(
        valid.key_by(user_of, Types.STRING()),
        Filter(name, begun_with),
        kafka,
        output_type=valid.get_type(),
        control=control,
        acknowledgements=acknowledgements,
    )
    lanes = tables.create_statement_set()
    lanes.add_insert("passed", tables.from_data_stream(filtered))
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
