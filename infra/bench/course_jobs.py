"""Measure each job of the course: events per second of full topics, and how soon a pattern is detected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from infra.bench import throughput
from infra.bench.figures import Figure, quantile
from infra.bench.latency import let_run
from kernel_lib import indices, jobs, mappings, producer, reference, topics
from kernel_lib.job import Job
from kernel_lib.settings import Settings

# Of event time, and as fast as the topics are filled: at a higher rate all events would be of one window.
EVENTS_PER_SECOND = 5_000
RESULTS = ("processed-events", "metrics", "alerts", "late-events", "acknowledgements", "dead-letters")
COMPACTED = ("control", "users", "merchants")
KNOBS: dict[str, dict[str, Any]] = {
    "user-events": {},
    "transactions": {"fraud_share": 0.02},
    "iot-sensors": {"anomaly_share": 0.02},
}
CEP_RATE, CEP_FRAUD_SHARE = 400, 0.1
CEP_BOUND_MS = 500
_MOST_SECONDS = 20


class Case(NamedTuple):
    """A job, the topics that it reads, and the options with which it is measured."""

    job: str
    sources: tuple[str, ...]
    options: dict[str, Any] = {}


CASES = (
    Case("dead_letters", ("user-events",), {"source": "user-events"}),
    Case("track_sessions", ("user-events",)),
    Case("window_events", ("user-events",)),
    Case("average_values", ("iot-sensors",)),
    Case("total_sales", ("transactions",)),
    Case("match_fraud", ("transactions",)),
    Case("trace_fraud", ("transactions",)),
    Case("match_purchases", ("user-events",)),
    Case("find_abandoned_carts", ("user-events",)),
    Case("correlate_payments", ("user-events", "transactions")),
    Case("enrich_transactions", ("transactions",)),
    Case("enrich_by_broadcast", ("transactions",)),
    Case("join_streams", ("user-events", "transactions")),
    Case("detect_anomalies", ("iot-sensors",)),
    Case("count_users", ("user-events",)),
    Case("hold_state", ("user-events",)),
    Case("slow_down", ("user-events",)),
    Case("index_events", ("user-events",), {"python_mode": "process"}),
)
FIGURES = tuple(f"{case.job}_events_per_second" for case in CASES)


def measure(settings: Settings, *, events: int) -> Iterator[Figure]:
    """Yield events per second of each job, alone on the cluster."""
    _create(settings, *KNOBS, *COMPACTED)
    reference.publish(settings=settings)
    indices.put_template("user-events", mappings.of_topic("user-events"), settings=settings)
    for topic, knobs in KNOBS.items():
        rate: dict[str, Any] = {"events_per_second": EVENTS_PER_SECOND, "count": events}
        producer.start(topic, settings=settings, **rate, **knobs)
    for filling in producer.running():
        filling.wait(600)
    for case in CASES:
        speed = throughput.speed(partial(_submit, case), settings, case.sources, RESULTS, most_seconds=_MOST_SECONDS)
        conditions = (
            f"{events:,} events of each of {', '.join(case.sources)}, {EVENTS_PER_SECOND:,} to a second of event time, "
            f"parallelism {throughput.PARALLELISM}, chained, checkpoints every second, alone"
        )
        yield Figure(f"{case.job}_events_per_second", speed, "", conditions)
    topics.delete(*KNOBS, *COMPACTED, settings=settings)
    indices.delete("user-events", settings=settings)


def detection(settings: Settings, *, seconds: float, warm_up_seconds: float) -> Iterator[Figure]:
    """Yield how long after its last event a fraud is reported, beyond the bound for out-of-orderness."""
    used = ("transactions", "alerts", "acknowledgements", "control", "merchants", "users")
    _create(settings, *used)
    reference.publish(users=0, settings=settings)
    job = jobs.submit("match_fraud", guarantee="at-least-once", chaining=True, settings=settings)
    with producer.start("transactions", events_per_second=CEP_RATE, fraud_share=CEP_FRAUD_SHARE, settings=settings):
        since_ms = int((time.time() + warm_up_seconds) * 1000)
        let_run(since_ms / 1000 + seconds)
    job.cancel()
    records = topics.read("alerts", since_ms=since_ms, settings=settings)
    delays = [record.timestamp_ms - record.json()["sentAt"] - CEP_BOUND_MS for record in records]
    conditions = (
        f"match_fraud, {CEP_RATE} transactions/s, at-least-once, parallelism 1, no other job, {len(delays):,} alerts, "
        f"out-of-orderness bound {CEP_BOUND_MS} ms taken off, clock: broker append minus sentAt of the last event"
    )
    yield Figure("cep_p95_ms", quantile(delays, 0.95), "< 200", conditions)
    topics.delete(*used, settings=settings)


def _create(settings: Settings, *names: str) -> None:
    for name in names:
        topics.create(name, compacted=name in COMPACTED, append_time=name in RESULTS, settings=settings)


def _submit(case: Case, settings: Settings) -> Job:
    return throughput.submit(case.job, settings, **case.options)
