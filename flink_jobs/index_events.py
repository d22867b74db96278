"""Write events into an Elasticsearch index, many in one request, and go on while Elasticsearch works.

    user-events ──> source ──> valid? ──> by partition ──> gather ──> index ──> dead-letters
                                                                        └──> Elasticsearch

A batch is `batch_events` events, or those of `batch_ms`. Several requests are open at a time, and a checkpoint waits
for all of them: every event is in the index, or in state, before Kafka's offsets move on. After a failure some are
written again, under the same id: the event's eventId. While Elasticsearch is away or has no room, requests are
repeated; a document that it does not take becomes a dead letter with its reason. Records that are no valid event are
skipped, and left to the job dead_letters. The index must be there: `kernel_lib.indices.put_template` makes it.

Flink calls asynchronous Python functions in process mode only.

    $ flink run -py flink_jobs/index_events.py
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pyflink.common import Row, Time, TypeInformation, Types
from pyflink.datastream import AsyncDataStream, DataStream, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.async_retry_strategies import FixedDelayRetryStrategy
from pyflink.datastream.functions import AsyncFunction, KeyedProcessFunction
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor
from pyflink.table import StreamTableEnvironment
from pyflink.util.java_utils import get_j_env_configuration

from flink_jobs import bulk, command_line, events
from flink_jobs.bulk import Elasticsearch
from flink_jobs.connectors import Kafka, Start, Topic
from flink_jobs.dead_letters import DEAD_LETTER, MOST_CHARACTERS, PLACE
from kernel_lib.records import DeadLetter

NAME = "index_events"
EVENTS = "user-events"
OPEN_REQUESTS = 4
RETRY_MS = 500
PATIENCE = Time.minutes(10)
# The watermark with which a drained job ends.
END_OF_TIME = 2**63 - 1
# Only what an action line of a bulk request may contain; else the record's place is the id.
EVENT_ID = re.compile(r'"eventId"\s*:\s*"([ !#-\[\]-~]{1,512})"')

VALID = """
SELECT
  `partition`,
  `offset`,
  {text} AS `value`
FROM records
WHERE {reason} IS NULL
"""


class Event(NamedTuple):
    """A record: its place and its text."""

    partition: int
    offset: int
    value: str


def document(topic: str, event: Event) -> bulk.Document:
    """Return id and text of an event's document: the id is the event's own, or else where the record is."""
    named = EVENT_ID.search(event.value)
    return (named[1] if named else f"{topic}-{event.partition}-{event.offset}"), event.value


def sorted_out(batch: list[Event]) -> tuple[list[Event], list[tuple[Event, str]]]:
    """Return the events that are JSON for Elasticsearch too, and the others with what is wrong with them.

    One of these would make it refuse the whole request: Flink ignores what follows the closing brace.
    """
    good, bad = [], []
    for event in batch:
        try:
            json.loads(event.value)
        except ValueError as error:
            bad.append((event, str(error)))
        else:
            good.append(event)
    return good, bad


class Gather(KeyedProcessFunction):  # type: ignore[misc]
    """Gathers the events of a partition into batches."""

    def __init__(self, batch_events: int, batch_ms: int) -> None:
        self.batch_events, self.batch_ms = batch_events, batch_ms

    def open(self, runtime_context: RuntimeContext) -> None:
        self._events = runtime_context.get_list_state(ListStateDescriptor("events", Types.PICKLED_BYTE_ARRAY()))
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self._due = runtime_context.get_state(ValueStateDescriptor("due", Types.LONG()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[list[tuple[int, int, str]]]:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        self._events.add(tuple(value))
        if count == 1:
            self._due.update(ctx.timer_service().current_processing_time() + self.batch_ms)
            ctx.timer_service().register_processing_time_timer(self._due.value())
            # A drain ends the job before the time is up.
            ctx.timer_service().register_event_time_timer(END_OF_TIME)
        if count >= self.batch_events:
            ctx.timer_service().delete_processing_time_timer(self._due.value())
            yield from self._batch()

    def on_timer(
        self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext
    ) -> Iterator[list[tuple[int, int, str]]]:
        if self._count.value():
            yield from self._batch()

    def _batch(self) -> Iterator[list[tuple[int, int, str]]]:
        yield list(self._events.get())
        self._events.clear()
        self._count.clear()


class Index(AsyncFunction):  # type: ignore[misc]
    """Writes batches into an index; its results are the dead letters."""

    def __init__(self, elasticsearch: Elasticsearch, index: str, topic: str) -> None:
        self._elasticsearch, self._index, self._topic = elasticsearch, index, topic

    def open(self, runtime_context: RuntimeContext) -> None:
        self._pool = ThreadPoolExecutor(OPEN_REQUESTS)

    async def async_invoke(self, value: list[tuple[int, int, str]]) -> list[Row]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.write, value)

    def write(self, batch: list[tuple[int, int, str]]) -> list[Row]:
        """Write a batch and return the dead letters of what Elasticsearch does not take."""
        good, bad = sorted_out([Event(*each) for each in batch])
        documents = [document(self._topic, event) for event in good]
        refused = bulk.write(self._elasticsearch, self._index, documents) if documents else []
        bad += [(good[position], reason) for position, reason in refused]
        return [
            Row(reason, self._topic, event.partition, event.offset, event.value[:MOST_CHARACTERS])
            for event, reason in bad
        ]

    def close(self) -> None:
        self._pool.shutdown(wait=False)


def letter_type() -> TypeInformation:
    """Return the type of a dead letter's row."""
    types = [Types.STRING(), Types.STRING(), Types.INT(), Types.LONG(), Types.STRING()]
    return Types.ROW_NAMED(list(DeadLetter.__struct_fields__), types)


def indexed(batches: DataStream, index: Index) -> DataStream:
    """Return the dead letters that come up while batches are written."""
    again = FixedDelayRetryStrategy(
        max_attempts=PATIENCE.to_milliseconds() // RETRY_MS,
        backoff_time_millis=RETRY_MS,
        result_predicate=None,
        exception_predicate=lambda error: isinstance(error, bulk.Unavailable),
    )
    letters = AsyncDataStream.unordered_wait_with_retry(
        batches, index, PATIENCE, again, capacity=OPEN_REQUESTS, output_type=letter_type()
    )
    return letters.name("index").uid("index")


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    dead_letters: Topic = "dead-letters",
    index: str = EVENTS,
    elasticsearch: Elasticsearch | None = None,
    start: Start = "committed",
    batch_events: int = 500,
    batch_ms: int = 100,
) -> None:
    """Add the job to `env`; `index` is a short name. Raises ValueError in thread mode."""
    if get_j_env_configuration(env._j_stream_execution_environment).toMap().get("python.execution-mode") != "process":
        raise ValueError(f'{NAME} calls Elasticsearch asynchronously: python_mode must be "process", not "thread"')
    elasticsearch = elasticsearch or Elasticsearch.from_environment(os.environ)
    tables = StreamTableEnvironment.create(env)
    columns = f"{events.raw_columns(EVENTS)},{PLACE}"
    tables.execute_sql(kafka.source("records", source, columns, group=name, start=start, value=events.RAW))
    tables.execute_sql(kafka.sink("letters", dead_letters, DEAD_LETTER, job=name, key="topic"))
    valid = tables.to_data_stream(tables.sql_query(VALID.format(text=events.TEXT, reason=events.reason(EVENTS))))
    batches = valid.key_by(lambda row: str(row[0]), Types.STRING()).process(
        Gather(batch_events, batch_ms), Types.PICKLED_BYTE_ARRAY()
    )
    full_name = elasticsearch.index_prefix + kafka.named(index)
    letters = indexed(batches.name("gather").uid("gather"), Index(elasticsearch, full_name, source))
    lanes = tables.create_statement_set()
    lanes.add_insert("letters", tables.from_data_stream(letters))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--index", default=EVENTS, help="the index's name without prefix and namespace")
    command_line.run(build, options, python_mode="process")


if __name__ == "__main__":
    main()
