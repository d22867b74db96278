"""Measure what live pictures cost the kernel that draws them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import papermill

from infra import notebooks
from infra.bench.figures import Figure
from kernel_lib import topics
from kernel_lib.lesson_files import NOTEBOOKS
from kernel_lib.settings import Settings

RATE = 100
# What a learner has open at once; and the measurement, in the kernel itself.
CELLS = (
    "import psutil\n"
    "from kernel_lib import jobs, ledger, live, plots, producer\n"
    "plots.load()\n"
    f'shop = producer.start("user-events", events_per_second={RATE})\n'
    'job = jobs.submit("count_events").wait_running()',
    'plots.EventTime(live.TopicTail("user-events"), job)',
    'plots.EventRate(live.TopicTail("metrics"))',
    'plots.LedgerBoard(ledger.Ledger(shop, "processed-events"))',
    "plots.Backpressure(job)",
    "kernel = psutil.Process()\nkernel.cpu_percent()",
    "print(kernel.cpu_percent(interval={seconds}))",
    "plots.stop()\nlive.stop_all()\nshop.stop()\njob.cancel()",
)


def drawing(settings: Settings, *, seconds: float) -> Iterator[Figure]:
    """Yield how much of one core a kernel takes for four pictures and their feeds."""
    for topic in ("user-events", "processed-events", "metrics"):
        topics.create(topic, append_time=topic != "user-events", settings=settings)
    percent = float(_output_of_measurement(settings.namespace, seconds))
    conditions = f"of one core, in the kernel: 4 pictures and their feeds at {RATE} events/s, over {seconds:.0f} s"
    yield Figure("pictures_cpu_percent", percent, "< 20", conditions)


def _output_of_measurement(namespace: str, seconds: float) -> str:
    sources = [cell.replace("{seconds}", str(seconds)) for cell in CELLS]
    cells = [
        {"cell_type": "code", "id": f"step-{number}", "metadata": {}, "source": source}
        for number, source in enumerate(sources)
    ]
    before = os.environ.get("NAMESPACE")
    os.environ["NAMESPACE"] = namespace
    try:
        with tempfile.TemporaryDirectory() as folder:
            path, result = Path(folder) / "pictures.ipynb", Path(folder) / "ran.ipynb"
            path.write_text(notebooks.rendered(notebooks.canonical({"cells": cells})))
            options = {"progress_bar": False, "request_save_on_cell_execute": False}
            papermill.execute_notebook(str(path), str(result), cwd=str(NOTEBOOKS), **options)
            measured = json.loads(result.read_text())["cells"][-2]
    finally:
        os.environ.pop("NAMESPACE")
        if before is not None:
            os.environ["NAMESPACE"] = before
    return "".join(measured["outputs"][0]["text"])
