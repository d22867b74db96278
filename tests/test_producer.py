import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_lib import producer
from kernel_lib.errors import ConfigurationError
from kernel_lib.runs import Identity, Run
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until


@pytest.fixture
def settings(empty_home: Path) -> Settings:
    return load(kafka_bootstrap_servers="k:1", flink_jobmanager_url="http://f", elasticsearch_url="http://e")


@pytest.fixture
def other(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like the producer of another notebook: its run's folder is on its command line."""
    run = Run.create("r1")
    with subprocess.Popen([sys.executable, "-c", "input()", str(run.folder)], stdin=subprocess.PIPE) as process:
        run.write_identity(Identity("r1", "user-events", "", 1, 0, pid=process.pid, partitions=6))
        wait_until(lambda: run.alive, 10, "its command line, which is empty while it begins")
        yield process
        process.kill()


def test_a_notebook_that_was_left_open_is_named(settings: Settings, other: subprocess.Popen[bytes]) -> None:
    with pytest.raises(ConfigurationError, match=f"its producer is process {other.pid}"):
        producer.alone("user-events", settings=settings, within_seconds=0)


def test_who_sends_elsewhere_disturbs_nobody(settings: Settings, other: subprocess.Popen[bytes]) -> None:
    producer.alone("transactions", settings=settings, within_seconds=0)
    elsewhere = settings.model_copy(update={"namespace": "mine"})
    producer.alone("user-events", settings=elsewhere, within_seconds=0)


def test_a_producer_whose_notebook_has_ended_is_waited_for(settings: Settings, other: subprocess.Popen[bytes]) -> None:
    assert other.stdin
    other.stdin.close()
    producer.alone("user-events", settings=settings, within_seconds=10)
