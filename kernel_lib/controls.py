"""Set the parameters of a running job, and say what is in force: through the control topic, with acknowledgement.

    >>> controls.set("filter_events", minimum_duration=2.5).text
    'minimum_duration = 2.5: in force in 1 subtask after 48 ms'
    >>> controls.get("filter_events")
    {'minimum_duration': 2.5, 'event_type': ''}

Parameters outlive restarts, rescaling and the job itself: the next submit begins with those set last.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from kernel_lib import cluster, control_topic, jobs, topics
from kernel_lib.cluster import LIVE_STATES
from kernel_lib.control_topic import ACKNOWLEDGEMENTS, MOST_RECORDS, Acknowledgement, Parameters, Value
from kernel_lib.errors import ConfigurationError, JobFailed, NotFound, WaitTimeout
from kernel_lib.jobs import Job
from kernel_lib.settings import Settings, load

ANSWER_SECONDS = 10.0
# Looking a job up takes Flink as long as applying the change does.
_looked_up: dict[tuple[str, str], tuple[Job, Parameters]] = {}


@dataclass(frozen=True)
class Applied:
    """A change that every running subtask has acknowledged; `milliseconds` from the call to the last of them."""

    job: str
    requested: Parameters
    acknowledged: Parameters
    version: int
    milliseconds: float
    subtasks: int

    @property
    def text(self) -> str:
        """One line that says the same."""
        values = ", ".join(f"{name} = {self.acknowledged[name]!r}" for name in self.requested)
        plural = "" if self.subtasks == 1 else "s"
        return f"{values}: in force in {self.subtasks} subtask{plural} after {self.milliseconds:.0f} ms"


def set(
    job: str, *, timeout_seconds: float = ANSWER_SECONDS, settings: Settings | None = None, **parameters: Value
) -> Applied:
    """Change some of a job's parameters, and return when every running subtask has acknowledged.

    Raises ConfigurationError for a parameter or a value that the job does not take, NotFound if there was never
    such a job, JobFailed if it has ended, WaitTimeout naming the subtasks that did not answer, ServiceUnavailable.
    """
    started = time.monotonic()
    settings = settings or load()
    live, declared = _live_again(job, settings)
    requested = {name: control_topic.checked(job, declared, name, value) for name, value in parameters.items()}
    channel = control_topic.channel(settings)
    version = channel.publish(job, declared, requested)
    found = channel.gather(version, timeout_seconds=timeout_seconds)
    if not control_topic.complete(found):
        raise _unanswered(live, found, timeout_seconds)
    milliseconds = (time.monotonic() - started) * 1000
    return Applied(job, requested, found[-1].parameters, version.version, milliseconds, found[-1].parallelism)


def get(job: str, *, settings: Settings | None = None) -> Parameters:
    """Return all parameters in force: those that every subtask acknowledged last, or that the job started with.

    Raises ConfigurationError for a job without parameters, NotFound, JobFailed if it has ended, ServiceUnavailable.
    """
    settings = settings or load()
    live = _live(job, settings)
    started_ms = cluster.get(settings, f"/jobs/{live.id}")["start-time"]
    records = topics.read(ACKNOWLEDGEMENTS, since_ms=started_ms, limit=MOST_RECORDS, settings=settings)
    versions: dict[int, list[Acknowledgement]] = {}
    for each in control_topic.parsed(records, Acknowledgement):
        if each.job == job:
            versions.setdefault(each.version, []).append(each)
    in_force = [found[-1].parameters for _, found in sorted(versions.items()) if control_topic.complete(found)]
    return in_force[-1] if in_force else _begun_with(live)


def _live_again(name: str, settings: Settings) -> tuple[Job, Parameters]:
    """Return the live job and the parameters that it takes, from the last call if that job still lives."""
    key = (settings.flink_jobmanager_url, settings.named(name))
    if key not in _looked_up or not _lives(_looked_up[key][0]):
        live = _live(name, settings)
        _looked_up[key] = (live, _begun_with(live))
    return _looked_up[key]


def _lives(job: Job) -> bool:
    try:
        return job.state() in LIVE_STATES
    except NotFound:
        return False


def _live(name: str, settings: Settings) -> Job:
    for job in jobs.running(settings=settings):
        if job.name == name:
            return job
    ended = jobs.find(name, settings=settings)
    raise JobFailed(
        f"Job {name} does not run any more: it is {ended.state()}.",
        cause=ended.failure() or "it was ended",
        remedy=f"jobs.submit({name!r})",
    )


def _begun_with(job: Job) -> Parameters:
    written = job.parameters().get("parameters")
    if not written:
        raise ConfigurationError(
            f"Job {job.name} has no parameters that can be changed while it runs.",
            cause="its module declares no PARAMETERS",
            remedy="end it, and submit it with other options",
        )
    return dict(json.loads(written))


def _unanswered(job: Job, found: tuple[Acknowledgement, ...], seconds: float) -> WaitTimeout:
    subtasks = found[-1].parallelism if found else job.slots()
    answered = [each.subtask for each in found if each.parallelism == subtasks]
    missing = [str(number) for number in range(subtasks) if number not in answered]
    return WaitTimeout(
        f"Waited {seconds:g} s for {subtasks} subtasks of {job.name}; no acknowledgement from {', '.join(missing)}.",
        cause=job.failure() or f"the job is {job.state()}",
        remedy="./course status; the change is applied when the job runs again",
    )
