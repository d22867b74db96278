from pathlib import Path

import pytest

from kernel_lib import jobs
from kernel_lib.errors import ConfigurationError, NotFound, ServiceUnavailable
from kernel_lib.settings import Settings, load


@pytest.fixture
def nowhere(empty_home: Path, unused_port: int) -> Settings:
    """Settings of a course where nothing answers."""
    address = f"127.0.0.1:{unused_port}"
    return load(kafka_bootstrap_servers=address, flink_jobmanager_url=f"http://{address}", elasticsearch_url="http://e")


def test_the_jobs_that_can_be_named_are_the_files_of_the_package() -> None:
    assert "count_events" in jobs.names()
    assert not {"connectors", "map_events"} & set(jobs.names())


def test_an_unknown_job_is_refused_with_the_names_there_are(nowhere: Settings) -> None:
    with pytest.raises(NotFound, match="no job 'count_event'") as refusal:
        jobs.submit("count_event", settings=nowhere)
    assert "count_events" in refusal.value.cause


@pytest.mark.parametrize("ask", [jobs.running, jobs.cancel_orphans])
def test_a_cluster_that_is_down_is_named(ask: object, nowhere: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match="Flink at"):
        ask(settings=nowhere)  # type: ignore[operator]


def test_a_submit_says_at_once_that_flink_is_down(nowhere: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match="Flink at"):
        jobs.submit("count_events", settings=nowhere)


def test_the_gateway_is_refused_without_the_connector(nowhere: Settings) -> None:
    with pytest.raises(ConfigurationError, match="Kafka connector"):
        jobs.warm_up(settings=nowhere)
