"""Measure what the services take: processor time while nothing runs, memory, and documents indexed in a second."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from infra.bench import ingest
from infra.bench.figures import Figure
from infra.layout import Layout
from infra.stack import processes
from kernel_lib import indexer, indices, topics
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

INDEXED = "user-events"


def idle(where: Layout, *, seconds: float) -> Iterator[Figure]:
    """Yield how much of one core all services take while no job runs and nobody sends."""
    services = processes(where)
    before, begun = _cpu_seconds(services), time.monotonic()
    wait_until(lambda: time.monotonic() - begun > seconds, seconds + 5, "the measurement to end", interval_seconds=0.2)
    percent = 100 * (_cpu_seconds(services) - before) / (time.monotonic() - begun)
    yield Figure("idle_cpu_percent", percent, "< 30", f"of one core, {len(services)} processes over {seconds:.0f} s")


def memory(where: Layout) -> Iterator[Figure]:
    """Yield the memory of all services, this process and its gateway to Flink, as proportional set size."""
    own = [psutil.Process(), *psutil.Process().children(recursive=True)]
    everything = {process.pid: process for process in [*processes(where), *own]}
    total = sum(process.memory_full_info().pss for process in everything.values()) / 1e6
    yield Figure(
        "memory_megabytes", total, "< 4,000", "proportional set size of services, this process and its gateway"
    )


def indexing(settings: Settings, *, documents: int) -> Iterator[Figure]:
    """Yield documents per second from a full topic into an index, from the first batch to the last commit."""
    topics.create(INDEXED, settings=settings)
    ingest.preload(settings, documents, INDEXED)
    begun = time.monotonic()
    with indexer.start(INDEXED, settings=settings) as running:
        running.wait_caught_up(300)
        seconds = time.monotonic() - begun
    topics.delete(INDEXED, settings=settings)
    indices.delete(INDEXED, settings=settings)
    conditions = f"{documents:,} user events, one node, start of the process included"
    yield Figure("index_documents_per_second", documents / seconds, "> 15,000", conditions)


def _cpu_seconds(services: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in services)
