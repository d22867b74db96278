"""Measure the whole machine while lesson 00 is open in a browser and its pipeline runs.

What is measured is all that a learner has: services, JupyterLab, kernel, producers, Chromium (without a window, so a
processor draws). The age is that of the oldest figure in the picture: how long ago the first event was sent that an
arrow does not count yet. So it has the way through Kafka, Flink, its metrics, kernel and JupyterLab to the page in it.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from infra import browser, lab, namespaces, notebooks
from infra.bench import roles
from infra.bench.figures import Figure, quantile
from infra.bench.latency import let_run
from infra.credentials import credentials
from infra.layout import Layout
from kernel_lib import cluster, jobs, pipeline, topics
from kernel_lib.settings import Settings, load

if TYPE_CHECKING:
    from playwright.sync_api import Page

LESSON, LAST_BUTTON = "00_cockpit", "leave the cockpit"
RATES = (100, 300)
FIGURES = tuple(
    f"machine_{rate}_{name}"
    for rate in RATES
    for name in (
        "cpu_percent",
        *(f"{role}_cpu_percent" for role in roles.NAMES),
        "memory_megabytes",
        *(f"{role}_megabytes" for role in roles.NAMES),
        "data_age_p95_seconds",
        "restarts",
    )
)
GOALS = {"cpu_percent": "< 110", "memory_megabytes": "< 3,500", "data_age_p95_seconds": "< 1.5", "restarts": "= 0"}
RUN_ALL_SECONDS, CLOSE_SECONDS = 240, 240
# Their events are all well formed, and counted by each job that reads them.
COUNTED = ("transactions", "iot-sensors")
LOOK_EVERY_MS = 100
MOST_EVENTS = 1_000_000
# Note at each look what the arrows of the pipeline say.
_LOOK = """every => {
    const models = Bokeh.documents.flatMap(document => [...document._all_models.values()]);
    const arrows = models.find(model => model.type === "ColumnDataSource" && model.data.records !== undefined);
    window.looks = [];
    setInterval(() => window.looks.push([Date.now(), [...arrows.data.words], [...arrows.data.records]]), every);
}"""


class Look(NamedTuple):
    """How many records each arrow of the picture had counted when somebody looked (epoch s)."""

    at: float
    records: Mapping[str, int]


def measure(where: Layout, *, seconds: float, warm_up_seconds: float) -> Iterator[Figure]:
    """Yield what the machine takes at each rate; without a browser figures that say so, and no values."""
    missing = browser.missing()
    for rate in RATES:
        if missing:
            yield from _figures(rate, {}, f"NOT MEASURED. {missing}")
        else:
            yield from _at(rate, where, seconds, warm_up_seconds)


def _at(rate: int, where: Layout, seconds: float, warm_up_seconds: float) -> Iterator[Figure]:
    from infra import lab_page  # what it needs is not there for who only learns

    secrets, settings = credentials(where.home), load(namespace=f"bench-{rate}")
    topics.create_all(settings=settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.apart(where, secrets, Path(folder), namespace=settings.namespace) as laboratory,
        lab_page.chromium() as window,
    ):
        _set_rate(Path(folder, "notebooks", f"{LESSON}.ipynb"), rate)
        page = lab_page.opened(window, lab.address(where, secrets, f"notebooks/{LESSON}.ipynb"), scale=1)
        lab_page.run_all(page, last_button=LAST_BUTTON, seconds=RUN_ALL_SECONDS)
        let_run(time.time() + warm_up_seconds)
        page.evaluate(_LOOK, LOOK_EVERY_MS)
        before = roles.taken(where, settings, laboratory.pid)
        let_run(time.time() + seconds)
        after = roles.taken(where, settings, laboratory.pid)
        values = _values(settings, before, after, _looks(page))
        page.get_by_role("button", name=LAST_BUTTON).click()
        page.get_by_text(f"{LAST_BUTTON}: ").wait_for(state="attached", timeout=CLOSE_SECONDS * 1000)
    namespaces.remove(settings.namespace, settings=settings)
    conditions = (
        f"lesson {LESSON} open in Chromium, its pipeline at {rate} events/s, over {seconds:.0f} s; "
        f"all else on the machine took {roles.other_cpu_percent(before, after):.0f} % of a core"
    )
    yield from _figures(rate, values, conditions)


def _figures(rate: int, values: Mapping[str, float], conditions: str) -> Iterator[Figure]:
    """Yield all figures of a rate; those of a single role have the conditions of the others, and do not repeat them."""
    prefix = f"machine_{rate}_"
    for name in FIGURES:
        if name.startswith(prefix):
            what = name.removeprefix(prefix)
            words = conditions if what in GOALS or not values else ""
            yield Figure(name, values.get(what, math.nan), GOALS.get(what, ""), words)


def _set_rate(path: Path, rate: int) -> None:
    notebook: dict[str, Any] = json.loads(path.read_text())
    [cell] = [cell for cell in notebook["cells"] if cell["id"] == "parameters"]
    cell["source"] = [f"events_per_second = {rate}"]
    path.write_text(notebooks.rendered(notebook))


def _values(settings: Settings, before: roles.Taken, after: roles.Taken, looks: Sequence[Look]) -> dict[str, float]:
    cpu, memory = roles.cpu_percent(before, after), roles.megabytes(after)
    sent = {topic: _sent_at(settings, topic) for topic in COUNTED}
    return {
        "cpu_percent": sum(cpu.values()),
        **{f"{role}_cpu_percent": value for role, value in cpu.items()},
        "memory_megabytes": sum(memory.values()),
        **{f"{role}_megabytes": value for role, value in memory.items()},
        "data_age_p95_seconds": quantile([age(look, sent) for look in looks], 0.95),
        "restarts": _restarts(settings),
    }


def age(look: Look, sent: Mapping[str, Sequence[float]]) -> float:
    """Return how long before a look (s) the first event was sent that an arrow of its topic did not count.

    `sent` are the times at which the events of a topic were sent (epoch s), in order.
    """
    missed = [
        times[records]
        for arrow, records in look.records.items()
        for topic, times in sent.items()
        if topic in arrow.split(" → ") and records < bisect_right(times, look.at)
    ]
    return max((look.at - at for at in missed), default=0.0)


def _looks(page: Page) -> list[Look]:
    found: list[tuple[float, list[str], list[str]]] = page.evaluate("() => window.looks")
    return [Look(at / 1000, _numbers(words, records)) for at, words, records in found]


def _numbers(words: Sequence[str], records: Sequence[str]) -> dict[str, int]:
    known = zip(words, records, strict=True)
    return {arrow: int(number.replace(",", "")) for arrow, number in known if number != "?"}


def _sent_at(settings: Settings, topic: str) -> list[float]:
    return sorted(record.json()["sentAt"] / 1000 for record in topics.read(topic, limit=MOST_EVENTS, settings=settings))


def _restarts(settings: Settings) -> float:
    """Return how often the pipeline's jobs were restarted since they were submitted; one that is gone counts too."""
    running = [job for job in jobs.running(settings=settings) if job.name in pipeline.JOBS]
    asked = [cluster.get(settings, f"/jobs/{job.id}/metrics", get="numRestarts") for job in running]
    return sum(float(answer[0]["value"]) for answer in asked) + len(pipeline.JOBS) - len(running)
