import threading
import time

import pytest

from kernel_lib import crashes, services
from kernel_lib.job import Failure


class Relay:
    """A job that has failed once its TaskManager is gone, and runs again at once."""

    name, settings = "relay", None

    def taskmanagers(self) -> list[str]:
        return ["flink-taskmanager-2"]

    def failures(self) -> list[Failure]:
        return [Failure(time.time(), "TaskManager with id flink-taskmanager-2 is no longer reachable.")]

    def wait_running(self) -> None:
        """It does."""


def test_one_goes_on_when_the_job_runs_again_and_ends_when_the_taskmanager_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    booted, killed = threading.Event(), []
    monkeypatch.setattr(services, "kill", lambda name, settings: killed.append(name))
    monkeypatch.setattr(services, "start", lambda name, settings: booted.wait(10))
    with crashes.killed_taskmanager(Relay()) as said:  # type: ignore[arg-type]
        assert killed == ["flink-taskmanager-2"]
        assert said.startswith("flink-taskmanager-2 was killed; relay ran again after 0.")
        assert not booted.is_set()
        threading.Timer(0.2, booted.set).start()
    assert booted.is_set()


def test_a_failure_before_the_kill_is_not_the_one_that_is_waited_for() -> None:
    assert crashes._noticed(Relay(), time.time() - 1)  # type: ignore[arg-type]
    assert not crashes._noticed(Relay(), time.time() + 60)  # type: ignore[arg-type]
