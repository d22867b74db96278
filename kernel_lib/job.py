"""One Flink job: its state, its tasks and counters, why it failed, and how to end it.

>>> job = jobs.find("count_events")
>>> job.state(), job.failure()
('RUNNING', '')
>>> job.drain()
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from kernel_lib import cluster, topics
from kernel_lib.errors import JobFailed
from kernel_lib.owners import Owner
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

LIVE_STATES = {"INITIALIZING", "CREATED", "RUNNING", "FAILING", "CANCELLING", "RESTARTING", "SUSPENDED", "RECONCILING"}
END_SECONDS = 60.0
# So long after a restart Flink may still show the metrics of the tasks before it.
METRICS_SETTLED_MS = 2_000
_QUIET_METRIC = re.compile(r"(.+)\.sourceIdleTime$")
# A source so close to its idle time-out is taken for idle: its metrics are some seconds old when it is stopped.
QUIET_MARGIN_SECONDS = 4.0


@dataclass(frozen=True)
class Vertex:
    """A task of a running job, as Flink runs it; `status` is that of its subtasks taken together."""

    id: str
    name: str
    parallelism: int
    status: str
    maximum_parallelism: int


@dataclass(frozen=True)
class Graph:
    """A job's tasks and the edges between them, as pairs of vertex ids in the direction of the data."""

    vertices: tuple[Vertex, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Counters:
    """Records that a task has taken in and given out since it started."""

    records_in: int
    records_out: int


@dataclass(frozen=True)
class Job:
    """A job on the cluster; `name` is the short one, without the namespace."""

    id: str
    name: str
    settings: Settings = field(repr=False)

    def state(self) -> str:
        """Return Flink's word for the state: RUNNING, RESTARTING, FINISHED, CANCELED, FAILED, ..."""
        return str(cluster.get(self.settings, f"/jobs/{self.id}/status")["status"])

    def wait_running(self, timeout_seconds: float = 60) -> Job:
        """Wait until every task runs, and return this job; raises JobFailed if it ends instead."""
        wait_until(self._runs, timeout_seconds, f"job {self.name} to run", remedy=cluster.REMEDY)
        return self

    def cancel(self, timeout_seconds: float = END_SECONDS) -> None:
        """End the job at once and wait until it has ended; what its sinks had not committed is dropped."""
        if self.state() in LIVE_STATES:
            cluster.call(self.settings, "PATCH", f"/jobs/{self.id}?mode=cancel")
        wait_until(lambda: self.state() not in LIVE_STATES, timeout_seconds, f"job {self.name} to end")

    def drain(self, timeout_seconds: float = END_SECONDS) -> None:
        """Wait until all that its source topic holds now is read, then end the job with its last windows emitted.

        Raises JobFailed if the job fails meanwhile.
        """
        self.wait_running(timeout_seconds)  # before that Flink neither takes a savepoint nor knows the parameters
        parameters = self.parameters()
        source = parameters.get("source")
        if source:
            begun = {int(n): offset for n, offset in json.loads(parameters.get("start", "{}")).items()}
            self._wait_read(source, begun, timeout_seconds)
            if self._quiet_seconds() > float(parameters.get("idle-timeout", "inf")) - QUIET_MARGIN_SECONDS:
                self._restart_tasks(timeout_seconds)
                self._wait_read(source, begun, timeout_seconds)
        self._stop(drain=True)
        wait_until(self._finished, timeout_seconds, f"job {self.name} to finish")

    def failure(self) -> str:
        """Return the root cause of the job's last failure in words; empty if there was none."""
        answer = cluster.get(self.settings, f"/jobs/{self.id}/exceptions?maxExceptions=1")
        entries = answer.get("exceptionHistory", {}).get("entries", [])
        trace = entries[0]["stacktrace"] if entries else answer.get("root-exception") or ""
        return cluster.root_cause(trace)

    def owner(self) -> Owner | None:
        """Return who submitted the job; None if it was not this library."""
        return Owner.from_parameters(self.parameters())

    def parameters(self) -> dict[str, str]:
        """Return the job's global parameters: its owner, its topics, where it began; empty until it is scheduled."""
        answer = cluster.get(self.settings, f"/jobs/{self.id}/config")
        return dict(answer.get("execution-config", {}).get("user-config", {}))

    def slots(self) -> int:
        """Return how many slots the job takes: its widest task, because tasks share slots."""
        return max((v["parallelism"] for v in cluster.get(self.settings, f"/jobs/{self.id}")["vertices"]), default=0)

    def graph(self) -> Graph:
        """Return the job's tasks and the edges between them."""
        answer = cluster.get(self.settings, f"/jobs/{self.id}")
        vertices = (
            Vertex(v["id"], v["name"], v["parallelism"], v["status"], v["maxParallelism"]) for v in answer["vertices"]
        )
        edges = ((i["id"], node["id"]) for node in answer["plan"]["nodes"] for i in node.get("inputs", []))
        return Graph(tuple(vertices), tuple(edges))

    def counters(self) -> dict[str, Counters]:
        """Return, by vertex id, how many records each task took in and gave out; fresh at each call."""
        vertices = cluster.get(self.settings, f"/jobs/{self.id}")["vertices"]
        return {vertex["id"]: self._counters(vertex["id"]) for vertex in vertices}

    def _counters(self, vertex: str) -> Counters:
        path = f"/jobs/{self.id}/vertices/{vertex}/subtasks/metrics?get=numRecordsIn,numRecordsOut&agg=sum"
        sums = {entry["id"]: int(entry["sum"]) for entry in cluster.get(self.settings, path)}
        return Counters(sums.get("numRecordsIn", 0), sums.get("numRecordsOut", 0))

    def _runs(self) -> bool:
        answer = cluster.get(self.settings, f"/jobs/{self.id}")
        if answer["state"] not in LIVE_STATES:
            raise self._ended(answer["state"])
        return answer["state"] == "RUNNING" and all(v["status"] == "RUNNING" for v in answer["vertices"])

    def _finished(self) -> bool:
        state = self.state()
        if state in ("FAILED", "CANCELED"):
            raise self._ended(state)
        return state == "FINISHED"

    def _ended(self, state: str) -> JobFailed:
        return JobFailed(f"Job {self.name} ended as {state}.", cause=self.failure(), remedy="mend it and submit again")

    def _wait_read(self, source: str, begun: dict[int, int], timeout_seconds: float) -> None:
        ends = {n: high for n, (_, high) in topics.offsets(source, settings=self.settings).items()}
        wait_until(
            lambda: self._has_read(source, begun, ends),
            timeout_seconds,
            f"job {self.name} to read {source} to the end",
            interval_seconds=0.2,
        )

    def _quiet_seconds(self) -> float:
        """Return for how long no source task has had a record."""
        nodes = cluster.get(self.settings, f"/jobs/{self.id}")["plan"]["nodes"]
        quiet = self._source_metrics(nodes, _QUIET_METRIC, "min")
        return min((milliseconds / 1000 for milliseconds in quiet.values()), default=0.0)

    def _restart_tasks(self, timeout_seconds: float) -> None:
        """Restart the tasks in place, from the last checkpoint, by giving them another parallelism.

        An idle source loses the last watermark of a drain (Flink ignores watermarks of idle channels), and
        with it the last windows. A restarted one is not idle until its time-out has passed again.
        """
        path = f"/jobs/{self.id}/resource-requirements"
        wanted = self.slots() + 1
        if not cluster.get(self.settings, "/overview")["slots-available"]:
            wanted = self.slots() - 1
        if not wanted:
            raise JobFailed(
                f"Job {self.name} cannot emit its last windows.",
                cause="its source has been idle, it must be restarted once, and no slot is free for that",
                remedy="cancel another job and drain again",
            )
        bounds = {"parallelism": {"lowerBound": 1, "upperBound": wanted}}
        cluster.call(self.settings, "PUT", path, dict.fromkeys(cluster.get(self.settings, path), bounds))
        wait_until(
            lambda: self._runs() and self.slots() == wanted, timeout_seconds, f"the tasks of {self.name} to restart"
        )

    def _has_read(self, source: str, begun: dict[int, int], ends: dict[int, int]) -> bool:
        answer = cluster.get(self.settings, f"/jobs/{self.id}")
        if answer["state"] not in LIVE_STATES:
            raise self._ended(answer["state"])
        places = self._committed(source)
        if all(
            v["status"] == "RUNNING" and answer["now"] - v["start-time"] > METRICS_SETTLED_MS
            for v in answer["vertices"]
        ):
            # An idle source commits its offsets up to 10 s late; its metrics are half a second old.
            emitted = self._emitted(source, answer["plan"]["nodes"])
            places = {n: max(place, emitted.get(n, 0), begun.get(n, 0)) for n, place in places.items()}
        return all(places[n] >= end for n, end in ends.items())

    def _committed(self, source: str) -> dict[int, int]:
        ends = topics.offsets(source, committed=False, settings=self.settings)
        return {n: ends[n][1] - lag for n, lag in topics.lag(self.name, source, settings=self.settings).items()}

    def _emitted(self, source: str, nodes: list[dict[str, Any]]) -> dict[int, int]:
        """Return, by partition, the offset after the last record that the source gave to the job."""
        topic = re.sub(r"[^\w-]", "_", self.settings.named(source))
        metric = re.compile(rf"\.topic\.{re.escape(topic)}\.partition\.(\d+)\.currentOffset$")
        return {int(number): int(offset) + 1 for number, offset in self._source_metrics(nodes, metric, "max").items()}

    def _source_metrics(self, nodes: list[dict[str, Any]], metric: re.Pattern[str], agg: str) -> dict[str, float]:
        """Return the metrics of the source tasks whose names match, by the pattern's group."""
        found: dict[str, float] = {}
        for vertex in (node["id"] for node in nodes if not node.get("inputs")):
            path = f"/jobs/{self.id}/vertices/{vertex}/subtasks/metrics"
            names = {entry["id"]: metric.search(entry["id"]) for entry in cluster.get(self.settings, path)}
            wanted = {name: match.group(1) for name, match in names.items() if match}
            if wanted:
                values = cluster.get(self.settings, f"{path}?get={','.join(wanted)}&agg={agg}")
                found |= {wanted[value["id"]]: value[agg] for value in values}
        return found

    def _stop(self, *, drain: bool) -> str:
        body: dict[str, Any] = {"drain": drain}
        if self.settings.flink_savepoint_uri:
            body["targetDirectory"] = self.settings.flink_savepoint_uri
        request = cluster.call(self.settings, "POST", f"/jobs/{self.id}/stop", body)["request-id"]
        path = f"/jobs/{self.id}/savepoints/{request}"
        operation = wait_until(
            lambda: _completed(cluster.get(self.settings, path)), END_SECONDS, f"the savepoint of job {self.name}"
        )
        if "failure-cause" in operation:
            cause = cluster.root_cause(operation["failure-cause"]["stack-trace"])
            raise JobFailed(f"Job {self.name} could not be stopped.", cause=cause, remedy="job.cancel()")
        return str(operation["location"])


def _completed(savepoint: dict[str, Any]) -> dict[str, Any]:
    """Return what became of a savepoint; empty while it is not complete."""
    return dict(savepoint["operation"]) if savepoint["status"]["id"] == "COMPLETED" else {}
