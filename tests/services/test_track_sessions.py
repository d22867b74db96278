"""Visits found by track_sessions, against the sessions of the replayed run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd

from kernel_lib import jobs, oracle, oracle_windows, producer, timestamps, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings

# A tenth of a second between events of one of sixty users: some hundred pauses are longer, and some just as long.
GAP = timedelta(milliseconds=100)
KNOBS: dict[str, Any] = {
    "keys": 60, "delay_ms": 100, "jitter_ms": 40, "malformed_share": 0.02, "duplicate_share": 0.02
}  # fmt: skip


def expected(run: Producer, gap: timedelta = GAP) -> list[dict[str, Any]]:
    """Return the visits of a run as the job must write them."""
    rows = oracle_windows.visits(oracle.replay(run), gap).to_dict("records")
    return ordered([{str(name): value for name, value in row.items()} for row in rows])


def found(settings: Settings, gap: timedelta = GAP) -> list[dict[str, Any]]:
    """Return the visits that the job wrote, the times in epoch ms; says if one does not end a gap after its last."""
    written = [
        row
        for record in topics.read("metrics", limit=1_000_000, settings=settings)
        if "pages" in (row := record.json())
    ]
    for row in written:
        last, end = timestamps.epoch_ms(row.pop("lastEvent")), timestamps.epoch_ms(row.pop("windowEnd"))
        assert end - last == gap / timedelta(milliseconds=1)
        row |= {"startMs": timestamps.epoch_ms(row.pop("windowStart")), "endMs": end}
    return ordered(written)


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["startMs"], row["userId"]))


def test_every_visit_is_found_with_its_events_pages_and_purchases(settings: Settings) -> None:
    """Fails when the gap is 1 ms shorter, when pages are counted that are not different, or when the bound for
    out-of-orderness is 50 ms: late events are dropped."""
    for name in ("user-events", "metrics"):
        topics.create(name, settings=settings)
    job = jobs.submit("track_sessions", gap_seconds=GAP.total_seconds(), settings=settings).wait_running()
    with producer.start("user-events", events_per_second=1000, count=4000, seed=11, settings=settings, **KNOBS) as shop:
        shop.wait(60)
    job.drain()
    right = expected(shop)
    assert found(settings) == right
    replayed = oracle.replay(shop)
    pauses = replayed.sort_values(["userId", "timeMs"]).groupby("userId")["timeMs"].diff()
    assert (pauses == GAP / timedelta(milliseconds=1)).any(), "no pause is exactly the gap"
    assert len(right) > 200
    assert pd.DataFrame(right)["purchases"].sum() > 10
