"""Apply a function of the learner's to each event of a topic.

    user-events ──> source ──> the function, on the cluster ──> processed-events

The function gets the event as a dict and returns a dict, or None to drop the event. The result keeps the
event's eventId and key. Records that are no JSON object are skipped; a function that raises ends the job.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs.connectors import RAW_VALUE, Kafka, Start, Topic

NAME = "map_events"

Event = dict[str, Any]
EventFunction = Callable[[Event], Event | None]

RECORD = """
  `key` BYTES,
  `value` STRING
"""
KEY = {"key.format": "raw", "key.fields": "key", "value.fields-include": "EXCEPT_KEY"}
ROW = Types.ROW_NAMED(["key", "value"], [Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.STRING()])
EVENT_SHOWN_CHARACTERS = 500


class FunctionFailed(Exception):
    """The learner's function raised, or returned what cannot be written; says where and for which event."""


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    function: EventFunction,
    name: str = NAME,
    source: Topic = "user-events",
    sink: Topic = "processed-events",
    start: Start = "committed",
) -> None:
    """Add to `env` the job that applies `function` to each event of `source`."""
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.source("events", source, RECORD, group=name, start=start, value={**KEY, **RAW_VALUE}))
    tables.execute_sql(kafka.sink("results", sink, RECORD, job=name, key="key", value={**KEY, **RAW_VALUE}))

    def apply_to_row(row: Row) -> Iterator[Row]:
        result = apply(function, row[1])
        if result is not None:
            yield Row(row[0], result)

    mapped = tables.to_data_stream(tables.from_path("events")).flat_map(apply_to_row, output_type=ROW)
    mapped.name(function_name(function)).uid("function")
    lanes = tables.create_statement_set()
    lanes.add_insert("results", tables.from_data_stream(mapped))
    lanes.attach_as_datastream()


def apply(function: EventFunction, value: str | None) -> str | None:
    """Return the result of `function` for one record's value as JSON; None if there is none to write."""
    event = parsed(value)
    if event is None:
        return None
    identity = {"eventId": event["eventId"]} if "eventId" in event else {}  # the function may change the event
    with _Blaming(function, value):
        result = function(event)
        if result is None:
            return None
        if not isinstance(result, dict):
            raise TypeError(f"it returned {type(result).__name__}, and must return a dict or None")
        return json.dumps(identity | result, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parsed(value: str | None) -> Event | None:
    """Return the JSON object in `value`, or None if there is no such thing in it."""
    try:
        event = json.loads(value or "")
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def function_name(function: EventFunction) -> str:
    """Return the name to show for `function`."""
    return getattr(function, "__name__", type(function).__name__)


class _Blaming:
    """Turn whatever the learner's function raises into one line with function, error, place and event."""

    def __init__(self, function: EventFunction, value: str | None) -> None:
        self.function = function
        self.value = value

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        places = [
            f'File "{frame.filename}", line {frame.lineno}, in {frame.name}'
            for frame in traceback.extract_tb(trace)
            if frame.filename != __file__
        ]
        said = " ".join(f"{type(error).__name__}: {error}".split())
        event = str(self.value)[:EVENT_SHOWN_CHARACTERS]
        place = f", at {places[-1]}" if places else ""
        raise FunctionFailed(f"{function_name(self.function)} raised {said}{place}, for the event {event}") from error
