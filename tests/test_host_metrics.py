import psutil

from kernel_lib.host_metrics import HostMetrics
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.records import SystemMetric

LOG = KnobLog([Knobs(0, 1_790_000_000_000, 10)])


def emitted(first: int, count: int) -> list[SystemMetric]:
    events = HostMetrics().emit(first, count, LOG, run="r", sent_at=3).events
    return [event for event in events if isinstance(event, SystemMetric)]


def test_figures_take_turns_by_index() -> None:
    assert [event.metric for event in emitted(3, 4)] == ["load", "processes", "cpu", "memory"]


def test_values_are_those_of_this_host() -> None:
    values = {event.metric: event.value for event in emitted(0, 5)}
    assert abs(values["memory"] - psutil.virtual_memory().percent) < 20
    assert abs(values["disk"] - psutil.disk_usage("/").percent) < 5
    assert values["processes"] > 0


def test_an_event_says_when_and_where_it_was_measured() -> None:
    event = emitted(1, 1)[0]
    assert (event.eventId, event.timestamp, event.unit, event.sentAt) == (
        "r-1",
        "2026-09-21T14:13:20.100Z",
        "percent",
        3,
    )
    assert event.host
