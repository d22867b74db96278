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

from flink_jobs import command_line, events, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic

NAME = "filter_events"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"minimum_duration": 0.0, "event_type": ""}


def passes(event: Mapping[str, Any], in_force: parameters.Parameters) -> bool:
    """Say whether an event is long enough and of the wanted type."""
    return event["duration"] >= in_force["minimum_duration"] and in_force["event_type"] in ("", event["eventType"])


class Filter(parameters.LiveParameters):
    """Passes the events that pass."""

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        if passes(streams.as_event(EVENTS, value), self.in_force(ctx)):
            yield streams.without_time(value)


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
    tables.execute_sql(kafka.sink("passed", passed, events.columns(EVENTS), job=name, key="userId"))
    valid = streams.valid_events(
        tables,
        kafka,
        EVENTS,
        source=source,
        group=name,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
    )
    filtered = parameters.connect(
        valid.key_by(streams.field(EVENTS, "userId"), Types.STRING()),
        Filter(name, begun_with),
        kafka,
        output_type=streams.written_type(EVENTS),
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
