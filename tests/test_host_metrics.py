import msgspec
import psutil

from kernel_lib.generators.host_metrics import HostMetrics
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.records import SystemMetric

LOG = KnobLog([Knobs(0, 1_790_000_000_000, 10)])


def emitted(first: int, count: int) -> list[SystemMetric]:
    values = HostMetrics().emit(first, count, LOG, run="r", sent_at=3).values
    return [msgspec.json.decode(value, type=SystemMetric) for value in values]


def test_a_silent_host_is_withheld() -> None:
    host = emitted(0, 1)[0].host
    log = KnobLog([Knobs(0, 0, 10), Knobs(3, 300, 10, silent_keys=(host,))])
    assert HostMetrics().emit(0, 5, log, run="r", sent_at=3).withheld.tolist() == [False] * 3 + [True] * 2


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
