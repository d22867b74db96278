import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

import flink_jobs
from kernel_lib import cluster, jobs, slots, task_metrics, topics
from kernel_lib.errors import JobFailed, NoFreeSlots, NotFound, ServiceUnavailable
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

Event = dict[str, Any]

# A module beside the learner's notebook.
LEARNERS_MODULE = """
import os

FACTOR = 3

def triple(number):
    return number * FACTOR

def where(event):
    return {"process": os.getpid(), "tripled": triple(event["value"])}
"""

# A learner's kernel, as its own process: submits a function from __main__ and then waits to be killed.
KERNEL = """
import os, sys
from kernel_lib import gateway, jobs

FACTOR = 7

def helper(number):
    return number * FACTOR

def enrich(event):
    return {"value": helper(event["value"]), "process": os.getpid()}

job = jobs.submit(enrich, sink="results", source="events", owner=sys.argv[1]).wait_running()
print(job.id, gateway._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def two_topics(settings: Settings) -> None:
    topics.create("events", partitions=2, settings=settings)
    topics.create("results", partitions=2, settings=settings)


@pytest.fixture
def learners_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that the cluster cannot import."""
    (tmp_path / "learners_module.py").write_text(LEARNERS_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("learners_module")
    del sys.modules["learners_module"]


@pytest.fixture
def kernel() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(owner: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", KERNEL, owner]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def job_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files count as jobs of the package."""
    flink_jobs.__path__.append(str(tmp_path))
    yield tmp_path
    flink_jobs.__path__.remove(str(tmp_path))


def send(settings: Settings, *events: Event | bytes) -> None:
    values = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    topics.write("events", *values, key=b"key", settings=settings)


def results(settings: Settings) -> list[Event]:
    return [record.json() for record in topics.read("results", settings=settings)]


def submit(function: Callable[[Event], Event | None], settings: Settings, **options: Any) -> jobs.Job:
    job = jobs.submit(function, source="events", sink="results", settings=settings, **options)
    return job.wait_running()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def identity(event: Event) -> Event:
    return event


def broken(event: Event) -> Event:
    return {"page": event["pgae"]}


@pytest.mark.usefixtures("two_topics")
@pytest.mark.parametrize("python_mode", ["thread", "process"])
def test_a_function_with_its_helper_and_a_global_runs_on_the_cluster(
    settings: Settings, learners_module: ModuleType, python_mode: str
) -> None:
    """Fails when the function's module is not sent along: the cluster does not know it."""
    job = submit(learners_module.where, settings, python_mode=python_mode)
    send(settings, {"eventId": "r-1", "value": 5})
    job.drain()
    [result] = results(settings)
    assert result["tripled"] == 15
    assert result["process"] != os.getpid()
    assert result["process"] not in [child.pid for child in psutil.Process().children(recursive=True)]


@pytest.mark.usefixtures("two_topics")
def test_results_keep_their_event_id_and_key_and_poison_is_skipped(settings: Settings) -> None:
    """Fails when the result loses the eventId or the key, or a list is taken for an event."""

    def odd_only(event: Event) -> Event | None:
        return {"odd": True} if event["value"] % 2 else None

    job = submit(odd_only, settings)
    send(settings, b"garbage", *({"eventId": f"r-{n}", "value": n} for n in range(4)), b"[1]", b"\xff", b"", b"null")
    job.drain()
    assert job.state() == "FINISHED"
    assert sorted(result["eventId"] for result in results(settings)) == ["r-1", "r-3"]
    assert {record.key for record in topics.read("results", settings=settings)} == {b"key"}


@pytest.mark.usefixtures("two_topics")
def test_submitting_again_replaces_the_job_and_runs_the_new_code(settings: Settings) -> None:
    """Fails when the live job of the same name is not cancelled."""

    def version_one(event: Event) -> Event:
        return {"version": 1}

    def version_two(event: Event) -> Event:
        return {"version": 2}

    first = submit(version_one, settings, name="mine")
    send(settings, {"eventId": "r-1"})
    wait_until(lambda: results(settings), 20, "the first result")
    second = submit(version_two, settings, name="mine")
    send(settings, {"eventId": "r-2"})
    second.drain()
    assert first.state() == "CANCELED"
    assert [(result["eventId"], result["version"]) for result in results(settings)] == [("r-1", 1), ("r-2", 2)]


@pytest.mark.usefixtures("two_topics")
def test_an_edited_job_file_runs_as_it_is_now(settings: Settings, job_folder: Path) -> None:
    """Fails when the job's module is imported and not reloaded."""
    source = """
from flink_jobs import map_events
from flink_jobs.connectors import Kafka, Start, Topic

def build(env, kafka, *, name, source: "Topic" = "events", sink: "Topic" = "results", start: "Start" = "earliest"):
    map_events.build(env, kafka, function=answer, name=name, source=source, sink=sink, start=start)

def answer(event):
    return {"answer": ANSWER}
"""
    for answer in (41, 42):
        (job_folder / "give_answer.py").write_text(f"{source}\nANSWER = {answer}\n")
        job = jobs.submit("give_answer", settings=settings).wait_running()
        send(settings, {"eventId": f"r-{answer}"})
        job.drain()
    assert [result["answer"] for result in results(settings)] == [41, 42]


@pytest.mark.usefixtures("two_topics")
@pytest.mark.parametrize("python_mode", ["thread", "process"])
def test_a_broken_function_ends_the_job_with_its_root_cause(settings: Settings, python_mode: str) -> None:
    """Fails when the error of the function is passed on without its name, place and event."""
    job = submit(broken, settings, restart_attempts=1, python_mode=python_mode)
    send(settings, {"eventId": "r-1", "page": "/home"})
    wait_until(lambda: job.state() == "FAILED", 60, "the job to fail")
    said = job.failure()
    assert said.startswith("broken raised KeyError: 'pgae', at line ")
    assert '`return {"page": event["pgae"]}`' in said
    assert '"eventId": "r-1"' in said
    assert "\n" not in said
    with pytest.raises(JobFailed, match="broken ended as FAILED") as failure:
        job.wait_running()
    assert failure.value.cause == said


@pytest.mark.usefixtures("two_topics")
def test_a_function_that_holds_on_to_this_process_is_refused(settings: Settings) -> None:
    """Fails when the function is not pickled before the job is made."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", ""], stdin=pipe) as process:

        def tied(event: Event) -> Event:
            return {"pid": process.pid}

        with pytest.raises(JobFailed, match="cannot be sent to the cluster"):
            submit(tied, settings)


@pytest.mark.usefixtures("two_topics")
def test_an_unknown_topic_is_refused_before_the_job_starts(settings: Settings) -> None:
    """Fails when the topics are not looked up."""
    with pytest.raises(NotFound, match="no topic"):
        jobs.submit(identity, source="events", sink="reslts", settings=settings)
    assert jobs.running(settings=settings) == []


@pytest.mark.alone  # it takes all slots
@pytest.mark.usefixtures("two_topics")
def test_slots_that_a_job_has_just_given_up_are_waited_for(settings: Settings) -> None:
    """Fails when the next job is refused before Flink has them back, about a second later."""
    first = submit(identity, settings, name="first", parallelism=1)
    all_others = slots.free(settings)
    first.rescale(2)
    first.rescale(1)
    assert slots.free(settings) < all_others
    jobs.submit(identity, source="events", sink="results", parallelism=all_others, settings=settings).wait_running()


@pytest.mark.usefixtures("two_topics")
def test_a_job_that_asks_for_too_many_slots_is_told_who_holds_them(settings: Settings) -> None:
    """Fails when the refusal does not name the job, its lesson and its process."""
    submit(identity, settings, name="holder", lesson="05_first_job")
    with pytest.raises(NoFreeSlots, match="needs 100 free slots") as refusal:
        submit(identity, settings, name="greedy", parallelism=100)
    assert f"{settings.named('holder')} (1) of 05_first_job (pid {os.getpid()})" in refusal.value.cause


@pytest.mark.alone
@pytest.mark.usefixtures("two_topics")
def test_a_killed_kernel_takes_its_gateway_along_and_its_job_is_cancelled(
    settings: Settings, kernel: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Fails when no owner is taken for gone."""
    process = kernel("kernel")
    job_id, gateway_pid = first_line(process).split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not psutil.pid_exists(int(gateway_pid)), 15, "the gateway to end")
    assert settings.named("enrich") in jobs.cancel_orphans(settings=settings)
    assert jobs.Job(job_id, "enrich", settings).state() == "CANCELED"


@pytest.mark.usefixtures("two_topics")
def test_a_job_of_the_course_outlives_who_submitted_it(
    settings: Settings, kernel: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Fails when every job belongs to the kernel that submitted it."""
    process = kernel("course")
    job_id, _ = first_line(process).split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert settings.named("enrich") not in jobs.cancel_orphans(settings=settings)
    assert jobs.find("enrich", settings=settings) == jobs.Job(job_id, "enrich", settings)


@pytest.mark.usefixtures("two_topics")
def test_a_function_of_main_runs_and_nothing_but_its_own_words_is_printed(
    settings: Settings, kernel: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Fails when the submit prints what it did."""
    process = kernel("kernel")
    first_line(process)
    send(settings, {"eventId": "r-1", "value": 6})
    [result] = wait_until(lambda: results(settings), 20, "the result")
    assert result["value"] == 42
    assert result["process"] != process.pid
    rest, _ = process.communicate("")
    assert rest == ""


@pytest.mark.usefixtures("two_topics")
def test_the_password_is_in_nothing_that_flink_shows_nor_on_a_command_line(settings: Settings) -> None:
    job = submit(identity, settings)
    password = settings.sasl_password.get_secret_value()
    paths = (f"/jobs/{job.id}", f"/jobs/{job.id}/config", f"/jobs/{job.id}/plan", "/jobs/overview")
    shown = [json.dumps(cluster.get(settings, path)) for path in paths]
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert password
    assert not [text for text in shown + lines if password in text]


@pytest.mark.usefixtures("two_topics")
def test_a_job_shows_its_tasks_their_edges_and_what_they_counted(settings: Settings) -> None:
    """Fails when an edge points against the flow of the data."""
    job = submit(identity, settings)
    send(settings, *({"eventId": f"r-{n}"} for n in range(10)))
    graph = job.graph()
    [function] = [vertex for vertex in graph.vertices if vertex.name == "identity"]
    assert (function.parallelism, function.status) == (1, "RUNNING")
    assert {end for edge in graph.edges for end in edge} == {vertex.id for vertex in graph.vertices}
    [first] = [vertex for vertex in graph.vertices if vertex.id not in {end for _, end in graph.edges}]
    assert first.name.startswith("Source: ")
    read = task_metrics.Reader(job)
    wait_until(lambda: read().counted[function.id] == (10, 10), 20, "ten events to be counted")


@pytest.mark.usefixtures("two_topics")
def test_a_job_begins_with_what_is_sent_after_the_submit_unless_told(settings: Settings) -> None:
    """Fails when "now" is the beginning of the topic, or every other start is "now"."""
    send(settings, {"eventId": "before"})
    submit(identity, settings, name="now").drain()
    assert results(settings) == []
    submit(identity, settings, name="all", start="earliest").drain()
    assert [result["eventId"] for result in results(settings)] == ["before"]


def test_an_unknown_job_is_not_found_and_the_live_ones_are_named(settings: Settings) -> None:
    """Fails when the live jobs are not named."""
    with pytest.raises(NotFound, match="no job 'nope'") as refusal:
        jobs.find("nope", settings=settings)
    assert refusal.value.cause == "live jobs: none"


def test_a_cluster_that_is_down_is_named_within_seconds(settings: Settings, unused_port: int) -> None:
    """Fails when Kafka is asked first: the topic is then what is missing."""
    elsewhere = load(flink_jobmanager_url=f"http://127.0.0.1:{unused_port}")
    with pytest.raises(ServiceUnavailable, match="Flink at"):
        submit(identity, elsewhere)
