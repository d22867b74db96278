import itertools
import math
import time

import pytest

from kernel_lib.errors import ConfigurationError, CourseError, OutOfTime, WaitTimeout
from kernel_lib.waiting import PATIENCE, at_most, wait_until


@pytest.fixture(autouse=True)
def usual_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATIENCE, raising=False)


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


def test_all_waits_of_a_call_have_one_time_together() -> None:
    started = time.monotonic()
    with at_most(0.2):
        with pytest.raises(WaitTimeout):
            wait_until(lambda: False, 0.1, "the sun", interval_seconds=0.01)
        with pytest.raises(OutOfTime, match=r"The time was up while waiting for the moon\.\nCause: last seen: False"):
            wait_until(lambda: False, 60, "the moon", interval_seconds=0.01)
    assert 0.2 <= time.monotonic() - started < 1


def test_of_two_times_together_the_shorter_counts() -> None:
    with at_most(0.05), at_most(60), pytest.raises(OutOfTime):
        wait_until(lambda: False, 60, "the moon", interval_seconds=0.01)


def test_afterwards_a_wait_has_its_own_time_again() -> None:
    with at_most(0):
        pass
    values = iter([False, True])
    assert wait_until(lambda: next(values), 5, "a value", interval_seconds=0.001)


def test_a_slower_machine_gets_more_time_and_is_told_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, "2.5")
    started = time.monotonic()
    with pytest.raises(WaitTimeout, match=r"Waited 0\.25 s"):
        wait_until(lambda: False, 0.1, "the moon", interval_seconds=0.01)
    with at_most(0.1), pytest.raises(OutOfTime):
        wait_until(lambda: False, 60, "the moon", interval_seconds=0.01)
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize("said", ["much", "0", "-1", "inf", "nan"])
def test_a_patience_that_is_no_factor_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, said)
    with pytest.raises(ConfigurationError, match="COURSE_PATIENCE cannot be"):
        wait_until(lambda: True, 1, "nothing")
