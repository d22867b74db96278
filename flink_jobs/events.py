"""Own how a raw topic's records are read in SQL, and the one rule that says which of them are valid events.

An event is valid when every field of its type can be read and its event time lies at most an hour after the
record's own timestamp. Two tables read a topic, and the rule is the same text for both, because they give
the same columns:

    >>> env.execute_sql(kafka.source("events", "user-events", parsed_columns("user-events", 0.5), group="count"))
    >>> env.execute_sql(kafka.source("events", "user-events", raw_columns("user-events"), group="relay", value=RAW))
    >>> env.sql_query(f"SELECT `eventType` FROM events WHERE {valid('user-events')}")

The parsed one takes each record apart once, which is ten times as fast; it never shows what is no JSON. The
raw one has the record as it came, byte for byte, and parses it again for each column that a query uses.

Read means: a text is anything but null; a number may stand in quotes; of two fields of one name the last
counts; what follows the closing brace is ignored. JSON outside the standard that only the parsed table
accepts (a list of events, control characters in a text, an encoding other than UTF-8) is valid there and
has a reason here: it is counted and reported, never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

from flink_jobs.connectors import seconds
from kernel_lib.records import EVENT_TYPES, Location

RAW = {
    "key.format": "raw",
    "key.fields": "key",
    "value.format": "raw",
    "value.fields-include": "EXCEPT_KEY",
}
RECORD = """
  `key` BYTES,
  `bytes` BYTES
"""
WRITTEN = "`written` TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL"
TEXT = "DECODE(`bytes`, 'UTF-8')"
# As the JSON format reads a time: seconds may be left out, and have up to nine decimals.
TIME = "uuuu-MM-dd''T''HH:mm[:ss[.SSSSSSSSS][.SSSSSSSS][.SSSSSSS][.SSSSSS][.SSSSS][.SSSS][.SSS][.SS][.S]]''Z''"
LARGEST = "1E308"

_PLACE = "ROW<`lat` DOUBLE, `lon` DOUBLE>"
_TIME = "TIMESTAMP_LTZ(3)"
_SQL_TYPES: dict[Any, str] = {str: "STRING", float: "DOUBLE", int: "BIGINT", Location: _PLACE}

Check = tuple[str, str]
"""A condition that a valid record meets, and the SQL of what is said of one that does not."""

_READABLE: list[Check] = [
    ("`bytes` <> X''", "'is empty'"),
    (f"ENCODE({TEXT}, 'UTF-8') = `bytes`", "'is not text'"),
    (f"{TEXT} IS JSON", "'is not JSON'"),
    (f"{TEXT} IS JSON OBJECT", "'is no JSON object'"),
    (f"JSON_EXISTS({TEXT}, '$.timestamp')", "'has no timestamp'"),
    ("`timestamp` IS NOT NULL", "'its timestamp cannot be read'"),
]


def columns(topic: str) -> str:
    """Return the columns of a topic's events as they are sent, the time as text."""
    return _listed(_fields(topic) | {"timestamp": "STRING"})


def parsed_columns(topic: str, out_of_orderness_seconds: float) -> str:
    """Return the columns of a table that parses the topic's records, with event time and its watermark.

    A window refuses a null time and then the job fails, so a record that is not valid is given the epoch: it
    never advances a watermark. `valid` keeps it out of results.
    """
    return f"""
{_listed(_fields(topic))},
  {WRITTEN},
  `rowtime` AS CASE
    WHEN {valid(topic)}
    THEN `timestamp`
    ELSE TO_TIMESTAMP_LTZ(0, 3)
  END,
  WATERMARK FOR `rowtime` AS `rowtime` - {seconds(out_of_orderness_seconds)}
"""


def raw_columns(*topics: str) -> str:
    """Return the columns of a table that keeps the records of topics as they are: bytes, and fields on demand."""
    fields = {name: kind for topic in topics for name, kind in _fields(topic).items()}
    derived = {name: f"AS {_derived(f'$.{name}', kind)}" for name, kind in fields.items()}
    return f"{RECORD.rstrip()},\n  {WRITTEN},\n{_listed(derived)}"


def valid(topic: str) -> str:
    """Return the condition that a valid event meets in a parsed table; not true, or null, for all others."""
    return "\n    AND ".join(condition for condition, _ in _checks(topic, lambda name: f"`{name}` IS NOT NULL"))


def reason(topic: str) -> str:
    """Return what is wrong with a record of a raw table, in words; null for a valid event."""
    checks = [*_READABLE, *_checks(topic, lambda name: f"JSON_EXISTS({TEXT}, '$.{name}')")]
    lines = "".join(f"\n  WHEN ({condition}) IS NOT TRUE THEN {said}" for condition, said in checks)
    return f"CASE{lines}\nEND"


def _checks(topic: str, exists: Callable[[str], str]) -> Iterator[Check]:
    event_type = EVENT_TYPES[topic]
    optional = event_type.__struct_fields__[-len(event_type.__struct_defaults__) :]
    yield "`timestamp` <= `written` + INTERVAL '1' HOUR", "'its timestamp is in the future'"
    for name, kind in _fields(topic).items():
        if name in optional:
            continue
        if kind == "STRING":
            yield exists(name), f"'has no {name}'"
        elif kind == "DOUBLE":
            # Not infinite and not "NaN", which are no numbers in JSON.
            yield f"ABS(`{name}`) < {LARGEST}", f"'its {name} is no number'"
        elif kind == _PLACE:
            yield f"ABS(`{name}`.`lat`) < {LARGEST}", f"'its {name} has no lat'"
            yield f"ABS(`{name}`.`lon`) < {LARGEST}", f"'its {name} has no lon'"


def _derived(path: str, kind: str) -> str:
    text = f"JSON_VALUE({TEXT}, '{path}')"
    if kind == _PLACE:
        return f"CAST(ROW({_derived(f'{path}.lat', 'DOUBLE')}, {_derived(f'{path}.lon', 'DOUBLE')}) AS {_PLACE})"
    if kind == _TIME:
        return f"TO_TIMESTAMP_LTZ({text}, '{TIME}')"
    return text if kind == "STRING" else f"TRY_CAST({text} AS {kind})"


def _fields(topic: str) -> dict[str, str]:
    """Return the SQL type of each field."""
    hints = get_type_hints(EVENT_TYPES[topic])
    return {name: _TIME if name == "timestamp" else _SQL_TYPES[kind] for name, kind in hints.items()}


def _listed(columns: dict[str, str]) -> str:
    return ",\n".join(f"  `{name}` {definition}" for name, definition in columns.items())
