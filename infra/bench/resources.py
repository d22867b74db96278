"""Measure what the services take: processor time with the pipeline and with nothing, memory, documents indexed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from infra.bench import ingest, reading
from infra.bench.figures import Figure
from infra.bench.latency import let_run
from infra.layout import Layout
from infra.stack import processes
from kernel_lib import indexer, indices, pipeline, producer, services, topics
from kernel_lib.settings import Settings

INDEXED = "user-events"
PIPELINE_RATE = 1_000


def idle(where: Layout, *, seconds: float) -> Iterator[Figure]:
    """Yield how much of one core all services take while no job runs and nobody sends."""
    observed = processes(where)
    percent = _cpu_percent(observed, seconds)
    yield Figure("idle_cpu_percent", percent, "< 30", f"of one core, {len(observed)} processes over {seconds:.0f} s")


def pipeline_at_work(where: Layout, settings: Settings, *, seconds: float, warm_up_seconds: float) -> Iterator[Figure]:
    """Yield how much of one core the services and producers take while the course's pipeline runs."""
    words = pipeline.start(events_per_second=PIPELINE_RATE, settings=settings)
    let_run(time.time() + warm_up_seconds)
    senders = [psutil.Process(each.pid) for each in producer.running(pipeline.NAME)]
    percent = _cpu_percent([*processes(where), *senders], seconds)
    yield from reading.measure(settings, seconds=seconds)
    pipeline.stop(settings=settings)
    topics.delete(*topics.list_names(settings=settings), settings=settings)
    conditions = f"of one core, services and producers over {seconds:.0f} s; {words}, parallelism 1"
    yield Figure("pipeline_cpu_percent", percent, "< 120", conditions)


def memory(where: Layout) -> Iterator[Figure]:
    """Yield the memory of all services, this process and its gateway to Flink, as proportional set size."""
    own = [psutil.Process(), *psutil.Process().children(recursive=True)]
    everything = {process.pid: _megabytes(process) for process in [*processes(where), *own]}
    largest = sorted(((everything.get(each.pid, 0.0), each.name) for each in services.statuses()), reverse=True)[:5]
    words = ", ".join(f"{name} {size:,.0f}" for size, name in largest)
    conditions = f"proportional set size of services, this process and its gateway, after the rows above; {words}"
    yield Figure("memory_megabytes", sum(everything.values()), "< 4,000", conditions)


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


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / 1e6)


def _cpu_percent(observed: list[psutil.Process], seconds: float) -> float:
    before, begun = _cpu_seconds(observed), time.monotonic()
    let_run(time.time() + seconds)
    return 100 * (_cpu_seconds(observed) - before) / (time.monotonic() - begun)


def _cpu_seconds(observed: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in observed)
