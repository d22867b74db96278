import threading

import pytest

from kernel_lib import live
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.waiting import wait_until


class Handle:
    stopped = False

    def stop(self) -> None:
        self.stopped = True


def test_a_handle_of_the_same_name_stops_its_predecessor() -> None:
    first, second = Handle(), Handle()
    live.register("a tail", first)
    live.register("a tail", second)
    assert (first.stopped, second.stopped) == (True, False)
    live.stop_all()


def test_stop_all_stops_what_is_registered() -> None:
    handle = Handle()
    live.register("another tail", handle)
    live.stop_all()
    assert handle.stopped
    assert live.running() == []


def test_a_source_that_two_hold_is_stopped_when_neither_does() -> None:
    shared, own = Handle(), Handle()
    live.hold("first", shared, own)
    live.hold("second", shared)
    live.hold("first")
    assert (shared.stopped, own.stopped) == (False, True)
    live.hold("second", own)
    assert shared.stopped
    live.hold("second")


def test_what_a_poller_reads_is_closed_once_and_after_its_function_has_returned() -> None:
    release, closed = threading.Event(), threading.Event()
    poller = live.Poller(lambda: release.wait(10), every_seconds=0, close=closed.set)
    poller.poll()
    poller.stop()
    assert not closed.is_set()
    release.set()
    assert closed.wait(5)
    closed.clear()
    poller.stop()
    assert not closed.is_set()


def test_a_poller_that_was_never_asked_closes_at_once_what_it_would_have_read() -> None:
    closed = threading.Event()
    live.Poller(lambda: 1, close=closed.set).stop()
    assert closed.is_set()


def test_a_poller_hands_out_what_its_function_returned() -> None:
    poller = live.Poller(lambda: 42, every_seconds=0)
    assert wait_until(poller.poll, 5, "an answer") == 42


def test_polling_does_not_wait_for_a_slow_function() -> None:
    release = threading.Event()
    poller = live.Poller(lambda: release.wait(10), every_seconds=0)
    assert poller.poll() is None
    assert poller.poll() is None
    release.set()


def test_a_poller_that_fails_says_why_in_one_line_and_keeps_its_last_value() -> None:
    outcomes = iter([1])

    def read() -> int:
        for value in outcomes:
            return value
        raise ServiceUnavailable("Flink", "127.0.0.1:1", "connection refused")

    poller = live.Poller(read, every_seconds=0)
    wait_until(poller.poll, 5, "an answer")
    wait_until(lambda: poller.poll() and poller.problem, 5, "the failure")
    assert poller.poll() == 1
    assert "Flink at 127.0.0.1:1 does not answer. Cause: connection refused" in poller.problem


def test_a_poller_recovers() -> None:
    failures = iter([ValueError("not yet")])

    def read() -> str:
        for failure in failures:
            raise failure
        return "well"

    poller = live.Poller(read, every_seconds=0)
    assert wait_until(poller.poll, 5, "an answer") == "well"
    assert poller.problem == ""


def test_a_stopped_poller_asks_no_more() -> None:
    poller = live.Poller(lambda: 1, every_seconds=0)
    poller.stop()
    assert poller.poll() is None


class Job:
    name = "count_events"

    def __init__(self, state: str) -> None:
        self._state = state

    def state(self) -> str:
        return self._state


class Source:
    def __init__(self, alive: bool) -> None:
        self.alive = alive


@pytest.mark.parametrize(
    ("alive", "state", "reason"),
    [
        (True, "FAILED", "job count_events is FAILED"),
        (False, "RUNNING", "its producer has stopped, so no later event closes a window"),
        (True, "RUNNING", "no window closes"),
    ],
)
def test_the_reason_for_silence_is_the_job_or_what_feeds_it(alive: bool, state: str, reason: str) -> None:
    why = live.why_quiet(Source(alive), Job(state))
    wait_until(lambda: why() == reason, 5, reason)
