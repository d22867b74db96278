"""Pass events on as they are, each after a while: a slow step, as a call of another service would be.

    user-events ──> source ──> valid? ──> by user ──> wait ──> processed-events
                                  control ────────────┘ └────> acknowledgements

`delay_ms` is how long each event takes; with `slow_user` it is only the events of that user, whose subtask then holds
back all others: the source cannot send on past a full buffer. A subtask handles one event after the other, so it
passes at most 1000 / `delay_ms` of them a second.

The step waits and does not compute. While a Python function waits it lets go of the interpreter's lock, so subtasks
wait side by side even in thread mode, in which all of a TaskManager share one interpreter: twice the parallelism is
twice the rate. A step that computes in Python would get nothing from a second subtask on the same TaskManager.

While the job is held back, a change of `delay_ms` may take longer than `controls.set` waits by default: give it more
time. In process mode events go to the Python process by the bundle, a thousand at most, and what comes after them
waits too: make bundles small there, with `python.fn-execution.bundle.size`.

    $ flink run -py flink_jobs/slow_down.py
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from pyflink.common import Row, Types
from pyflink.datastream import RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, events, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic

NAME = "slow_down"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"delay_ms": 0.0, "slow_user": ""}


def delay_seconds(user: str, in_force: parameters.Parameters) -> float:
    """Return how long an event of this user takes."""
    slow = in_force["slow_user"] in ("", user)
    return max(float(in_force["delay_ms"]), 0.0) / 1000 if slow else 0.0


class SlowDown(parameters.LiveParameters):
    """Holds each event for its delay and passes it on."""

    def open(self, runtime_context: RuntimeContext) -> None:
        super().open(runtime_context)
        self._never = Event()

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        seconds = delay_seconds(streams.as_event(EVENTS, value)["userId"], self.in_force(ctx))
        if seconds:
            self._never.wait(seconds)
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
    guarantee: str = "exactly-once",
    start: Start = "committed",
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`."""
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(
        kafka.sink("passed", passed, events.columns(EVENTS), job=name, key="userId", guarantee=guarantee)
    )
    valid = streams.valid_events(tables, kafka, EVENTS, source=source, group=name, start=start)
    waited = parameters.connect(
        valid.key_by(streams.field(EVENTS, "userId"), Types.STRING()),
        SlowDown(name, begun_with),
        kafka,
        output_type=streams.written_type(EVENTS),
        control=control,
        acknowledgements=acknowledgements,
    )
    lanes = tables.create_statement_set()
    lanes.add_insert("passed", tables.from_data_stream(waited.name("wait")))
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
