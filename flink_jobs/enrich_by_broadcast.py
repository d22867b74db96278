"""Add to each transaction what is known about its merchant and its user at the moment at which it is processed.

    transactions ──> source ──> valid? ──────────────────> look up ──> processed-events
    merchants, users ──> source ──> broadcast to every subtask ─┘

Every subtask keeps the newest version of each merchant and user, so that a transaction waits for nothing. In return
the answer depends on what arrives first: an event from before a change that comes after it gets the
new version, one that comes before the topics are read gets none, and a second run may say something else.
`enrich_transactions` compares times instead.

    $ flink run -py flink_jobs/enrich_by_broadcast.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pyflink.common import Row, TypeInformation, Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.functions import BroadcastProcessFunction
from pyflink.datastream.state import MapStateDescriptor
from pyflink.table import StreamTableEnvironment

from flink_jobs import command_line, enrichment, events, streams
from flink_jobs.connectors import Kafka, Start, Topic, Versions
from flink_jobs.enrichment import EVENTS

NAME = "enrich_by_broadcast"
DESCRIPTOR = MapStateDescriptor("newest versions", Types.STRING(), Types.STRING())
VERSION = """
  `key` STRING,
  `value` STRING
"""

Known = Mapping[str, Any] | None


def known(value: str | None) -> Known:
    """Return what a version says; None if there is none, or none that can be read."""
    try:
        record = json.loads(value or "")
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def found(merchant: Known, user: Known) -> tuple[Any, ...]:
    """Return what is added to a transaction: category, merchantCity, tier, homeCity, and whether both are known."""
    of_merchant, of_user = merchant or {}, user or {}
    return (
        of_merchant.get("category"),
        of_merchant.get("city"),
        of_user.get("tier"),
        of_user.get("city"),
        merchant is not None and user is not None,
    )


class LookUp(BroadcastProcessFunction):  # type: ignore[misc]
    """Keeps the newest versions and adds them to transactions."""

    def process_element(self, value: Row, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        event, newest = streams.as_event(EVENTS, value), ctx.get_broadcast_state(DESCRIPTOR)
        merchant, user = (known(newest.get(event[key])) for key in ("merchantId", "userId"))
        yield Row(*streams.without_time(value), *found(merchant, user))

    def process_broadcast_element(self, value: Row, ctx: BroadcastProcessFunction.Context) -> Iterator[Row]:
        key, version = value
        if version is None:
            ctx.get_broadcast_state(DESCRIPTOR).remove(key)
        elif known(version) is not None:
            ctx.get_broadcast_state(DESCRIPTOR).put(key, version)
        return iter(())


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    reference: Versions = "merchants;users",
    enriched: Topic = "processed-events",
    start: Start = "committed",
) -> None:
    """Add the job to `env`; `start` is for the transactions, the versions are always read from the beginning."""
    tables = StreamTableEnvironment.create(env)
    valid = streams.valid_events(tables, kafka, EVENTS, source=source, group=name, start=start)
    newest = versions(tables, kafka, reference, group=name).broadcast(DESCRIPTOR)
    looked_up = valid.connect(newest).process(LookUp(), enriched_type()).name("look up").uid("look-up")
    tables.execute_sql(kafka.sink("enriched", enriched, enrichment.COLUMNS, job=name, key="userId"))
    lanes = tables.create_statement_set()
    lanes.add_insert("enriched", tables.from_data_stream(looked_up))
    lanes.attach_as_datastream()


def versions(tables: StreamTableEnvironment, kafka: Kafka, topics: Versions, *, group: str) -> DataStream:
    """Return the records of compacted topics as rows of key and text."""
    tables.execute_sql(kafka.source("reference", topics, VERSION, group=group, start="earliest", value=events.RAW))
    return tables.to_data_stream(tables.from_path("reference"))


def enriched_type() -> TypeInformation:
    """Return the type of an enriched transaction's row."""
    event = streams.written_type(EVENTS)
    types = {"STRING": Types.STRING(), "BOOLEAN": Types.BOOLEAN()}
    added = [types[kind] for kind in enrichment.ADDED.values()]
    return Types.ROW_NAMED([*event.get_field_names(), *enrichment.ADDED], [*event.get_field_types(), *added])


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
