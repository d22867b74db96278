"""Say which users a job that counts users must have created, counted and let expire.

>>> oracle_users.changes(oracle.replay(shop), timedelta(seconds=60))

It shares no code with the jobs.
"""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

COLUMNS = ["userId", "timeMs", "change", "count"]


def changes(frame: pd.DataFrame, ttl: timedelta) -> pd.DataFrame:
    """Return the changes of every user's counter, one row each, by user and time, when all of them have expired.

    Columns: `userId`, `timeMs` (event time, epoch), `change` ("created", "counted" or "expired"), `count` (after it; of
    an expired one what was forgotten). A user expires `ttl` after the last event; one at that moment comes in time.
    """
    ttl_ms = ttl // timedelta(milliseconds=1)
    moments = frame.groupby(["userId", "timeMs"]).size().rename("events").reset_index()
    before = moments.groupby("userId")["timeMs"].shift()
    created = before.isna() | (moments["timeMs"] - before > ttl_ms)
    moments["life"] = created.cumsum()
    moments["count"] = moments.groupby("life")["events"].cumsum()
    moments["change"] = created.map({True: "created", False: "counted"})
    ends = moments.groupby("life").last().assign(change="expired")
    ends["timeMs"] += ttl_ms
    return pd.concat([moments, ends])[COLUMNS].sort_values(COLUMNS[:2], ignore_index=True)
