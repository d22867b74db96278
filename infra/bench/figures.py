"""Own what a benchmark reports: figures with their conditions and goals, as a table and as one flat JSON object."""

from __future__ import annotations

import json
import math
import operator
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import rich.console
import rich.table

ORDER = (
    "speed_index_python",
    "speed_index_kafka",
    "ingest_events_per_second",
    "ingest_ratio_to_kafka_tool",
    "relay_events_per_second",
    "filter_events_per_second",
    "tumbling_events_per_second",
    "python_events_per_second",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "exact_latency_p99_ms",
    "window_p95_ms",
    "cep_p95_ms",
    "metrics_age_p95_ms",
    "knob_p95_ms",
    "knob_slowest_ms",
    "submit_seconds",
    "index_documents_per_second",
    "pictures_cpu_percent",
    "memory_megabytes",
    "pipeline_cpu_percent",
    "reading_requests",
    "reading_p50_ms",
    "reading_p95_ms",
    "reading_jobmanager_percent",
    "idle_cpu_percent",
)


@dataclass(frozen=True)
class Figure:
    """One measured value and what it depends on, its conditions; `goal` is "> 100", "< 80" or "= 0", "" without one.

    NaN is the value of what was too short to be measured; it reaches no goal.
    """

    name: str
    value: float
    goal: str = ""
    conditions: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached; a figure without a goal reaches it."""
        if not self.goal:
            return True
        sign, bound = self.goal.split()
        compare = {">": operator.ge, "<": operator.le, "=": operator.eq}[sign]
        return bool(compare(self.value, float(bound.replace(",", ""))))


def machine() -> str:
    """Return what this machine is, in one line."""
    memory = psutil.virtual_memory().total / 1024**3
    model = next((line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")), "?")
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{cores} cores of {model}, {memory:.0f} GiB, {system}, load {load:.1f} before the run"


def _cpu_lines() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies (nearest rank), NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def runs(values: Sequence[float]) -> str:
    """Return the runs behind a median as text."""
    return f"median of {len(values)} runs: {', '.join(f'{value:,.4g}' for value in values)}"


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return float(median(values))


def table(figures: Iterable[Figure]) -> rich.table.Table:
    """Return the figures as a table for a terminal."""
    rows = rich.table.Table("figure", "value", "goal", "conditions", box=None)
    for figure in figures:
        colour = "green" if figure.reached else "red"
        value = f"[{colour}]{figure.value:,.4g}[/]" if abs(figure.value) < 1000 else f"[{colour}]{figure.value:,.0f}[/]"
        rows.add_row(figure.name, value, figure.goal, figure.conditions)
    return rows


def write_json(figures: Iterable[Figure], path: Path) -> None:
    """Write one flat object of the figures' values by their names, null for what could not be measured."""
    values = {each.name: None if math.isnan(each.value) else round(each.value, 4) for each in figures}
    path.write_text(json.dumps(values, indent=1) + "\n")
