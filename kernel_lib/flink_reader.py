"""Read Flink for all pictures of this process: they share its answers.

However many pictures there are, in a second Flink is asked once for its jobs, once for each of those that are drawn,
and for those metrics of single tasks that a picture draws and that it does not tell of a whole job.

>>> flink = flink_reader.of(settings)
>>> flink.details(job.id).body["state"]
'RUNNING'
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from kernel_lib import cluster, shared
from kernel_lib.cluster import LIVE_STATES
from kernel_lib.job import Failure, Job
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

READING_SECONDS = 1.0
# Where event time has come is drawn twice a second.
FRESH_SECONDS = 0.4
# Partitions and subtasks come and go.
NAMES_SECONDS = 5.0
# From the question to the answer of all TaskManagers; less than that, and a figure is one older.
FETCH_SECONDS = 0.05
# Of one request, whose first line Flink takes up to 4,096 characters.
MOST_CHARACTERS = 3_600
# What Flink tells of failures may be older than its list of jobs.
SETTLED_MS = 1_000


class Answer(NamedTuple):
    """What Flink answered, and when it was asked (epoch s)."""

    at: float
    body: Any


class FlinkReader:
    """Asks one cluster; each call raises ServiceUnavailable, and NotFound for a job that Flink has forgotten."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._answers = shared.Answers()
        self._failures: dict[str, tuple[int | None, list[Failure]]] = {}

    def get(self, path: str) -> Any:
        """Return what GET `path` answers in this reading."""
        return self._asked(path, shared.turn(READING_SECONDS)).body

    def jobs(self, *, live: bool = False) -> list[dict[str, Any]]:
        """Return what `cluster.jobs` does."""
        entries = self.get("/jobs/overview")["jobs"]
        return [entry for entry in entries if not live or entry["state"] in LIVE_STATES]

    def details(self, job_id: str) -> Answer:
        """Return what Flink says of a job and its tasks, with what they have counted."""
        turn = shared.turn(READING_SECONDS)
        self._answers.of("fetch", self._let_fetch, since=turn)
        return self._asked(f"/jobs/{job_id}", turn)

    def metrics(self, path: str, names: Sequence[str], more: str = "") -> list[dict[str, Any]]:
        """Return these metrics of GET `path`, in as few requests as Flink takes; `more` belongs to the query."""
        since = shared.ago(FRESH_SECONDS)
        self._answers.of("fetch", self._let_fetch, since=since)
        asked = [f"{path}?get={','.join(part)}{more}" for part in parts(names, MOST_CHARACTERS)]
        return [entry for each in asked for entry in self._asked(each, since).body]

    def names(self, path: str) -> list[str]:
        """Return the names of the metrics of GET `path`, as they were some seconds ago or later."""
        return [entry["id"] for entry in self._asked(path, shared.ago(NAMES_SECONDS)).body]

    def failures(self, job_id: str) -> list[Failure]:
        """Return what `Job.failures` does; Flink is asked when the job has changed, and as long as it does not run."""
        entry = next((each for each in self.jobs() if each["jid"] == job_id), None)
        if entry is None:
            return self._ask_failures(job_id)
        changed, now_ms = entry["last-modification"], entry["start-time"] + entry["duration"]
        settled = entry["state"] == "RUNNING" and now_ms - changed > SETTLED_MS
        seen, known = self._failures.get(job_id, (None, []))
        if not settled or seen != changed:
            known = self._ask_failures(job_id)
            self._failures[job_id] = (changed if settled else None, known)
        return known

    def _ask_failures(self, job_id: str) -> list[Failure]:
        job = Job(job_id, job_id, self.settings)
        return self._answers.of(("failures", job_id), job.failures, since=shared.turn(READING_SECONDS))

    def _asked(self, path: str, since: float) -> Answer:
        return self._answers.of(path, lambda: Answer(time.time(), cluster.get(self.settings, path)), since=since)

    def _let_fetch(self) -> None:
        """Make Flink fetch metrics: it answers from those that it fetched before, and fetches when it is asked."""
        cluster.get(self.settings, "/jobmanager/metrics", get="numRunningJobs")
        due = time.monotonic() + FETCH_SECONDS
        wait_until(lambda: time.monotonic() > due, 1, "Flink to fetch metrics", interval_seconds=FETCH_SECONDS)


def parts(names: Sequence[str], most: int) -> list[list[str]]:
    """Return the names in parts that are at most so many characters long with their commas; a longer name is alone."""
    found: list[list[str]] = []
    for name in names:
        if found and sum(map(len, found[-1])) + len(found[-1]) + len(name) <= most:
            found[-1].append(name)
        else:
            found.append([name])
    return found


_readers: dict[str, FlinkReader] = {}


def of(settings: Settings) -> FlinkReader:
    """Return the reader of a cluster, the same for every picture."""
    return _readers.setdefault(settings.flink_jobmanager_url, FlinkReader(settings))
