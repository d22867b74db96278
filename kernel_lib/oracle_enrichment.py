"""Say what the right answer of an enrichment is: what versions of merchants and users add to replayed transactions.

    >>> versions = [oracle_enrichment.versions(topics.read(name)) for name in ("merchants", "users")]
    >>> oracle_enrichment.enriched(oracle.replay(run), *versions)

It shares no code with the jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
import pandas as pd

from kernel_lib.kafka_client import Record

ADDED = ("category", "merchantCity", "tier", "homeCity", "matched")


def versions(records: Iterable[Record]) -> pd.DataFrame:
    """Return the versions that the records of a compacted topic are, one row each: `key`, `validFromMs`, the fields."""
    # Of two versions of one key and one time the later written holds.
    return _written(records).drop_duplicates(["key", "validFromMs"], keep="last", ignore_index=True)


def newest(records: Iterable[Record]) -> pd.DataFrame:
    """Return the same with only the version of each key that was written last, valid at any time."""
    return _written(records).drop_duplicates("key", keep="last", ignore_index=True).assign(validFromMs=0)


def enriched(transactions: pd.DataFrame, merchants: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """Return what is added to each transaction: `number`, then the columns ADDED, None for what is not known.

    A version counts from its own millisecond on, until that of the next one.
    """
    found = transactions[["number", "timeMs", "merchantId", "userId"]].sort_values("timeMs", kind="stable")
    merchants = merchants.rename(columns={"city": "merchantCity"})[["key", "validFromMs", "category", "merchantCity"]]
    users = users.rename(columns={"city": "homeCity"})[["key", "validFromMs", "tier", "homeCity"]]
    for key, known in (("merchantId", merchants), ("userId", users)):
        known = known.assign(known=True).sort_values("validFromMs", kind="stable")
        found = pd.merge_asof(
            found, known, left_on="timeMs", right_on="validFromMs", left_by=key, right_by="key", suffixes=("", "User")
        )
    found["matched"] = found["known"].notna() & found["knownUser"].notna()
    added = found[["number", *ADDED]].sort_values("number", ignore_index=True).astype(object)
    return added.mask(added.isna(), other=None)


def _written(records: Iterable[Record]) -> pd.DataFrame:
    """Return all versions in the order of writing; a record that cannot be read is none."""
    rows = []
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        with suppress(msgspec.DecodeError):
            fields = msgspec.json.decode(record.value or b"", type=dict[str, Any])
            rows.append({"key": (record.key or b"").decode(), "validFromMs": record.timestamp_ms} | fields)
    return pd.DataFrame(rows)
