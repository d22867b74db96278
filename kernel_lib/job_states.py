"""Read what a board says of all jobs of the cluster: state, since when, slots, owner, failures.

>>> read = job_states.Reader()
>>> [(job.name, job.state, job.slots) for job in read().jobs]
[('count_events', 'RUNNING', 1)]
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kernel_lib import flink_reader, job_graph
from kernel_lib.cluster import LIVE_STATES
from kernel_lib.errors import NotFound
from kernel_lib.job import Failure, Job
from kernel_lib.owners import Owner
from kernel_lib.settings import Settings, load


@dataclass(frozen=True)
class JobState:
    """A job of any namespace, by its full name; `started_at` is epoch s, `failures` are the last ones, oldest first.

    An ended job takes no slot, and has the owner and failures that were read while it ran.
    """

    id: str
    name: str
    state: str
    started_at: float
    slots: int = 0
    owner: str = ""
    failures: tuple[Failure, ...] = ()

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in LIVE_STATES

    @property
    def holds_slots(self) -> bool:
        """Whether it has its slots: one that is CREATED waits for them."""
        return self.live and self.state != "CREATED"


@dataclass(frozen=True)
class Reading:
    """The live jobs and those seen before that ended lately, oldest first, and the slots, at a time (epoch s)."""

    at: float
    jobs: tuple[JobState, ...]
    slots_free: int
    slots_total: int


class Reader:
    """Read all jobs at each call; raises ServiceUnavailable when Flink does not answer."""

    def __init__(self, *, seconds: float = 300.0, settings: Settings | None = None) -> None:
        """Leave out what had ended so many `seconds` before a call."""
        self._seconds = seconds
        self._settings = settings or load()
        self._flink = flink_reader.of(self._settings)
        self._known: dict[str, JobState] = {}

    def __call__(self) -> Reading:
        now, overview = time.time(), self._flink.get("/overview")
        self._known = {state.id: state for state in self._states(now)}
        found = sorted(self._known.values(), key=lambda state: state.started_at)
        return Reading(now, tuple(found), overview["slots-available"], overview["slots-total"])

    def _states(self, now: float) -> Iterator[JobState]:
        for entry in self._flink.jobs():
            if entry["state"] in LIVE_STATES:
                with suppress(NotFound):  # it has just ended and been forgotten
                    yield self._live(entry)
            elif entry["jid"] in self._known and entry["end-time"] / 1000 > now - self._seconds:
                before = self._known[entry["jid"]]
                yield _state(entry, owner=before.owner, failures=before.failures)

    def _live(self, entry: Mapping[str, Any]) -> JobState:
        job = Job(entry["jid"], entry["name"], self._settings)
        taken = job_graph.of(self._flink.details(job.id).body).slots
        failures = tuple(self._flink.failures(job.id))
        return _state(entry, slots=taken, owner=self._owner(job), failures=failures)

    def _owner(self, job: Job) -> str:
        # It never changes, but Flink does not know it until the job is scheduled.
        before = self._known.get(job.id)
        if before is not None and before.owner:
            return before.owner
        parameters = job.parameters()
        return str(Owner.from_parameters(parameters) or "somebody else") if parameters else ""


def _state(entry: Mapping[str, Any], **more: Any) -> JobState:
    return JobState(entry["jid"], entry["name"], entry["state"], entry["start-time"] / 1000, **more)
