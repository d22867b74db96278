"""Keep a load of bytes for each user in keyed state, so that checkpoints are as large as you like.

    user-events ──> source ──> valid? ──> by user ──> hold ──> processed-events
                                  control ────────────┘ └────> acknowledgements

Each event is numbered among those of its user and renews the user's load: `bytes_per_user` random bytes, so that
no state backend can make them smaller. The state's size is users x `bytes_per_user`; the producer's knob `keys` says
how many users there are. Which state backend holds it, and whether a checkpoint builds on the one before, is Flink's
own configuration: `state.backend.type` is "hashmap" (objects on the heap, every checkpoint is whole), "rocksdb" or
"forst" (files beside the heap); these two can write only what is new with `execution.checkpointing.incremental`.

    >>> jobs.submit("hold_state", bytes_per_user=10_000, flink_options={"state.backend.type": "rocksdb"})

    $ flink run -D state.backend.type=rocksdb -py flink_jobs/hold_state.py
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pyflink.common import Row, Types
from pyflink.datastream import RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from flink_jobs import columns, command_line, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic

NAME = "hold_state"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"bytes_per_user": 1000}

HELD = """
  `eventId` STRING,
  `userId` STRING,
  `number` BIGINT,
  `heldBytes` BIGINT,
  `sentAt` BIGINT
"""


def load(user: str, number: int, size: int) -> bytes:
    """Return the load that a user's event of this number brings: always the same, and no two alike."""
    return Random(f"{user}/{number}").randbytes(max(size, 0))


class Hold(parameters.LiveParameters):
    """Numbers the events of a user and keeps the last one's load."""

    def open(self, runtime_context: RuntimeContext) -> None:
        super().open(runtime_context)
        self._held = runtime_context.get_state(ValueStateDescriptor("held", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        event = streams.as_event(EVENTS, value)
        number, _ = self._held.value() or (0, b"")
        number += 1
        held = load(event["userId"], number, int(self.in_force(ctx)["bytes_per_user"]))
        self._held.update((number, held))
        yield Row(event["eventId"], event["userId"], number, len(held), event["sentAt"])


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    held: Topic = "processed-events",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    start: Start = "committed",
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`."""
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.sink("held", held, HELD, job=name, key="userId"))
    valid = streams.valid_events(tables, kafka, EVENTS, source=source, group=name, start=start)
    numbered = parameters.connect(
        valid.key_by(streams.field(EVENTS, "userId"), Types.STRING()),
        Hold(name, begun_with),
        kafka,
        output_type=columns.row_type(HELD),
        control=control,
        acknowledgements=acknowledgements,
    )
    lanes = tables.create_statement_set()
    lanes.add_insert("held", tables.from_data_stream(numbered.name("hold")))
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
