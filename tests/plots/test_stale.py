"""No view draws an old answer as live: when answers stop, its heading and its words say so and why."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kernel_lib import dataflow, job_graph, live
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.kafka_client import Record
from kernel_lib.ledger import Figures
from kernel_lib.placement import Placement
from kernel_lib.plots import (
    Backpressure,
    EventTime,
    Guarantees,
    KeyGroups,
    LedgerBoard,
    ServicesBoard,
    Topology,
    View,
    Windows,
)
from kernel_lib.services import ServiceStatus
from kernel_lib.settings import Settings
from kernel_lib.task_metrics import Reading
from kernel_lib.waiting import wait_until

Read = Callable[[], Any]
FIGURES = Figures("results", 1, 1, 0, 0, 0, 1, 0, 0, 0, 0)
READING = Reading(0, "RUNNING", job_graph.Graph((), ()))
NOBODY = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="http://127.0.0.1:1", elasticsearch_url="")


class OfBooks(Guarantees):
    """Reads what it is told in place of ledgers."""

    def _opened(self, *, committed: bool) -> Any:
        return {lane: book(cast(Read, self._sent)) for lane in self._lanes}


def book(read: Read) -> Any:
    return SimpleNamespace(update=read, close=int)


def a_job(read: Read) -> Any:
    return SimpleNamespace(name="count_events", id=str(id(read)), parameters=dict, settings=NOBODY)


def tail() -> Any:
    """A tail whose records always have just come."""
    return SimpleNamespace(topic="user-events", problem="", last_record_at=time.time() + 1000, poll=list, stop=int)


def reporting() -> Any:
    """A tail whose key group always has just been reported."""

    def report() -> list[Record]:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        counts = {"users": 2, "created": 2, "expired": 0}
        told = {"reportedAt": at, "keyGroup": 7, "subtask": 0, "parallelism": 1, **counts}
        return [Record("metrics", 0, 7, None, json.dumps(told).encode(), 5, "append")]

    return SimpleNamespace(topic="metrics", problem="", poll=report, stop=int)


def reads(view: Any, read: Read) -> Any:
    """Let the view of a job ask `read`, and not Flink."""
    view.poller = live.Poller(read, every_seconds=0.1)
    view._hold(view.poller)
    return view


VIEWS: dict[str, tuple[Any, Callable[[Read], Any]]] = {
    "topology": (dataflow.Graph((), ()), lambda read: Topology(read, title="graph", name="stale", every_seconds=0.1)),
    "services": ([ServiceStatus("kafka-1", "healthy", "", "", "", 0, 0)], lambda read: ServicesBoard(read)),
    "ledger": (FIGURES, lambda read: LedgerBoard(book(read))),
    "guarantees": (
        FIGURES,
        lambda read: OfBooks(cast(Any, read), {"one": "a", "other": "b"}, settings=cast(Any, "none")),
    ),
    "backpressure": (READING, lambda read: reads(Backpressure(a_job(read)), read)),
    "event time": (READING, lambda read: reads(EventTime(tail(), a_job(read)), read)),
    "key groups": (
        Placement("RUNNING", {0: "flink-taskmanager-1"}),
        lambda read: reads(KeyGroups(reporting(), a_job(read)), read),
    ),
    "windows": (READING, lambda read: reads(Windows(tail(), tail(), a_job(read), window_seconds=1), read)),
}


@pytest.fixture
def shown() -> Iterator[list[View]]:
    """The views of a test, which are closed after it."""
    views: list[View] = []
    yield views
    for view in views:
        view.close()


@pytest.mark.parametrize("what", VIEWS)
@pytest.mark.parametrize("blocks", [True, False])
def test_an_old_answer_is_not_drawn_as_live(shown: list[View], what: str, blocks: bool) -> None:
    answer, make = VIEWS[what]
    away, release, waiting = threading.Event(), threading.Event(), []

    def read() -> Any:
        if away.is_set() and not blocks:
            raise ServiceUnavailable("Flink", "127.0.0.1:1", "connection refused")
        if away.is_set():
            waiting.append(what)
            release.wait(20)
        return answer

    view = make(read)
    shown.append(view)
    heading = view.widget.children[0]
    wait_until(lambda: "live" in heading.value and all(each.answered_at for each in asked(view)), 10, "an answer")
    away.set()
    gone = (lambda each: len(waiting) == len(asked(view))) if blocks else (lambda each: each.problem)
    wait_until(lambda: all(map(gone, asked(view))), 10, "the reader to be away")
    for each in asked(view):
        each.begun_at = each.answered_at = 1.0
    try:
        wait_until(lambda: "no data" in heading.value, 10, "the heading to say so")
        assert view.text.startswith("No data ")
        assert f" because {'the last question' if blocks else 'Flink at 127.0.0.1:1'}" in view.text
    finally:
        release.set()


def asked(view: View) -> list[Any]:
    """Return the pollers of a view that it asks again and again."""
    return [each for each in live._held[view] if isinstance(each, live.Poller) and each._every <= 1]
