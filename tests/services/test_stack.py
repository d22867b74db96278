"""The life of a whole course, on ports and in a home of its own."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import elasticsearch_home, preflight, prepare, stack
from infra.layout import STARTED_SERVICES, Layout
from infra.processes import belongs_to_course
from kernel_lib import services, topics

pytestmark = pytest.mark.alone

OFFSETS = range(20_000, 23_000, 100)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    layouts = (Layout(tmp_path / "course", port_offset=offset) for offset in OFFSETS)
    where = next(where for where in layouts if not list(preflight.check_ports(where)))
    monkeypatch.setenv("COURSE_HOME", str(where.home))
    yield where
    stack.stop(where)
    stack.wipe(where)


def said(name: str, state: str, *, done: bool = False) -> None:
    """Show nothing; what counts is what the services answer."""


def start(where: Layout) -> dict[str, int]:
    """Do what `./course up` does; return the process of each service."""
    prepare.prepare(where)
    stack.start(where, said)
    return {status.name: status.pid for status in services.statuses() if status.healthy}


def processes(where: Layout) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if belongs_to_course(process.pid, where.home)]


def crash_most_of_it(where: Layout) -> None:
    """Kill supervisor first, so that it restarts nothing, and services with SIGKILL; two of them stay, as orphans."""
    supervisor = next(process for process in processes(where) if "supervisor.supervisord" in process.cmdline())
    supervisor.kill()
    *killed, _, _ = [process for process in processes(where) if process.pid != supervisor.pid]
    for process in killed:
        process.kill()
    psutil.wait_procs([supervisor, *killed], timeout=10)


# One test, because each start takes memory and most of a minute.
@pytest.mark.timeout(600)
def test_a_course_starts_twice_survives_a_crash_of_everything_and_leaves_nothing(course: Layout) -> None:
    pids = start(course)
    assert set(pids) == set(STARTED_SERVICES)
    topics.create("letters", partitions=1)
    topics.write("letters", b"written before the crash")

    assert start(course) == pids, "a second start changed what runs"

    crash_most_of_it(course)
    assert processes(course), "nothing was left over that the next start could stumble on"
    again = start(course)
    assert set(again) == set(STARTED_SERVICES)
    assert not set(again.values()) & set(pids.values())
    assert [record.value for record in topics.read("letters")] == [b"written before the crash"]

    stack.stop(course)
    assert processes(course) == []
    assert list(preflight.check_ports(course)) == []

    stack.wipe(course)
    assert not course.home.exists()
    assert not elasticsearch_home.locate(course).room.exists()
