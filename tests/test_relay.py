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
        relay.PASS.format(sink="passed", where=inspect.signature(relay.build).parameters["where"].default)
        .rstrip()
        .endswith("WHERE TRUE")
    )


def test_each_of_several_sinks_has_a_guarantee_of_its_own() -> None:
    assert relay.sinks("fast;exact-lane", "at-least-once;exactly-once") == [
        ("passed_fast", "fast", "at-least-once"),
        ("passed_exact_lane", "exact-lane", "exactly-once"),
    ]
    with pytest.raises(ValueError, match="shorter"):
        relay.sinks("fast;exact", "exactly-once")
