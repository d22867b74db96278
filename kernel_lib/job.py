"""One Flink job: its state, its tasks, why it failed, and how to end it.

>>> job = jobs.find("count_events")
>>> job.state(), job.failure()
('RUNNING', '')
>>> job.drain()
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kernel_lib import cluster, job_graph, job_notes, savepoints, slots, topic_ends
from kernel_lib.cluster import LIVE_STATES
from kernel_lib.errors import ConfigurationError, JobFailed
from kernel_lib.owners import Owner
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

END_SECONDS = 60.0
# A bounded source, of reference data, ends while the job goes on.
_AT_WORK = {"RUNNING", "FINISHED"}
# So long after a restart Flink may still show the metrics of the tasks before it.
METRICS_SETTLED_MS = 2_000
_QUIET_METRIC = re.compile(r"(.+)\.sourceIdleTime$")
# A source so close to its idle time-out is taken for idle: its metrics are some seconds old when it is stopped.
QUIET_MARGIN_SECONDS = 4.0
# A drain needs the time between two time-outs of an idle source.
SHORTEST_IDLE_TIMEOUT_SECONDS = 8.0


@dataclass(frozen=True)
class Failure:
    """When a job failed (epoch s), and the root cause in words."""

    at: float
    reason: str


@dataclass(frozen=True)
class Job:
    """A job on the cluster; `name` is the short one, without the namespace.

    Each call raises ServiceUnavailable if Flink does not answer, one that waits WaitTimeout, NotFound for a job that
    Flink has forgotten.
    """

    id: str
    name: str
    settings: Settings = field(repr=False)

    def state(self) -> str:
        """Return Flink's word for the state: RUNNING, RESTARTING, FINISHED, CANCELED, FAILED, ..."""
        return str(cluster.get(self.settings, f"/jobs/{self.id}/status")["status"])

    def wait_running(self, timeout_seconds: float = 60) -> Job:
        """Wait until every task runs and bounded sources are read; return this job. Raises JobFailed, WaitTimeout."""
        wait_until(self._runs, timeout_seconds, f"job {self.name} to run", remedy=cluster.REMEDY)
        return self

    def wait_finished(self, timeout_seconds: float = END_SECONDS) -> Job:
        """Wait until a job whose source has an end has finished and its results can be read.

        Raises JobFailed if it ends otherwise, WaitTimeout.
        """
        wait_until(self._finished, timeout_seconds, f"job {self.name} to finish")
        topic_ends.wait_committed(job_notes.written(self.parameters()), timeout_seconds, settings=self.settings)
        return self

    def cancel(self, timeout_seconds: float = END_SECONDS) -> None:
        """End the job at once and wait; what its sinks had not committed is dropped. Raises WaitTimeout."""
        if self.state() in LIVE_STATES:
            cluster.call(self.settings, "PATCH", f"/jobs/{self.id}?mode=cancel")
        wait_until(lambda: self.state() not in LIVE_STATES, timeout_seconds, f"job {self.name} to end")

    def drain(self, timeout_seconds: float = END_SECONDS) -> None:
        """Wait until all that its source topics hold now is read, then end the job with its last windows committed.

        Harmless when the job has finished. Raises JobFailed if it fails meanwhile or was cancelled, ConfigurationError
        for one whose source is idle too soon, WaitTimeout.
        """
        if self._finished():
            return
        self.wait_running(timeout_seconds)  # before that Flink neither takes a savepoint nor knows the parameters
        parameters = self.parameters()
        idle_after = float(parameters.get("idle-timeout", "inf"))
        if idle_after < SHORTEST_IDLE_TIMEOUT_SECONDS:
            raise ConfigurationError(
                f"Job {self.name} cannot be drained.",
                cause=f"its source counts as idle after {idle_after:g} s, and an idle one loses the last watermark",
                remedy=f"cancel it, or submit it with idle_timeout_seconds={SHORTEST_IDLE_TIMEOUT_SECONDS:g} or more",
            )
        if parameters.get("source"):
            self._wait_read(job_notes.read(parameters), parameters, timeout_seconds)
            if self._quiet_seconds() > idle_after - QUIET_MARGIN_SECONDS:
                self._wait_checkpoint(timeout_seconds)  # with all that was read: the restarted tasks go on from there
                self._restart_tasks(timeout_seconds)
        self._stop(drain=True, timeout_seconds=timeout_seconds)

    def savepoint(self) -> str:
        """Write all state and offsets while the job goes on, and return where, a URI for `jobs.submit(restore=...)`.

        Raises JobFailed if the job has ended or cannot write it.
        """
        self.wait_running()
        return self._write_savepoint("savepoints", self._target("target-directory"))

    def stop_with_savepoint(self, timeout_seconds: float = END_SECONDS) -> str:
        """End the job with its results committed and return where its state is; open windows stay in the state.

        Raises JobFailed if the job has ended or fails meanwhile.
        """
        self.wait_running(timeout_seconds)
        return self._stop(drain=False, timeout_seconds=timeout_seconds)

    def rescale(self, parallelism: int, timeout_seconds: float = END_SECONDS) -> None:
        """Spread the job and its state over so many subtasks, and return when the new ones run.

        Raises ConfigurationError below 1 and above the maximum parallelism, NoFreeSlots naming who holds the slots,
        JobFailed if the job has ended.
        """
        self.wait_running(timeout_seconds)
        most = min(vertex.maximum_parallelism for vertex in self.graph().vertices)
        if not 1 <= parallelism <= most:
            raise ConfigurationError(
                f"Job {self.name} cannot run with {parallelism} subtasks.",
                cause=f"its state is spread over {most} key groups, and each subtask needs one",
                remedy=f"choose from 1 to {most}",
            )
        more = parallelism - self.slots()
        if more > 0:
            slots.wait_free(self.settings, f"Job {self.name}", more)
        if more:
            self._resize(parallelism, timeout_seconds)

    def failure(self) -> str:
        """Return the root cause of the job's last failure in words; empty if there was none."""
        answer = cluster.get(self.settings, f"/jobs/{self.id}/exceptions?maxExceptions=1")
        entries = answer.get("exceptionHistory", {}).get("entries", [])
        return cluster.root_cause(entries[0]["stacktrace"] if entries else self._start_failure())

    def failures(self) -> list[Failure]:
        """Return the last failures of the running job, oldest first; Flink forgets them with the JobManager."""
        answer = cluster.get(self.settings, f"/jobs/{self.id}/exceptions", maxExceptions="10")
        entries = answer.get("exceptionHistory", {}).get("entries", [])
        return [
            Failure(entry["timestamp"] / 1000, cluster.root_cause(entry["stacktrace"])) for entry in reversed(entries)
        ]

    def owner(self) -> Owner | None:
        """Return who submitted the job; None if it was not this library."""
        return Owner.from_parameters(self.parameters())

    def parameters(self) -> dict[str, str]:
        """Return the job's global parameters: its owner, its topics, where it began; empty until it is scheduled."""
        return cluster.parameters(self.settings, self.id)

    def slots(self) -> int:
        """Return how many slots the job takes: its widest task, because tasks share slots."""
        return slots.taken(self.settings, self.id)

    def taskmanagers(self) -> list[str]:
        """Return the TaskManagers that run the job's tasks, by the names of their services."""
        vertices = cluster.get(self.settings, f"/jobs/{self.id}")["vertices"]
        details = [cluster.get(self.settings, f"/jobs/{self.id}/vertices/{vertex['id']}") for vertex in vertices]
        return sorted({subtask["taskmanager-id"] for each in details for subtask in each["subtasks"]})

    def graph(self) -> job_graph.Graph:
        """Return the job's tasks and the edges between them."""
        return job_graph.of(cluster.get(self.settings, f"/jobs/{self.id}"))

    def positions(self, topic: str) -> dict[int, int]:
        """Return, by partition, the offset up to which the job's source has given the topic's records to the job.

        What the group has committed does not say it: an earlier run may have read on after this one's savepoint.
        A partition counts from 0 until the first record or, some seconds after the start, the first commit.
        """
        nodes = cluster.get(self.settings, f"/jobs/{self.id}")["plan"]["nodes"]
        emitted, committed = (
            self._source_metrics(nodes, re.compile(rf"{self._partition(topic)}(\d+)\.{metric}$"), "max")
            for metric in ("currentOffset", "committedOffset")
        )
        # Where nothing has come since this run began, only its commits show where it stands.
        return {int(n): int(max(emitted.get(n, -1) + 1, committed.get(n, 0))) for n in {*emitted, *committed}}

    def _start_failure(self) -> str:
        """Return why a job failed before it ran, which Flink keeps elsewhere; empty if it did not."""
        answer = cluster.get(self.settings, f"/jobs/{self.id}/execution-result").get("job-execution-result", {})
        failed = answer.get("application-status") == "FAILED"
        return str(answer["failure-cause"]["stack-trace"]) if failed else ""

    def _runs(self) -> bool:
        state = self.state()
        if state not in LIVE_STATES:
            raise self._ended(state)
        answer = cluster.get(self.settings, f"/jobs/{self.id}")  # up to a second old
        if answer["state"] != "RUNNING" or any(v["status"] not in _AT_WORK for v in answer["vertices"]):
            return False
        # Flink writes no savepoint while a bounded source, or a task that has its records from nowhere else, is ending.
        return cluster.ended_sources(answer) == int(self.parameters().get("bounded-sources", "0"))

    def _finished(self) -> bool:
        state = self.state()
        if state in ("FAILED", "CANCELED"):
            raise self._ended(state)
        return state == "FINISHED"

    def _ended(self, state: str) -> JobFailed:
        return JobFailed(f"Job {self.name} ended as {state}.", cause=self.failure(), remedy="mend it and submit again")

    def _wait_read(self, sources: list[str], parameters: dict[str, str], timeout_seconds: float) -> None:
        begun = json.loads(parameters.get("start", "{}"))
        ends = {topic: topic_ends.readable(topic, settings=self.settings) for topic in sources}
        wait_until(
            lambda: self._has_read(ends, begun),
            timeout_seconds,
            f"job {self.name} to read {', '.join(sources)} to the end",
            interval_seconds=0.2,
        )

    def _quiet_seconds(self) -> float:
        """Return for how long the quietest of the tasks that read the job's `source` has had no record."""
        # How quiet the control topic or one with versions is says nothing about the events.
        topics = self.parameters()["source"].split(";")
        nodes = cluster.get(self.settings, f"/jobs/{self.id}")["plan"]["nodes"]
        quiet = self._source_metrics(nodes, _QUIET_METRIC, "min", reading=topics)
        return max((milliseconds / 1000 for milliseconds in quiet.values()), default=0.0)

    def _wait_checkpoint(self, timeout_seconds: float) -> None:
        """Wait until a checkpoint that begins after this call is complete."""
        path = f"/jobs/{self.id}/checkpoints"
        begun = max((each["id"] for each in cluster.get(self.settings, path)["history"]), default=0)
        wait_until(
            lambda: (cluster.get(self.settings, path)["latest"]["completed"] or {}).get("id", 0) > begun,
            timeout_seconds,
            f"a checkpoint of job {self.name}",
        )

    def _restart_tasks(self, timeout_seconds: float) -> None:
        """Restart the tasks in place, from the last checkpoint, by giving them another parallelism.

        An idle source loses the last watermark of a drain (Flink ignores watermarks of idle channels), and
        with it the last windows. A restarted one is not idle until its time-out has passed again.
        """
        wanted = self.slots() + (1 if slots.free(self.settings) else -1)
        if not wanted:
            raise JobFailed(
                f"Job {self.name} cannot emit its last windows.",
                cause="its source has been idle, it must be restarted once, and no slot is free for that",
                remedy="cancel another job and drain again",
            )
        self._resize(wanted, timeout_seconds)

    def _resize(self, parallelism: int, timeout_seconds: float) -> None:
        path = f"/jobs/{self.id}/resource-requirements"
        bounds = {"parallelism": {"lowerBound": 1, "upperBound": parallelism}}
        cluster.call(self.settings, "PUT", path, dict.fromkeys(cluster.get(self.settings, path), bounds))
        wait_until(
            lambda: self._runs() and self.slots() == parallelism and self._every_subtask_runs(),
            timeout_seconds,
            f"{parallelism} subtasks of each task of {self.name} to run",
        )

    def _every_subtask_runs(self) -> bool:
        # Flink says of a task that it runs as soon as one of its subtasks does.
        vertices = cluster.get(self.settings, f"/jobs/{self.id}")["vertices"]
        return all(v["tasks"]["RUNNING"] + v["tasks"]["FINISHED"] == v["parallelism"] for v in vertices)

    def _has_read(self, ends: dict[str, dict[int, int]], begun: dict[str, dict[str, int]]) -> bool:
        answer = cluster.get(self.settings, f"/jobs/{self.id}")
        if answer["state"] not in LIVE_STATES:
            raise self._ended(answer["state"])
        settled = all(
            v["status"] in _AT_WORK and answer["now"] - v["start-time"] > METRICS_SETTLED_MS for v in answer["vertices"]
        )
        for topic, wanted in ends.items():
            places = self.positions(topic) if settled else {}
            first = begun.get(topic, {})
            if any(max(places.get(n, 0), first.get(str(n), 0)) < end for n, end in wanted.items()):
                return False
        return True

    def _partition(self, topic: str) -> str:
        """Return the pattern of what the names of a partition's metrics have before its number."""
        return rf"\.topic\.{re.escape(cluster.in_metrics(self.settings.named(topic)))}\.partition\."

    def _source_metrics(
        self, nodes: list[dict[str, Any]], metric: re.Pattern[str], agg: str, *, reading: Sequence[str] = ()
    ) -> dict[str, float]:
        """Return the metrics whose names match, by the pattern's group, of all sources or those `reading` topics."""
        reads = re.compile("|".join(map(self._partition, reading)))
        found: dict[str, float] = {}
        for vertex in (node["id"] for node in nodes if not node.get("inputs")):
            path = f"/jobs/{self.id}/vertices/{vertex}/subtasks/metrics"
            names = [entry["id"] for entry in cluster.get(self.settings, path)]
            if not any(map(reads.search, names)):
                continue
            wanted = {name: match.group(1) for name in names if (match := metric.search(name))}
            if wanted:
                values = cluster.get(self.settings, f"{path}?get={','.join(wanted)}&agg={agg}")
                found |= {wanted[value["id"]]: value[agg] for value in values}
        return found

    def _write_savepoint(self, command: str, body: dict[str, Any]) -> str:
        try:
            return savepoints.write(self.settings, self.id, self.name, command, body)
        except savepoints.NotExecuting:
            self.wait_running()  # again, or it says what ended it
            return self._write_savepoint(command, body)

    def _stop(self, *, drain: bool, timeout_seconds: float) -> str:
        # Nobody goes on from a drained job's savepoint, and the backend forst writes none in the canonical format.
        how = {"drain": True, "formatType": "NATIVE"} if drain else {"drain": False}
        location = self._write_savepoint("stop", {**how, **self._target("targetDirectory")})
        self.wait_finished(timeout_seconds)
        return location

    def _target(self, field_name: str) -> dict[str, str]:
        uri = self.settings.flink_savepoint_uri
        return {field_name: uri} if uri else {}
