"""What a run of a producer sent, replayed from its folder: no service is needed for that."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from kernel_lib import generators, oracle, runs
from kernel_lib.errors import NotFound
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.oracle import Window
from kernel_lib.records import EVENT_TYPES

ANCHOR_MS = 1_790_000_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def write_run(topic: str, events: int, **knobs: object) -> tuple[str, KnobLog, np.ndarray]:  # type: ignore[type-arg]
    """Write the folder that a producer leaves which had every send acknowledged; return its id, log and states."""
    run = runs.Run.create(topic)
    run.write_identity(runs.Identity(run.id, topic, "", 5, ANCHOR_MS, 1, 6))
    log = KnobLog([msgspec.convert({"index": 0, "at_ms": ANCHOR_MS, "events_per_second": 100} | knobs, Knobs)])
    run.knobs_file.write_bytes(KnobLog.line(log.last))
    withheld = generators.seeded(topic, 5).batch(0, events, log).withheld
    states = run.state_map(events)
    states[:events] = np.where(withheld, runs.WITHHELD, runs.ACKNOWLEDGED)
    run.counters(writable=True)["numbered"] = events
    return run.id, log, states


@pytest.mark.parametrize("topic", generators.SEEDED)
def test_a_replay_says_what_the_records_said(topic: str) -> None:
    run, log, _ = write_run(topic, 3_000, malformed_share=0.1, delay_ms=50, jitter_ms=20, duplicate_share=0.02)
    values = generators.seeded(topic, 5).emit(0, 3_000, log, run=run, sent_at=0).values
    frame = oracle.replay(run)
    assert 2_600 < len(frame) < 2_800
    for row in frame.to_dict("records"):
        event = msgspec.to_builtins(msgspec.json.decode(values[row["number"]], type=EVENT_TYPES[topic]))
        for name in event.keys() - {"eventId", "sentAt", "location"}:
            assert event[name] == row[name]
        assert pd.Timestamp(event["timestamp"]).value // 1_000_000 == row["timeMs"]


def test_what_was_not_acknowledged_is_not_replayed_as_sent() -> None:
    run, _, states = write_run("user-events", 1_000)
    states[100:200] = runs.IN_DOUBT
    states[200:300] = runs.REFUSED
    assert sorted(oracle.replay(run)["number"]) == [*range(100), *range(300, 1_000)]
    assert oracle.sent_by_type(run).total() == 800


def test_malformed_records_are_replayed_when_asked_for() -> None:
    run, *_ = write_run("transactions", 2_000, malformed_share=0.2)
    frame = oracle.replay(run, malformed=True)
    assert len(frame) == 2_000
    assert (frame["malformed"] != "").sum() == 2_000 - len(oracle.replay(run))


def test_windows_agree_with_counting_the_replayed_events_one_by_one() -> None:
    run, *_ = write_run("user-events", 5_000, jitter_ms=300, malformed_share=0.05, late_share=0.01)
    counted = Counter(
        Window(row["timeMs"] // 2_000 * 2_000, row["eventType"]) for row in oracle.replay(run).to_dict("records")
    )
    assert oracle.sent_by_window([run], timedelta(seconds=2)) == counted


def test_sessions_end_where_a_user_pauses_for_longer_than_the_gap() -> None:
    frame = pd.DataFrame({"userId": ["a", "b", "a", "a", "a"], "timeMs": [0, 5, 10_000, 20_001, 10_000]})
    found = oracle.sessions(frame, timedelta(seconds=10))
    assert found.to_dict("records") == [
        {"userId": "a", "startMs": 0, "endMs": 20_000, "events": 3},
        {"userId": "b", "startMs": 5, "endMs": 10_005, "events": 1},
        {"userId": "a", "startMs": 20_001, "endMs": 30_001, "events": 1},
    ]


def test_every_event_is_in_one_session() -> None:
    run, *_ = write_run("user-events", 5_000)
    frame = oracle.replay(run)
    assert oracle.sessions(frame, timedelta(seconds=5))["events"].sum() == len(frame)


def test_an_interval_join_includes_both_bounds_and_keeps_users_apart() -> None:
    left = pd.DataFrame({"userId": ["a", "b"], "number": [0, 1], "timeMs": [1_000, 1_000]})
    right = pd.DataFrame({"userId": ["a"] * 4 + ["c"], "number": range(5), "timeMs": [999, 1_000, 3_000, 3_001, 1_500]})
    pairs = oracle.interval_join(left, right, earliest=timedelta(0), latest=timedelta(seconds=2))
    assert pairs[["leftNumber", "rightNumber"]].values.tolist() == [[0, 1], [0, 2]]


def test_every_planned_purchase_is_paid_within_seconds() -> None:
    shop, *_ = write_run("user-events", 6_000)
    pay, *_ = write_run("transactions", 6_000)
    events = oracle.replay(shop)
    purchases = events[(events["truth"] == "purchase sequence") & (events["eventType"] == "purchase")]
    payments = oracle.replay(pay)
    pairs = oracle.interval_join(purchases, payments, earliest=timedelta(0), latest=timedelta(seconds=2))
    planned = payments[payments["truth"] == "purchase sequence"]
    assert set(planned["number"]) <= set(pairs["rightNumber"])
    assert len(planned) >= 11


@pytest.mark.parametrize(
    ("topic", "knob", "kinds"),
    [
        ("transactions", "fraud_share", {"card testing", "two cities", "burst", "forced", "purchase sequence"}),
        ("iot-sensors", "anomaly_share", {"spike", "stuck", "drift", "dropout"}),
    ],
)
def test_planted_truths_are_listed_with_the_events_that_they_are_made_of(
    topic: str, knob: str, kinds: set[str]
) -> None:
    run, *_ = write_run(topic, 20_000, **{knob: 0.05})
    truths, frame = oracle.truths(run), oracle.replay(run).set_index("number")
    assert set(truths["truth"]) == kinds
    for row in truths[truths["truth"] != "dropout"].to_dict("records"):
        events = frame.loc[list(row["numbers"])]
        assert set(events["truth"]) == {row["truth"]}
        assert (events["timeMs"].min(), events["timeMs"].max()) == (row["firstMs"], row["lastMs"])
    assert not set(frame.index) & {n for row in truths[truths["truth"] == "dropout"]["numbers"] for n in row}


def test_a_run_of_measured_metrics_is_refused() -> None:
    run = runs.Run.create("measured")
    run.write_identity(runs.Identity(run.id, "system-metrics", "", 5, ANCHOR_MS, 1, 6))
    run.knobs_file.write_bytes(b"")
    run.counters(writable=True)
    with pytest.raises(NotFound, match="cannot be replayed"):
        oracle.replay(run.id)
