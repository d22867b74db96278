import pytest

from flink_jobs.join_streams import SOURCE, later, topics_of


def test_a_bound_may_lie_before_the_purchase() -> None:
    assert later("t", 5) == "t + INTERVAL '0 00:00:05.000' DAY TO SECOND"
    assert later("t", -0.25) == "t - INTERVAL '0 00:00:00.250' DAY TO SECOND"


def test_the_source_is_two_topics() -> None:
    assert topics_of(SOURCE) == ("user-events", "transactions")
    with pytest.raises(ValueError, match="and not two topics"):
        topics_of("user-events")
