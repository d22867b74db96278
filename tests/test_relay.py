import inspect

import pytest

from flink_jobs import relay
from flink_jobs.connectors import LANES, Kafka


def test_the_guarantees_are_three() -> None:
    assert list(LANES) == ["exactly-once", "at-least-once", "none"]


def test_an_unknown_guarantee_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'twice', not one of exactly-once, at-least-once, none"):
        Kafka("b").sink("t", "metrics", "  `a` STRING", job="relay", key="a", guarantee="twice")


def test_by_default_every_record_is_passed() -> None:
    assert (
        relay.PASS.format(where=inspect.signature(relay.build).parameters["where"].default)
        .rstrip()
        .endswith("WHERE TRUE")
    )
