import json
import subprocess
import sys

import pytest

from infra.layout import CHECKOUT, SERVICES
from kernel_lib import topics
from kernel_lib.records import TOPICS
from kernel_lib.settings import Settings


def course(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.cli", *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_status_of_a_healthy_course_exits_with_0_and_names_every_service() -> None:
    done = course("status")
    assert done.returncode == 0, done.stdout
    assert all(name in done.stdout for name in SERVICES)


def test_status_as_json_is_a_list_of_services_with_state_address_reason_and_remedy() -> None:
    found = json.loads(course("status", "--json").stdout)
    assert [one["name"] for one in found] == list(SERVICES)
    for one in found:
        assert {"name", "state", "address", "reason", "remedy", "pid", "uptime_seconds"} <= set(one)
        assert one["state"] == "healthy" or one["reason"]


def test_topics_creates_the_topics_of_the_course_in_the_namespace(settings: Settings) -> None:
    done = course("topics")
    assert done.returncode == 0, done.stderr
    names = {topic.name for topic in TOPICS}
    assert set(topics.list_names()) == names
    assert all(name in done.stdout for name in names)


def test_produce_sends_what_it_was_told_and_counts_what_was_acknowledged(settings: Settings) -> None:
    topics.create("user-events")
    done = course("produce", "user-events", "--rate", "200", "--count", "100", "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert "100" in done.stdout
    assert len(topics.read("user-events", limit=1000)) == 100


def test_produce_into_a_topic_that_does_not_exist_says_what_to_do(settings: Settings) -> None:
    done = course("produce", "user-events", "--count", "1")
    assert done.returncode == 1
    assert "There is no topic" in done.stderr
    assert "Try: ./course topics" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("service", [[], ["kafka-1"], ["kafka-1", "supervisord"]])
def test_logs_shows_the_newest_lines(service: list[str]) -> None:
    done = course("logs", "-n", "5", *service)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 5
