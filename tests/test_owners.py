import os
import socket
import subprocess
import sys

import pytest

from kernel_lib.owners import Owner


@pytest.fixture
def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_living_process_is_not_gone() -> None:
    owner = Owner.this_process()
    assert owner.pid == os.getpid()
    assert not owner.is_gone()


def test_a_process_that_ended_is_gone(ended_process: int) -> None:
    assert Owner("kernel", socket.gethostname(), ended_process, "1.00").is_gone()


def test_another_process_with_the_same_pid_is_not_the_owner() -> None:
    assert Owner("kernel", socket.gethostname(), os.getpid(), "1.00").is_gone()


def test_of_another_host_nothing_is_known(ended_process: int) -> None:
    assert not Owner("kernel", "elsewhere", ended_process, "1.00").is_gone()


def test_the_course_is_never_gone(ended_process: int) -> None:
    assert not Owner("course", socket.gethostname(), ended_process, "1.00").is_gone()


def test_an_owner_is_read_back_from_a_job_s_parameters() -> None:
    owner = Owner.this_process(lesson="05_first_job")
    assert Owner.from_parameters(owner.parameters()) == owner


def test_a_job_of_another_tool_has_no_owner() -> None:
    assert Owner.from_parameters({}) is None


def test_the_lesson_is_the_notebook_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/lessons/05_first_job.ipynb")
    assert Owner.this_process().lesson == "05_first_job"
