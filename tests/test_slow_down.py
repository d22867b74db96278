import pytest

from flink_jobs.parameters import Parameters
from flink_jobs.slow_down import PARAMETERS, delay_seconds


@pytest.mark.parametrize(
    ("in_force", "seconds"),
    [
        (PARAMETERS, 0),
        ({"delay_ms": 20.0, "slow_user": ""}, 0.02),
        ({"delay_ms": 20.0, "slow_user": "user-1"}, 0.02),
        ({"delay_ms": 20.0, "slow_user": "user-2"}, 0),
        ({"delay_ms": -1.0, "slow_user": ""}, 0),
    ],
)
def test_an_event_waits_if_its_user_is_a_slow_one(in_force: Parameters, seconds: float) -> None:
    assert delay_seconds("user-1", in_force) == seconds
