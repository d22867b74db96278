"""Own live parameters: a job reads them from the control topic, applies them and acknowledges each version.

    control ──> broadcast to every subtask ──┐
    events, by key ──────────────────────────┴──> LiveParameters ──> results
                                                        └──> acknowledgements

A job declares its parameters with their defaults and applies them in an operator of its own:

    >>> class Filter(LiveParameters):
    ...     def process_element(self, value, ctx):
    ...         if value["amount"] >= self.in_force(ctx)["minimum"]:
    ...             yield value
    >>> passed = connect(keyed, Filter("filter", ({"minimum": 0.0}, 0)), kafka, output_type=ROW)

A record of the control topic names the job, a version and all its parameters; the last one of a job stays.
The parameters in force are in every checkpoint, so that they outlive restarts and rescaling.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import cloudpickle
from pyflink.common import Duration, SimpleStringSchema, TypeInformation, Types, WatermarkStrategy
from pyflink.datastream import DataStream, KeyedStream, OutputTag, RuntimeContext
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.datastream.state import MapStateDescriptor

from flink_jobs.connectors import Kafka, Topic

Parameters = dict[str, bool | int | float | str]

Begun = tuple[Parameters, int]
"""All parameters of a job with their first values, and the version that these are; 0 for the declared ones."""

# Under this name of the job's global parameters, which Flink's REST interface shows, is what it began with.
BEGUN_WITH = "parameters"
IN_FORCE = "in force"
DESCRIPTOR = MapStateDescriptor("parameters", Types.STRING(), Types.STRING())
ACKNOWLEDGED = OutputTag("acknowledged", Types.STRING())
# A quiet control topic must not hold the job's watermark back; it never has one of its own.
IDLE_MS = 500


class LiveParameters(KeyedBroadcastProcessFunction):  # type: ignore[misc]
    """Keeps the parameters in force; a job adds `process_element`, which asks `in_force`."""

    def __init__(self, job: str, begun_with: Begun) -> None:
        self.job = job
        self.begun_with, self._first_version = begun_with
        self._in_force: Parameters | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        self._subtask, self._parallelism = place(runtime_context)

    def in_force(self, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Parameters:
        """Return all parameters as they are in force in this subtask."""
        if self._in_force is None:
            kept = self._asked(ctx.get_broadcast_state(DESCRIPTOR).get(IN_FORCE))
            self._in_force = fitting(self.begun_with, kept["parameters"] if kept else {})
        return self._in_force

    def process_broadcast_element(
        self, value: str, ctx: KeyedBroadcastProcessFunction.Context
    ) -> Iterator[tuple[OutputTag, str]]:
        asked = self._asked(value)
        if asked is None:
            return
        self._in_force = fitting(self.begun_with, asked["parameters"])
        ctx.get_broadcast_state(DESCRIPTOR).put(IN_FORCE, value)
        said = {
            "job": self.job,
            "version": asked["version"],
            "subtask": self._subtask,
            "parallelism": self._parallelism,
            "parameters": self._in_force,
        }
        yield ACKNOWLEDGED, json.dumps(said)

    def _asked(self, value: str | None) -> dict[str, Any] | None:
        asked = version_for(self.job, value)
        # The topic begins with versions from before this run, which must not come into force again.
        return asked if asked and asked["version"] >= self._first_version else None


def connect(
    keyed: KeyedStream,
    function: LiveParameters,
    kafka: Kafka,
    *,
    output_type: TypeInformation,
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
) -> DataStream:
    """Apply `function` to the events of `keyed` with the parameters that `control` says; return its results."""
    # A TaskManager keeps the modules that it imports; what is sent by value runs as its file is now.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    env = keyed.get_execution_environment()
    shown = env.get_config().get_global_job_parameters() | {BEGUN_WITH: json.dumps(function.begun_with)}
    env.get_config().set_global_job_parameters(shown)
    idle = WatermarkStrategy.no_watermarks().with_idleness(Duration.of_millis(IDLE_MS))
    versions = env.from_source(_source(kafka, control), idle, "control").uid("control").set_buffer_timeout(0)
    applied = keyed.connect(versions.broadcast(DESCRIPTOR)).process(function, output_type)
    applied.name("parameters").uid("parameters")
    # `get_side_output` would add a Python operator that copies each acknowledgement: milliseconds for nothing.
    said = DataStream(applied._j_data_stream.getSideOutput(ACKNOWLEDGED.get_java_output_tag()))
    said.sink_to(_sink(kafka, acknowledgements)).name("acknowledgements").uid("acknowledgements")
    return applied


def place(runtime_context: RuntimeContext) -> tuple[int, int]:
    """Return the index of a subtask and how many there are."""
    try:
        return runtime_context.get_index_of_this_subtask(), runtime_context.get_number_of_parallel_subtasks()
    except AttributeError:
        # In thread mode PyFlink 2.3 asks for methods that Flink 2 has moved.
        info = runtime_context._runtime_context.getTaskInfo()
        return info.getIndexOfThisSubtask(), info.getNumberOfParallelSubtasks()


def version_for(job: str, value: str | None) -> dict[str, Any] | None:
    """Return what a record of the control topic asks of `job`; None if it is for another one or unreadable."""
    try:
        record = json.loads(value or "")
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("job") != job:
        return None
    readable = isinstance(record.get("parameters"), dict) and isinstance(record.get("version"), int)
    return record if readable else None


def fitting(declared: Parameters, wanted: Mapping[str, Any]) -> Parameters:
    """Return the declared parameters with the values of `wanted` that are of the same type."""
    return {
        name: wanted[name] if type(wanted.get(name)) is type(default) else default for name, default in declared.items()
    }


def _source(kafka: Kafka, topic: str) -> KafkaSource:
    source = KafkaSource.builder().set_bootstrap_servers(kafka.bootstrap_servers).set_topics(kafka.named(topic))
    for name, value in kafka.client().items():
        source.set_property(name, value)
    # Nobody asks how far a job has read it: a checkpoint knows.
    source.set_property("commit.offsets.on.checkpoint", "false")
    source.set_starting_offsets(KafkaOffsetsInitializer.earliest())
    return source.set_value_only_deserializer(SimpleStringSchema()).build()


def _sink(kafka: Kafka, topic: str) -> KafkaSink:
    schema = KafkaRecordSerializationSchema.builder().set_topic(kafka.named(topic))
    sink = KafkaSink.builder().set_bootstrap_servers(kafka.bootstrap_servers)
    sink.set_record_serializer(schema.set_value_serialization_schema(SimpleStringSchema()).build())
    # Not in a transaction: an acknowledgement is wanted now, not at the next checkpoint.
    sink.set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
    for name, value in {**kafka.client(), "linger.ms": "0"}.items():
        sink.set_property(name, value)
    return sink.build()
