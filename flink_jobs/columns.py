"""Own how the columns of a table in SQL are the fields of a row in Python.

>>> columns.names("`userId` STRING,\\n`count` BIGINT")
['userId', 'count']
>>> counted = keyed.process(Count(), columns.row_type(COUNTS))
"""

from __future__ import annotations

from pyflink.common import TypeInformation, Types

_TYPES = {
    "STRING": Types.STRING,
    "DOUBLE": Types.DOUBLE,
    "BIGINT": Types.LONG,
    "INT": Types.INT,
    "BOOLEAN": Types.BOOLEAN,
    "ARRAY<STRING>": lambda: Types.OBJECT_ARRAY(Types.STRING()),
}


def names(columns: str) -> list[str]:
    """Return the names of columns that stand on a line each."""
    return [line.split("`")[1] for line in columns.splitlines() if line.strip()]


def row_type(columns: str) -> TypeInformation:
    """Return the type of a row with these columns; made anew, because a used one cannot be sent to the cluster."""
    kinds = [line.split("`")[2].strip(" ,") for line in columns.splitlines() if line.strip()]
    return Types.ROW_NAMED(names(columns), [_TYPES[kind]() for kind in kinds])


def of_part(part: str, columns: str) -> str:
    """Return for SELECT the columns of a row that is the field `part` of another one."""
    return ",\n".join(f"  `{part}`.`{name}`" for name in names(columns))
