import pytest

from flink_jobs.filter_events import PARAMETERS, passes
from flink_jobs.parameters import Parameters

EVENT = {"eventType": "search", "duration": 2.5}


@pytest.mark.parametrize(
    ("in_force", "passed"),
    [
        (PARAMETERS, True),
        ({"minimum_duration": 2.5, "event_type": ""}, True),
        ({"minimum_duration": 2.6, "event_type": ""}, False),
        ({"minimum_duration": 0.0, "event_type": "search"}, True),
        ({"minimum_duration": 0.0, "event_type": "purchase"}, False),
    ],
)
def test_an_event_passes_if_it_is_long_enough_and_of_the_wanted_type(in_force: Parameters, passed: bool) -> None:
    assert passes(EVENT, in_force) is passed
