"""Run all measurements on services of their own and say what came of it: `./course bench`.

>>> run.run(quick=True, json_file=None)
0
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import rich.console

from infra import own_stack
from infra.bench import course_jobs, figures, ingest, kafka_tool, latency, machine, pictures, resources, throughput
from infra.bench.figures import Figure
from infra.layout import Layout
from kernel_lib import jobs
from kernel_lib.settings import load

console = rich.console.Console(highlight=False, soft_wrap=True)


def run(*, quick: bool, json_file: Path | None) -> int:
    """Measure, print the table, and return 0; goals that are missed are shown in red and are no failure."""
    console.print(figures.machine(), markup=False)
    with own_stack.started("bench", "the benchmark") as where:
        found = list(_told(_quick(where) if quick else _whole(where)))
    order = (*figures.ORDER, *machine.FIGURES, *course_jobs.FIGURES)
    found.sort(key=lambda figure: order.index(figure.name))
    console.print(figures.table(found))
    if json_file:
        figures.write_json(found, json_file)
    return 0


def _quick(where: Layout) -> Iterator[Figure]:
    yield from machine.measure(where, seconds=20, warm_up_seconds=15)
    yield from _measurements(
        where, idle_seconds=5, events=200_000, repeats=1, seconds=6, warm_up_seconds=3, changes=20, documents=60_000
    )


def _whole(where: Layout) -> Iterator[Figure]:
    settings = load(namespace="bench")
    # First: its memory is that of services that have done nothing else yet.
    yield from machine.measure(where, seconds=30, warm_up_seconds=30)
    yield from course_jobs.measure(settings, events=400_000)
    yield from _measurements(
        where,
        idle_seconds=30,
        events=1_000_000,
        repeats=3,
        seconds=30,
        warm_up_seconds=5,
        changes=200,
        documents=400_000,
    )
    yield from resources.pipeline_at_work(where, settings, seconds=30, warm_up_seconds=30)


def _measurements(
    where: Layout,
    *,
    idle_seconds: float,
    events: int,
    repeats: int,
    seconds: float,
    warm_up_seconds: float,
    changes: int,
    documents: int,
) -> Iterator[Figure]:
    settings = load(namespace="bench")
    yield from kafka_tool.speed_indices(where, settings)
    yield from ingest.measure(where, settings, events=events, pairs=repeats)
    jobs.warm_up(settings=settings)
    yield from throughput.measure(settings, events=events, rounds=repeats)
    yield from latency.measure(
        settings, seconds=seconds, warm_up_seconds=warm_up_seconds, changes=changes, submits=max(3, repeats)
    )
    # The first matches are the slowest ones.
    yield from course_jobs.detection(settings, seconds=seconds, warm_up_seconds=3 * warm_up_seconds)
    yield from resources.indexing(settings, documents=documents)
    yield from pictures.drawing(settings, seconds=seconds)
    yield from resources.memory(where)
    # Last: after the start the JVMs still compile, and nothing is idle.
    yield from resources.idle(where, seconds=idle_seconds)


def _told(found: Iterable[Figure]) -> Iterator[Figure]:
    for figure in found:
        console.print(f"{figure.name}: {figure.value:,.4g}", markup=False)
        yield figure
