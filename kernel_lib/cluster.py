"""Own Flink's REST interface: one request, its errors in words, and what a stack trace is about.

>>> cluster.get(settings, "/overview")["slots-available"]
8
"""

from __future__ import annotations

import linecache
import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import httpx

from kernel_lib.errors import CourseError, JobFailed, NotFound, ServiceUnavailable
from kernel_lib.settings import Settings

ANSWER_SECONDS = 9.0
REMEDY = "./course status"
LIVE_STATES = {"INITIALIZING", "CREATED", "RUNNING", "FAILING", "CANCELLING", "RESTARTING", "SUSPENDED", "RECONCILING"}
# PyFlink's thread mode starts an interpreter once in the life of a TaskManager, whatever became of it.
_NO_INTERPRETER = "pemja.core.PythonInterpreter$MainInterpreter.initialize"
NO_PYTHON = "a TaskManager was interrupted while it started Python, and tries no more: kill it and start it again"
"""The cause of a failure that is no job's own."""
# map_events writes this line about the learner's own function.
_BLAMED = re.compile(r"FunctionFailed(?:'>)?: (.+)")
_PLACE = re.compile(r'File "([^"]+)", line (\d+), in ([^\s,]+)')
_PYTHON_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Warning|Exit)\b.*)$")
# After a bare colon py4j gives the error that a call into Java raised.
_CAUSED_BY = re.compile(r"^(?:Caused by: |: )?((?:[\w$]+\.)+[\w$]+)(?:: (.*))?$")
_LIBRARY = ("/site-packages/", "/lib/python3", "<frozen")


def state_words(state: str) -> str:
    """Return the state of a job in words: one that is CREATED has no slots yet, or has lost them."""
    return f"{state}: it waits for slots" if state == "CREATED" else state


def in_metrics(name: str) -> str:
    """Return a name as Flink writes it into those of metrics."""
    return re.sub(r"[^\w-]", "_", name)


def get(settings: Settings, path: str, **query: str) -> Any:
    """Return the JSON that GET `path` answers; raises NotFound and ServiceUnavailable."""
    return call(settings, "GET", path + (f"?{urlencode(query)}" if query else ""))


def call(settings: Settings, method: str, path: str, body: Any = None) -> Any:
    """Send one request and return its JSON, or None if the answer is empty.

    Raises ServiceUnavailable if Flink does not answer or has no leader, NotFound for an unknown job, and
    JobFailed with Flink's own words for any other refusal.
    """
    url = settings.flink_jobmanager_url
    try:
        response = client(url).request(method, path, json=body)
    except httpx.TransportError as error:
        raise ServiceUnavailable("Flink", url, str(error) or type(error).__name__, REMEDY) from error
    if response.is_success:
        return response.json() if response.content else None
    raise _refusal(url, path, response)


def jobs(settings: Settings, *, live: bool = False) -> list[dict[str, Any]]:
    """Return what Flink says of each job, of any namespace; with `live` only of those that have not ended."""
    entries = get(settings, "/jobs/overview")["jobs"]
    return [entry for entry in entries if not live or entry["state"] in LIVE_STATES]


def parameters(settings: Settings, job_id: str) -> dict[str, str]:
    """Return a job's global parameters; empty until it is scheduled."""
    answer = get(settings, f"/jobs/{job_id}/config")
    return dict(answer.get("execution-config", {}).get("user-config", {}))


@lru_cache(maxsize=8)
def client(url: str) -> httpx.Client:
    """Return the client of a JobManager's address: kept, because pictures ask several times a second."""
    # A proxy is never between us and the cluster.
    return httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False)


def _refusal(url: str, path: str, response: httpx.Response) -> CourseError:
    said = _words(response)
    if response.status_code == 503:
        return ServiceUnavailable("Flink", url, said, "wait some seconds: a JobManager is taking over")
    if response.status_code == 404:
        return NotFound(f"Flink knows no {path.lstrip('/')}.", cause=said, remedy="jobs.running() lists the live jobs")
    return JobFailed(f"Flink refused {path} ({response.status_code}).", cause=said, remedy=REMEDY)


def _words(response: httpx.Response) -> str:
    if "json" not in response.headers.get("content-type", ""):
        return response.text[:200]
    return root_cause("\n".join(response.json().get("errors", [])))


def root_cause(stack_trace: str) -> str:
    """Return in one line what a Java stack trace, perhaps with a Python traceback in it, is about.

    The learner's function comes first, then the last Python error, then the last "Caused by".

    >>> root_cause("java.lang.RuntimeException: outer\\nCaused by: java.io.IOException: disk full")
    'IOException: disk full'
    """
    if _NO_INTERPRETER in stack_trace:
        return NO_PYTHON
    blamed = _BLAMED.search(stack_trace)
    if blamed:
        return _with_source(blamed.group(1).strip())
    return _python_cause(stack_trace) or _java_cause(stack_trace)


def _python_cause(stack_trace: str) -> str:
    _, traceback, tail = stack_trace.rpartition("Traceback (most recent call last):")
    if not traceback:
        return ""
    said = next((found.group(1) for line in tail.splitlines() if (found := _PYTHON_ERROR.match(line))), "")
    places = [place for place in _PLACE.finditer(tail) if not any(part in place.group(1) for part in _LIBRARY)]
    return _with_source(f"{said}, at {places[-1].group(0)}") if said and places else said


def _java_cause(stack_trace: str) -> str:
    causes = [found for line in stack_trace.splitlines() if (found := _CAUSED_BY.match(line.strip()))]
    if not causes:
        return stack_trace.strip().splitlines()[0] if stack_trace.strip() else ""
    name, said = causes[-1].groups()
    return f"{name.rpartition('.')[2]}: {said}" if said else name.rpartition(".")[2]


def _with_source(sentence: str) -> str:
    """Add the line of code to the place that `sentence` names, if this process knows it."""
    place = _PLACE.search(sentence)
    if not place:
        return sentence
    # A cell's file name means nothing to a learner; IPython keeps its text under that name.
    line = linecache.getline(place.group(1), int(place.group(2))).strip()
    words = f"line {place.group(2)} of {place.group(3)}" + (f": `{line}`" if line else "")
    return sentence.replace(place.group(0), words)


def ended_sources(answer: dict[str, Any]) -> int | None:
    """Return how many sources of a job have finished, by Flink's account; None while a task after them has not."""
    inputs = {node["id"]: {each["id"] for each in node.get("inputs", ())} for node in answer["plan"]["nodes"]}
    ended = {vertex["id"] for vertex in answer["vertices"] if vertex["status"] == "FINISHED"}
    if any(fed and fed <= ended and task not in ended for task, fed in inputs.items()):
        return None
    return sum(not inputs[task] for task in ended)
