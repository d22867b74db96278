"""Start all services of a course, wait until they are healthy, and stop them.

    >>> with steps.several(stack.STARTED) as show:
    ...     stack.start(layout, show)
    >>> stack.stop(layout)

What one process started, another may stop: everything is found through supervisor or, when supervisor
itself was killed, through a variable that every process of the course carries.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress

import psutil

from infra import elasticsearch_home, provision
from infra.credentials import credentials
from infra.layout import STARTED_SERVICES, Layout
from infra.processes import MARKER, belongs_to_course
from infra.steps import Show
from kernel_lib import services, topics
from kernel_lib.errors import CourseError, ServiceUnavailable, WaitTimeout
from kernel_lib.waiting import wait_until

TOPICS = "topics"
STARTED = (*STARTED_SERVICES, TOPICS)
"""What a start brings up: the services, and the topics in Kafka."""

STOP_TIMEOUT_SECONDS = 60
"""Flink and Kafka save their state while they stop."""


def start(where: Layout, show: Show) -> None:
    """Start supervisor with all services, side by side, and the topics as soon as there are brokers.

    Returns when each is healthy; `show` is told so of each. Raises what the first that is not raises.
    """
    if not supervisor_answers(where):
        end_leftovers(where)
        _start_supervisor(where)
    with ThreadPoolExecutor(len(STARTED)) as side_by_side:
        under_way = [side_by_side.submit(_start, name, where, show) for name in STARTED]
        for one in as_completed(under_way):
            one.result()


def _start(name: str, where: Layout, show: Show) -> None:
    if name == TOPICS:
        provision.kafka(where, credentials(where.home))
        topics.create_all()
        show(name, "ready", done=True)
    else:
        services.start(name, timeout_seconds=provision.START_TIMEOUT_SECONDS)
        show(name, "healthy", done=True)


def stop(where: Layout) -> None:
    """Stop all services and supervisor; return when no process of this course is left."""
    if supervisor_answers(where):
        _supervisor(where).supervisor.shutdown()
        with suppress(WaitTimeout):  # what does not end by itself is killed below
            wait_until(lambda: not processes(where), STOP_TIMEOUT_SECONDS, "the services to stop")
    end_leftovers(where)


def wipe(where: Layout) -> None:
    """Delete all files of a stopped course."""
    room = elasticsearch_home.locate(where).room
    shutil.rmtree(room, ignore_errors=True)
    shutil.rmtree(where.home, ignore_errors=True)


def supervisor_answers(where: Layout) -> bool:
    """Tell whether the supervisor of this very course answers (its password says that it is this one)."""
    if not (where.home / "passwords.env").exists():
        return False
    try:
        _supervisor(where).supervisor.getState()
    except (OSError, xmlrpc.client.ProtocolError, xmlrpc.client.Fault):
        return False
    return True


def end_leftovers(where: Layout) -> int:
    """Kill what an earlier supervisor of this course left running when it was killed; return how many."""
    left = processes(where)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=STOP_TIMEOUT_SECONDS)
    return len(left)


def processes(where: Layout) -> list[psutil.Process]:
    """Return every process of a course: supervisor, services and their children."""
    return [process for process in psutil.process_iter() if belongs_to_course(process.pid, where.home)]


def _supervisor(where: Layout) -> xmlrpc.client.ServerProxy:
    password = credentials(where.home).supervisor_password
    return xmlrpc.client.ServerProxy(f"http://course:{password}@{where.address('supervisor')}/RPC2")


def _start_supervisor(where: Layout) -> None:
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(where.conf / "supervisord.conf")]
    environment = {**os.environ, MARKER: str(where.home)}
    _raise_open_files_limit()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CourseError(
            "supervisor, which runs the services, did not start.",
            cause=(done.stderr or done.stdout).strip(),
            remedy=f"read {where.logs}/supervisord.log, then ./course up",
        )
    try:
        wait_until(lambda: supervisor_answers(where), 20, "supervisor to answer")
    except CourseError as error:
        raise ServiceUnavailable(
            "supervisor", where.address("supervisor"), str(error), f"read {where.logs}/supervisord.log"
        ) from error


def _raise_open_files_limit() -> None:
    """Let the services inherit as many open files as we may have; Kafka and Elasticsearch hold thousands."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
