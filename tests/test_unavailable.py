"""What a call of a notebook says when a service is down: who, where, why, and what to do next."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from infra.layout import HOST
from kernel_lib import brokers, checkpoints, groups, indexer, indices, jobs, producer, services, topics
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.settings import Settings, load

PATIENCE_SECONDS = 12


@pytest.fixture
def settings(empty_home: object, unused_port: int) -> Settings:
    """Settings of a course of which every service is down."""
    address = f"{HOST}:{unused_port}"
    return load(
        kafka_bootstrap_servers=address,
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="course",
        sasl_password="correct-horse",
        flink_jobmanager_url=f"http://{address}",
        elasticsearch_url=f"http://{address}",
        course_services={"kafka-1": {"address": address, "supervisor": f"http://{address}"}},
    )


@contextmanager
def told(service: str, settings: Settings) -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable) as caught:
        yield
    assert time.monotonic() - started < PATIENCE_SECONDS
    error = caught.value
    assert error.service == service
    assert settings.kafka_bootstrap_servers in error.address
    assert "refused" in error.cause
    assert error.remedy.startswith("./course ")
    assert "correct-horse" not in str(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda settings: topics.list_names(settings=settings),
        lambda settings: topics.create_all(settings=settings),
        lambda settings: topics.describe("user-events", settings=settings),
        lambda settings: topics.read("user-events", settings=settings),
        lambda settings: topics.write("user-events", b"{}", settings=settings),
        lambda settings: groups.lag("group", "user-events", settings=settings),
        lambda settings: brokers.ClusterReader(["user-events"], settings=settings)(),
        lambda settings: brokers.needed_in_sync(["user-events"], settings=settings),
        lambda settings: producer.start("user-events", settings=settings),
        lambda settings: indexer.start("user-events", settings=settings),
    ],
    ids=[
        "list_names",
        "create_all",
        "describe",
        "read",
        "write",
        "lag",
        "brokers",
        "needed_in_sync",
        "producer",
        "indexer",
    ],
)
def test_kafka_down(settings: Settings, call: Callable[[Settings], object]) -> None:
    with told("Kafka", settings):
        call(settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda settings: jobs.running(settings=settings),
        lambda settings: jobs.find("count_events", settings=settings),
        lambda settings: jobs.submit("count_events", settings=settings),
        lambda settings: jobs.cancel_orphans(settings=settings),
        lambda settings: checkpoints.CheckpointReader(jobs.Job("1", "count_events", settings))(),
    ],
    ids=["running", "find", "submit", "cancel_orphans", "checkpoints"],
)
def test_flink_down(settings: Settings, call: Callable[[Settings], object]) -> None:
    with told("Flink", settings):
        call(settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda settings: indices.count("alerts", settings=settings),
        lambda settings: indices.search("alerts", settings=settings),
        lambda settings: indices.put("alerts", {}, settings=settings),
        lambda settings: indices.put_template("alerts", {}, settings=settings),
        lambda settings: indices.write("alerts", [("a", b"{}")], settings=settings),
        lambda settings: indices.delete("alerts", settings=settings),
        lambda settings: indices.list_names(settings=settings),
    ],
    ids=["count", "search", "put", "put_template", "write", "delete", "list_names"],
)
def test_elasticsearch_down(settings: Settings, call: Callable[[Settings], object]) -> None:
    with told("Elasticsearch", settings):
        call(settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda settings: services.statuses(settings=settings),
        lambda settings: services.start("kafka-1", settings=settings),
        lambda settings: services.kill("kafka-1", settings=settings),
    ],
    ids=["statuses", "start", "kill"],
)
def test_supervisor_down(settings: Settings, call: Callable[[Settings], object]) -> None:
    with told("supervisor", settings):
        call(settings)
