import itertools
import math
import time

import pytest

from kernel_lib.errors import CourseError, WaitTimeout
from kernel_lib.waiting import wait_until


def test_the_true_value_is_returned() -> None:
    values = iter([None, 0, "ready"])
    assert wait_until(lambda: next(values), 5, "a value", interval_seconds=0.001) == "ready"


def test_what_is_true_at_once_is_not_waited_for() -> None:
    started = time.monotonic()
    assert wait_until(lambda: True, 5, "nothing", interval_seconds=5)
    assert time.monotonic() - started < 1


def test_no_budget_still_means_one_look() -> None:
    assert wait_until(lambda: "seen", 0, "one look") == "seen"


def test_a_timeout_names_what_was_waited_for_how_long_the_last_value_and_the_remedy() -> None:
    numbers = itertools.count()
    with pytest.raises(WaitTimeout) as caught:
        wait_until(lambda: next(numbers) < 0, 0.05, "the moon", interval_seconds=0.01, remedy="./course status")
    assert str(caught.value) == "Waited 0.05 s for the moon.\nCause: last seen: False\nTry: ./course status"


def test_a_timeout_comes_soon_after_its_budget() -> None:
    started = time.monotonic()
    with pytest.raises(WaitTimeout):
        wait_until(lambda: False, 0.2, "the moon", interval_seconds=0.01)
    assert 0.2 <= time.monotonic() - started < 1


def test_an_error_of_the_check_passes_through() -> None:
    def check() -> bool:
        raise CourseError("The check itself failed.")

    with pytest.raises(CourseError, match="itself"):
        wait_until(check, 5, "never")


def test_waiting_for_ever_is_possible() -> None:
    values = iter([False, False, True])
    assert wait_until(lambda: next(values), math.inf, "a value", interval_seconds=0.001)
