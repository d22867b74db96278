"""A killed TaskManager, a savepoint and poison among the events change no job's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from infra import namespaces
from kernel_lib import indices, jobs, mappings, oracle, producer, reference, topics
from kernel_lib.job import Job
from kernel_lib.oracle_patterns import USUAL
from kernel_lib.producer import Producer
from kernel_lib.records import EVENT_TYPES
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services import (
    enriching,
    test_average_values,
    test_correlate_payments,
    test_count_users,
    test_dead_letters,
    test_detect_anomalies,
    test_enrich_by_broadcast,
    test_enrich_transactions,
    test_find_abandoned_carts,
    test_hold_state,
    test_index_events,
    test_join_streams,
    test_match_fraud,
    test_match_purchases,
    test_slow_down,
    test_total_sales,
    test_trace_fraud,
    test_track_sessions,
    test_window_events,
)
from tests.services.killing import killed

pytestmark = pytest.mark.alone

RESULTS = ("processed-events", "metrics", "alerts", "acknowledgements", "late-events", "dead-letters")
COMPACTED = ("control", "users", "merchants")
# A partition whose reader is dead holds the windows back, however long that takes on a busy machine.
PATIENT = {"idle_timeout_seconds": 600}
# Without duplicates: one that is sent after a pause repeats an event from before it, which is late then.
POISONED: dict[str, Any] = {"delay_ms": 100, "jitter_ms": 30, "malformed_share": 0.02}
EVENTS, EVENTS_PER_SECOND = 800, 200
Runs = Mapping[str, Producer]


@dataclass(frozen=True)
class Case:
    """A job: what it reads, how, and what it must find and what it has found."""

    job: str
    expected: Callable[[Runs, Settings], Any]
    found: Callable[[Runs, Settings], Any]
    options: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, dict[str, Any]] = field(default_factory=lambda: {"user-events": {}})
    begins: dict[str, Any] = field(default_factory=lambda: {"start": "earliest"})


@dataclass
class Running:
    """A case in a namespace of its own."""

    case: Case
    settings: Settings
    runs: dict[str, Producer]
    job: Job

    def has_read(self) -> bool:
        """Say whether the job has read all that was sent."""
        read = sum(sum(self.job.positions(topic).values()) for topic in self.case.streams)
        return read >= sum(run.stats.acknowledged for run in self.runs.values())

    def restore(self) -> None:
        """Go on from a savepoint."""
        self.job = submit(self.case, self.settings, restore=self.job.stop_with_savepoint(120))

    def end(self) -> None:
        """Stop the producers and drain the job."""
        for run in self.runs.values():
            run.stop()
        self.job.drain(120)


def users(runs: Runs) -> Producer:
    return runs["user-events"]


def payments(runs: Runs) -> Producer:
    return runs["transactions"]


PAYMENTS = {"transactions": {"fraud_share": 0.05, "keys": 100}}
SENSORS = {"iot-sensors": {"keys": 40, "anomaly_share": 0.06}}
BOTH: dict[str, dict[str, Any]] = {"user-events": {"keys": 60}, "transactions": {"keys": 60}}
SECOND = timedelta(seconds=1)

WINDOWS = (
    Case(
        "track_sessions",
        lambda runs, _: test_track_sessions.expected(users(runs), SECOND),
        lambda _, settings: test_track_sessions.found(settings, SECOND),
        {"gap_seconds": 1, **PATIENT},
    ),
    Case(
        "average_values",
        lambda runs, _: test_average_values.expected(runs["iot-sensors"], "sensorId", 2 * SECOND, SECOND),
        lambda _, settings: test_average_values.found(settings, "sensorId"),
        {"by": "sensorId", "size_seconds": 2, "slide_seconds": 1, **PATIENT},
        SENSORS,
    ),
    Case(
        "total_sales",
        lambda runs, _: test_total_sales.expected(payments(runs)),
        lambda _, settings: test_total_sales.found(settings),
        streams=PAYMENTS,
    ),
    Case(
        "count_users",
        lambda runs, _: test_count_users.expected(users(runs), SECOND),
        lambda _, settings: test_count_users.found(settings),
        {"ttl_seconds": 1.0, **PATIENT},
    ),
    Case(
        "hold_state",
        lambda runs, _: test_hold_state.expected(users(runs)),
        lambda _, settings: test_hold_state.found(settings),
    ),
    Case(
        "slow_down",
        lambda runs, _: test_slow_down.expected(users(runs)),
        lambda _, settings: sorted(test_slow_down.found(settings)),
    ),
    Case(
        "detect_anomalies",
        lambda runs, _: test_detect_anomalies.expected(runs["iot-sensors"]),
        lambda runs, settings: test_detect_anomalies.found(runs["iot-sensors"], settings),
        {"missing_seconds": test_detect_anomalies.SILENCE.total_seconds(), **test_detect_anomalies.LIMITS, **PATIENT},
        SENSORS,
    ),
)
PATTERNS = (
    Case(
        "match_fraud",
        lambda runs, _: test_match_fraud.expected(payments(runs), USUAL),
        lambda _, settings: test_match_fraud.found(settings),
        PATIENT,
        PAYMENTS,
    ),
    Case(
        "trace_fraud",
        lambda runs, _: test_match_fraud.expected(payments(runs), USUAL),
        lambda _, settings: test_trace_fraud.found(settings),
        PATIENT,
        PAYMENTS,
    ),
    Case(
        "match_purchases",
        lambda runs, _: test_match_purchases.expected(users(runs), 50 * SECOND),
        lambda _, settings: test_match_purchases.found(settings),
        {"limit_seconds": 50, **PATIENT},
    ),
    Case(
        "find_abandoned_carts",
        lambda runs, _: test_find_abandoned_carts.expected(users(runs), 5 * SECOND),
        lambda _, settings: test_find_abandoned_carts.found(settings),
        {"limit_seconds": 5, **PATIENT},
    ),
    Case(
        "correlate_payments",
        lambda runs, _: test_correlate_payments.expected(users(runs), payments(runs), SECOND, merchant=""),
        lambda _, settings: test_correlate_payments.found(settings),
        {"limit_seconds": 1, "paid": "`status` = 'completed'", **PATIENT},
        BOTH,
    ),
    Case(
        "join_streams",
        lambda runs, _: test_join_streams.expected(users(runs), payments(runs)),
        lambda _, settings: test_join_streams.found(settings),
        {
            "earliest_seconds": test_join_streams.EARLIEST.total_seconds(),
            "latest_seconds": test_join_streams.LATEST.total_seconds(),
            **PATIENT,
        },
        BOTH,
    ),
    Case(
        "enrich_transactions",
        lambda runs, settings: test_enrich_transactions.expected(payments(runs), settings),
        lambda _, settings: enriching.found(settings),
        PATIENT,
        PAYMENTS,
    ),
)
OTHERS = (
    Case(
        "filter_events",
        lambda runs, _: test_slow_down.expected(users(runs), event_type="purchase"),
        lambda _, settings: sorted(test_slow_down.found(settings)),
        {"event_type": "purchase"},
    ),
    Case(
        "enrich_by_broadcast",
        lambda runs, settings: test_enrich_by_broadcast.expected(payments(runs), settings),
        lambda _, settings: enriching.found(settings),
        streams=PAYMENTS,
    ),
    Case(
        "window_events",
        lambda runs, _: test_window_events.expected(users(runs), "sliding"),
        lambda _, settings: test_window_events.found(settings, "metrics"),
        {"windows": "sliding", **test_window_events.KINDS["sliding"], **PATIENT},
    ),
    Case(
        "dead_letters",
        lambda runs, _: sum(oracle.replay(users(runs), malformed=True)["malformed"] != ""),
        lambda _, settings: len(test_dead_letters.letters(settings)),
        {"source": "user-events"},
        begins={},  # it has no other beginning
    ),
    Case(
        "index_events",
        lambda runs, _: test_index_events.expected(users(runs)),
        lambda _, settings: test_index_events.found(settings),
        {"python_mode": "process"},
    ),
)


def submit(case: Case, settings: Settings, **more: Any) -> Job:
    """Submit the job of a case, to begin with the first event; it comes back however often it is killed."""
    options: dict[str, Any] = {**case.begins, **case.options, **more, "restart_attempts": 100, "chaining": True}
    return jobs.submit(case.job, settings=settings, **options).wait_running(120)


def begin(case: Case, settings: Settings) -> Running:
    """Create the topics of a case in its own namespace, start its producers and its job."""
    changes = {"namespace": f"{settings.namespace}-{case.job.replace('_', '-')}", "flink_checkpoint_interval": 3000}
    own = settings.model_copy(update=changes)
    for name in (*case.streams, *RESULTS, *COMPACTED):
        stamped = name not in EVENT_TYPES
        topics.create(name, partitions=2, compacted=name in COMPACTED, append_time=stamped, settings=own)
    reference.publish(users=80, settings=own)
    indices.put_template("user-events", mappings.of_topic("user-events"), settings=own)
    runs = {
        topic: producer.start(topic, events_per_second=0, seed=9, settings=own, **POISONED, **knobs)
        for topic, knobs in case.streams.items()
    }
    return Running(case, own, runs, submit(case, own))


@pytest.fixture
def every(request: pytest.FixtureRequest, settings: Settings) -> Iterator[list[Running]]:
    started = [begin(case, settings) for case in request.param]
    yield started
    producer.stop_all()
    for each in started:
        namespaces.remove(each.settings.namespace, settings=each.settings)


def go_on(running: list[Running]) -> None:
    """Send more events, pause, and wait until every job has read them."""
    runs = [run for each in running for run in each.runs.values()]
    enough = [run.stats.sent + EVENTS for run in runs]
    for run in runs:
        run.set(events_per_second=EVENTS_PER_SECOND)
    wait_until(lambda: all(r.stats.sent >= n for r, n in zip(runs, enough, strict=True)), 60, "more events")
    for run in runs:
        run.set(events_per_second=0)
    wait_until(lambda: all(each.has_read() for each in running), 120, "every job to go on")


@pytest.mark.timeout(600)  # seven jobs are killed, stopped, restored and drained
@pytest.mark.parametrize("every", [WINDOWS, PATTERNS, OTHERS], ids=["state", "patterns", "others"], indirect=True)
def test_a_killed_taskmanager_and_a_restored_savepoint_change_no_answer(
    every: list[Running], settings: Settings
) -> None:
    """Fails when the sink of a job is at-least-once, or an operator keeps what it knows outside of its state."""
    go_on(every)
    with killed(every[0].job.taskmanagers()[0], settings):
        pass
    go_on(every)
    for each in every:
        each.restore()
    go_on(every)
    with ThreadPoolExecutor(len(every)) as pool:
        list(pool.map(Running.end, every))
    wrong = {}
    for each in every:
        right = each.case.expected(each.runs, each.settings)
        assert right, each.case.job
        if each.case.found(each.runs, each.settings) != right:
            wrong[each.case.job] = (each.case.found(each.runs, each.settings), right)
    assert not wrong, {job: differences(*both) for job, both in wrong.items()}


def differences(found: Any, right: Any) -> str:
    """Return what a long comparison comes to."""
    if isinstance(found, list | set) and isinstance(right, list | set):
        more, missing = ([each for each in one if each not in other] for one, other in ((found, right), (right, found)))
        return f"{len(found)} found, {len(right)} expected; not expected {more[:3]}, not found {missing[:3]}"
    return f"found {str(found)[:300]}, expected {str(right)[:300]}"
