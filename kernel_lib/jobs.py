"""Submit, watch and end Flink jobs: one of `flink_jobs` by its name, or a function written in a cell.

    >>> job = jobs.submit("count_events", window_seconds=1)
    >>> job.wait_running().state()
    'RUNNING'
    >>> jobs.submit(my_function, source="user-events", sink="processed-events")
    >>> job.drain()

A job belongs to the process that submitted it. When that is gone, the next `submit` cancels the job,
unless it was submitted with owner="course".
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from kernel_lib import cluster, control_topic, gateway, job_notes, slots, topics
from kernel_lib.cluster import LIVE_STATES
from kernel_lib.errors import JobFailed, NotFound
from kernel_lib.job import Job as Job
from kernel_lib.owners import Kind, Owner
from kernel_lib.settings import Settings, load

PACKAGE = "flink_jobs"
CONNECTORS = "flink_jobs.connectors"
FUNCTION_JOB = "map_events"
PARAMETERS_SECONDS = 30.0

Event = dict[str, Any]
EventFunction = Callable[[Event], Event | None]
_submitting = threading.Lock()


def submit(
    job: str | EventFunction,
    *,
    name: str = "",
    parallelism: int | None = None,
    start: str | Mapping[int, int] | Mapping[str, Mapping[int, int]] = "now",
    chaining: bool = False,
    restart_attempts: int = 3,
    python_mode: str = "thread",
    restore: str = "",
    flink_options: Mapping[str, str] | None = None,
    owner: Kind = "kernel",
    lesson: str = "",
    settings: Settings | None = None,
    **options: Any,
) -> Job:
    """Start a job on the cluster, in the place of a live one of the same name; returns before it runs.

    `job` is the name of a module of `flink_jobs`, or a function that maps an event (a dict) to a dict, or
    to None to drop it. `options` go to the job's `build`; see there. `start`: "now" (at least all that is sent
    after this call), "earliest", "committed" (after what the last run had read), or offsets by partition (of a job
    that reads several topics: by topic and partition).
    Edited modules and functions run as they are now. `python_mode` is "thread" or "process". `restore`: where a
    savepoint is; the job goes on with its state, from its offsets, whatever `start` says. `flink_options`: more of
    Flink's own for this job, as with -D of `flink run`: {"state.backend.type": "rocksdb"}.

    A job with live parameters begins with those set last, or with those among the `options`. It is returned when
    every subtask has acknowledged them, and a restored one when it runs.

    Raises NotFound for an unknown job or topic, NoFreeSlots, JobFailed (also for a savepoint that is not there or
    does not fit), ConfigurationError for a parameter's value, ServiceUnavailable.
    """
    settings = settings or load()
    with _submitting:
        module = _module(job if isinstance(job, str) else FUNCTION_JOB)
        if not isinstance(job, str):
            pickled(job)
            options["function"] = job
            name = name or getattr(job, "__name__", "").strip("<>")
        name = name or module.__name__.rpartition(".")[2]
        parallelism = parallelism or settings.flink_parallelism
        cluster.get(settings, "/overview")  # Flink down is said before anything is looked up in Kafka
        used = _check_topics(module, options, settings)
        _make_room(name, parallelism, settings)
        # A restored source knows its offsets; "committed" is for partitions that it has never seen.
        options |= _start(module, "committed" if restore else start, used.get("source", ""), settings)
        version = _publish_parameters(module, name, options, settings)
        begun = {} if restore else job_notes.begun(name, used, options, settings)
        notes = Owner.this_process(owner, lesson).parameters() | job_notes.of(module.build, name, used, options) | begun
        configuration = importlib.import_module(CONNECTORS).configuration(
            parallelism=parallelism,
            checkpoint_interval_ms=settings.flink_checkpoint_interval,
            chaining=chaining,
            restart_attempts=restart_attempts,
            python_mode=python_mode,
        )
        configuration |= {**(flink_options or {}), **({"execution.state-recovery.path": restore} if restore else {})}
        submitted = _execute(module, name, configuration, notes, options, settings)
    _wait_ready(submitted, restore, version)
    return submitted


def running(*, settings: Settings | None = None) -> list[Job]:
    """Return the live jobs of this namespace."""
    settings = settings or load()
    return ours(cluster.jobs(settings, live=True), settings)


def ours(entries: Iterable[Mapping[str, Any]], settings: Settings) -> list[Job]:
    """Return those of `cluster.jobs` that are of this namespace."""
    return [
        Job(entry["jid"], _short(entry["name"], settings), settings) for entry in entries if _is_ours(entry, settings)
    ]


def find(name: str, *, settings: Settings | None = None) -> Job:
    """Return the live job of this name, or else the last one that ended; raises NotFound."""
    settings = settings or load()
    entries = [entry for entry in cluster.jobs(settings) if entry["name"] == settings.named(name)]
    if not entries:
        live = ", ".join(job.name for job in running(settings=settings)) or "none"
        raise NotFound(f"There is no job {name!r}.", cause=f"live jobs: {live}", remedy=f'jobs.submit("{name}")')
    latest = max(entries, key=lambda entry: (entry["state"] in LIVE_STATES, entry["start-time"]))
    return Job(latest["jid"], name, settings)


def cancel_orphans(*, settings: Settings | None = None) -> list[str]:
    """Cancel the live jobs, of any namespace, whose owner on this host is gone; return their names."""
    settings = settings or load()
    cancelled = []
    for job in _all_live(settings):
        owner = job.owner()
        if owner and owner.is_gone():
            job.cancel()
            cancelled.append(job.name)
    return cancelled


def cancel_all(prefix: str = "", *, settings: Settings | None = None) -> list[str]:
    """Cancel every live job of the cluster, of any namespace and owner; return their names.

    `prefix`: only those whose name, with the namespace before it, begins so.
    """
    live = [job for job in _all_live(settings or load()) if job.name.startswith(prefix)]
    for job in live:
        job.cancel()
    return [job.name for job in live]


def warm_up(*, settings: Settings | None = None) -> None:
    """Start in the background what the first submit of a process needs; returns at once."""
    gateway.warm_up(settings or load())


def names() -> list[str]:
    """Return the names of the jobs that `submit` knows: the modules with a function `build`."""
    folders = map(Path, importlib.import_module(PACKAGE).__path__)
    found = {path.stem for folder in folders for path in folder.glob("*.py") if "\ndef build(" in path.read_text()}
    return sorted(found - {FUNCTION_JOB})


def pickled(function: EventFunction) -> bytes:
    """Return a function as it is sent to the cluster, with the module that it stands in; raises JobFailed."""
    home = sys.modules.get(getattr(function, "__module__", None) or "")  # a method of a built-in type has none
    if home and home.__name__.partition(".")[0] not in ("__main__", *sys.stdlib_module_names):
        cloudpickle.register_pickle_by_value(home)
    try:
        return bytes(cloudpickle.dumps(function))
    except (TypeError, pickle.PicklingError) as error:
        raise JobFailed(
            "The function cannot be sent to the cluster.",
            cause=f"it uses something that belongs to this process: {error}",
            remedy="make such things inside the function, or pass plain values",
        ) from error


def _module(name: str) -> ModuleType:
    """Return the job's module as its file is now, so that what is submitted is what was last saved."""
    if name != FUNCTION_JOB and name not in names():
        near = get_close_matches(name, names(), n=3, cutoff=0.4) or names()
        raise NotFound(f"There is no job {name!r}.", cause=f"known jobs: {', '.join(near)}", remedy="jobs.names()")
    package = importlib.import_module(PACKAGE)
    cloudpickle.register_pickle_by_value(package)
    for loaded in [each for each in sys.modules if each.startswith(f"{PACKAGE}.")]:
        del sys.modules[loaded]
        vars(package).pop(loaded.removeprefix(f"{PACKAGE}."), None)
    importlib.invalidate_caches()
    return importlib.import_module(f"{PACKAGE}.{name}")


def _check_topics(module: ModuleType, options: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Raise NotFound for a topic that is not there; return the job's topics by the names of its options.

    A job says which of its options are topics by their annotation. Its sink would wait a minute for one.
    """
    parameters = inspect.signature(module.build).parameters.values()
    used = {p.name: str(options.get(p.name, p.default)) for p in parameters if p.annotation in ("Topic", "Versions")}
    for topic in filter(None, ";".join(used.values()).split(";")):
        topics.offsets(topic, settings=settings)
    return used


def _start(module: ModuleType, start: str | Mapping[Any, Any], source: str, settings: Settings) -> dict[str, Any]:
    """Return the option `start` for a job that has it, with "now" as offsets; by topic, if there are several.

    Flink's own "latest" is looked up when its reader starts: events sent just before would be missed.
    """
    if "start" not in inspect.signature(module.build).parameters:
        return {}
    if start != "now":
        return {"start": start}
    ends = {topic: topics.offsets(topic, committed=False, settings=settings) for topic in source.split(";")}
    starts = {topic: {number: high for number, (_, high) in bounds.items()} for topic, bounds in ends.items()}
    return {"start": starts if len(starts) > 1 else starts[source]}


def _publish_parameters(
    module: ModuleType, name: str, options: dict[str, Any], settings: Settings
) -> control_topic.Version | None:
    """Write what a job with live parameters begins with, and put it into the options in the place of single ones."""
    declared = getattr(module, "PARAMETERS", None)
    if not declared:
        return None
    given = {key: control_topic.checked(name, declared, key, options.pop(key)) for key in declared if key in options}
    version = control_topic.channel(settings).publish(name, declared, given)
    options["begun_with"] = (version.parameters, version.version)
    return version


def _wait_ready(job: Job, restore: str, version: control_topic.Version | None) -> None:
    if restore:
        _wait_restored(job, restore)
    if version:
        _wait_acknowledged(job, version)


def _wait_restored(job: Job, location: str) -> None:
    try:
        job.wait_running()
    except JobFailed as error:
        raise JobFailed(
            f"Job {job.name} cannot go on from {location}.",
            cause=error.cause,
            remedy="restore what wrote the savepoint, or submit without restore to begin anew",
        ) from error


def _wait_acknowledged(job: Job, version: control_topic.Version) -> None:
    job.wait_running()
    found = control_topic.channel(job.settings).gather(version, timeout_seconds=PARAMETERS_SECONDS)
    if not control_topic.complete(found):
        job.wait_running(0)  # says so if the job has failed meanwhile
        raise JobFailed(
            f"Job {job.name} runs, but did not acknowledge its parameters in {PARAMETERS_SECONDS:g} s.",
            cause=job.failure() or "it has not read the control topic so far",
            remedy=cluster.REMEDY,
        )


def _execute(
    module: ModuleType,
    name: str,
    configuration: dict[str, str],
    parameters: dict[str, str],
    options: Mapping[str, Any],
    settings: Settings,
) -> Job:
    with gateway.translated(settings, name):
        environment = gateway.remote_environment(settings, configuration)
        environment.get_config().set_global_job_parameters(parameters)
        module.build(environment, name=name, **_services(module, settings), **options)
        gateway.renumber_uids(environment)
        client = environment.execute_async(settings.named(name))
        return Job(str(client.get_job_id()), name, settings)


def _services(module: ModuleType, settings: Settings) -> dict[str, Any]:
    """Return the services that a job reaches, by the names of its options: Kafka, and for some Elasticsearch."""
    known = {"kafka": "Kafka", "elasticsearch": "Elasticsearch"}
    used = {option: getattr(module, kind) for option, kind in known.items() if hasattr(module, kind)}
    return {option: kind.from_environment(settings.environment()) for option, kind in used.items()}


def _make_room(name: str, parallelism: int, settings: Settings) -> None:
    ended = bool(cancel_orphans(settings=settings))
    topics.delete_orphans(settings=settings)
    for job in running(settings=settings):
        if job.name == name:
            job.cancel()
            ended = True
    slots.wait_free(settings, f"Job {name}", parallelism, ended=ended)


def _all_live(settings: Settings) -> list[Job]:
    return [Job(entry["jid"], entry["name"], settings) for entry in cluster.jobs(settings, live=True)]


def _is_ours(entry: Mapping[str, Any], settings: Settings) -> bool:
    name = str(entry["name"])
    return name.startswith(settings.named("")) if settings.namespace else "." not in name


def _short(name: str, settings: Settings) -> str:
    return name.removeprefix(settings.named(""))
