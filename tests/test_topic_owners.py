from pathlib import Path

import pytest

from kernel_lib import topic_owners
from kernel_lib.owners import Owner
from kernel_lib.settings import Settings


@pytest.fixture
def settings(empty_home: Path) -> Settings:
    return at("127.0.0.1:9092")


def at(bootstrap_servers: str) -> Settings:
    return Settings(
        kafka_bootstrap_servers=bootstrap_servers, flink_jobmanager_url="http://f", elasticsearch_url="http://e"
    )


def test_a_note_says_whose_a_topic_is_until_it_is_forgotten(settings: Settings) -> None:
    mine, other = Owner.this_process(lesson="05_first_job"), Owner("kernel", "elsewhere", 1, "0")
    assert not topic_owners.any_noted()
    topic_owners.note("ann.my-events", mine, settings)
    topic_owners.note("results", other, settings)
    assert topic_owners.owned(settings) == {"ann.my-events": mine, "results": other}
    topic_owners.forget(["ann.my-events", "never-noted"])
    assert list(topic_owners.owned(settings)) == ["results"]
    assert topic_owners.any_noted()


def test_a_topic_of_the_same_name_on_another_cluster_is_nobody_s(settings: Settings) -> None:
    """Fails when a note made here has somebody's topic deleted on a cluster that the settings name later."""
    topic_owners.note("my-events", Owner.this_process(), settings)
    assert topic_owners.owned(at("managed.example:9092")) == {}


def test_a_note_that_cannot_be_read_is_none(settings: Settings, empty_home: Path) -> None:
    """Fails when it makes the topic an orphan, which would be deleted, or raises."""
    topic_owners.note("good", Owner.this_process(), settings)
    for name, text in {"empty": "", "torn": '{"cluster": "ker', "other": "[1]", "stranger": '{"cluster": 1}'}.items():
        (empty_home / "data" / "topic-owners" / f"{name}.json").write_text(text)
    assert list(topic_owners.owned(settings)) == ["good"]
