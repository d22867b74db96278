"""Own how jobs write what they found to the topic alerts: the columns in SQL, the row in Python.

The fields are those of `kernel_lib.records.Alert`.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyflink.common import Row, TypeInformation

from flink_jobs import columns

COLUMNS = """
  `alert` STRING,
  `severity` STRING,
  `key` STRING,
  `timestamp` STRING,
  `eventIds` ARRAY<STRING>,
  `explanation` STRING,
  `sentAt` BIGINT
"""
KEY = "key"


def row_type() -> TypeInformation:
    """Return the type of an alert's row."""
    return columns.row_type(COLUMNS)


def row(
    alert: str, severity: str, key: str, timestamp: str, event_ids: Iterable[str], explanation: str, sent_at: int
) -> Row:
    """Return an alert as a row."""
    return Row(alert, severity, key, timestamp, list(event_ids), explanation, sent_at)
