"""Own the way from a raw topic to a Python function: valid events as rows, with event time and watermarks.

    >>> events = streams.valid_events(tables, kafka, "transactions", group="detect_fraud")
    >>> events.key_by(streams.field("transactions", "userId"), Types.STRING())

A row has the fields of the event in the order of `kernel_lib.records`, the time as text, and last the row time. Its
timestamp and its watermarks are those of the SQL table, which makes one for each partition.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_type_hints

from pyflink.common import Row, TypeInformation, Types
from pyflink.datastream import DataStream
from pyflink.table import StreamTableEnvironment

from flink_jobs import events
from flink_jobs.connectors import Kafka, Start
from kernel_lib.records import EVENT_TYPES, Location

VALID = """
SELECT
{fields},
  `rowtime`
FROM {table}
WHERE {valid}
  AND ({where})
"""
ISO = "DATE_FORMAT({field}, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') AS `timestamp`"


def valid_events(
    tables: StreamTableEnvironment,
    kafka: Kafka,
    event_type: str,
    *,
    group: str,
    source: str = "",
    where: str = "TRUE",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float | None = None,
    watermark_each_event: bool = False,
) -> DataStream:
    """Return the valid events of the topic `source`, which has those of the raw topic `event_type`.

    `where`: an SQL condition over the event's fields; what does not meet it never goes the slow way into Python.
    """
    table = f"raw_{event_type.replace('-', '_')}"
    columns = events.parsed_columns(event_type, out_of_orderness_seconds)
    tables.execute_sql(
        kafka.source(
            table,
            source or event_type,
            columns,
            group=group,
            start=start,
            idle_timeout_seconds=idle_timeout_seconds,
            watermark_each_event=watermark_each_event,
        )
    )
    fields = as_sent(event_type, table)
    query = VALID.format(fields=fields, table=table, valid=events.valid(event_type), where=where)
    return tables.to_data_stream(tables.sql_query(query))


def as_sent(event_type: str, table: str) -> str:
    """Return the fields of a table's events for SELECT, as they were sent: the time is text."""
    fields = {name: f"{table}.`{name}`" for name in EVENT_TYPES[event_type].__struct_fields__}
    return ",\n".join(f"  {ISO.format(field=it) if name == 'timestamp' else it}" for name, it in fields.items())


def field(event_type: str, name: str) -> Callable[[Row], Any]:
    """Return the function that takes one field out of a row."""
    at = EVENT_TYPES[event_type].__struct_fields__.index(name)
    return lambda row: row[at]


def text_field(event_type: str, name: str) -> Callable[[Row], Any]:
    """Return the function that takes one text out of a row; raises ValueError for a field that is none."""
    texts = [each for each, kind in get_type_hints(EVENT_TYPES[event_type]).items() if kind is str]
    if name not in texts:
        raise ValueError(f"{name!r} is no text field of {event_type}; choose from {', '.join(texts)}")
    return field(event_type, name)


def iso(at_ms: int) -> str:
    """Return a time (epoch ms) as events have it: ISO-8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_event(event_type: str, row: Row) -> dict[str, Any]:
    """Return a row as the event that it is: its fields by name."""
    return dict(zip(EVENT_TYPES[event_type].__struct_fields__, row, strict=False))


def without_time(row: Row) -> Row:
    """Return an event's row as it is written to a topic."""
    return Row(*row[:-1])


def written_type(event_type: str) -> TypeInformation:
    """Return the type of such a row."""
    return Types.ROW_NAMED(*_named_types(event_type))


def read_type(event_type: str) -> TypeInformation:
    """Return the type of a row of `valid_events`, with the row time."""
    names, types = _named_types(event_type)
    return Types.ROW_NAMED([*names, "rowtime"], [*types, Types.INSTANT()])


def _named_types(event_type: str) -> tuple[list[str], list[TypeInformation]]:
    place = Types.ROW_NAMED(["lat", "lon"], [Types.DOUBLE(), Types.DOUBLE()])
    types = {str: Types.STRING(), float: Types.DOUBLE(), int: Types.LONG(), Location: place}
    hints = get_type_hints(EVENT_TYPES[event_type])
    return list(hints), [types[kind] for kind in hints.values()]
