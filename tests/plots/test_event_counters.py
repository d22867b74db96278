from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from kernel_lib.kafka_client import Record
from kernel_lib.plots import event_counters as view
from kernel_lib.plots import refresher
from kernel_lib.plots.event_counters import Choice, Seen
from kernel_lib.waiting import wait_until

EVENTS = [
    Seen(1.0, ("page_view", "/home")),
    Seen(8.0, ("page_view", "/cart")),
    Seen(9.0, ("purchase", "/cart")),
    Seen(9.0, None),
]


def record(value: bytes) -> Record:
    return Record("user-events", 0, 7, None, value, 5, "append")


def test_the_fields_of_an_event_are_counted_and_poison_is_not() -> None:
    fields = ("eventType", "page")
    assert view.seen(record(b'{"eventType": "login"}'), fields, 3.0) == Seen(3.0, ("login", "none"))
    assert view.seen(record(b"[1]"), fields, 3.0) == Seen(3.0, None)
    assert view.seen(record(b"no json"), fields, 3.0) == Seen(3.0, None)


def test_events_are_counted_by_a_field_in_a_range() -> None:
    assert view.counted(EVENTS, Choice(0.0, 0)) == {"page_view": 2, "purchase": 1}
    assert view.counted(EVENTS, Choice(5.0, 0)) == {"page_view": 1, "purchase": 1}


def test_one_may_look_a_level_deeper() -> None:
    assert view.counted(EVENTS, Choice(0.0, 1, (0, "page_view"))) == {"/home": 1, "/cart": 1}
    assert view.counted(EVENTS, Choice(0.0, 0, (1, "/cart"))) == {"page_view": 1, "purchase": 1}


def test_the_most_frequent_is_on_top_and_the_rest_is_one_row() -> None:
    columns = view.bar_columns(Counter({f"v{number}": number for number in range(1, 13)}))
    assert columns["value"][-1] == "v12"
    assert columns["value"][0] == "2 others"
    assert columns["count"][0] == 3
    assert sum(columns["share"]) == 1


def test_counts_are_said_in_words() -> None:
    counts = Counter({"page_view": 3, "purchase": 1})
    assert view.counters_sentence(counts, "last 60 s", "eventType", "page = /cart", 2) == (
        "4 events with page = /cart of the last 60 s by eventType: page_view 3 (75%), purchase 1 (25%); "
        "2 records were no events."
    )
    assert view.counters_sentence(Counter(), "last 60 s", "page", "", 0) == "0 events of the last 60 s by page."


def test_a_choice_stays_when_new_values_come() -> None:
    records = [[record(b'{"eventType": "login", "page": "/a"}')]]
    tail = SimpleNamespace(topic="user-events", problem="", last_record_at=None, poll=lambda: records[0], stop=int)
    shown = view.EventCounters(cast(Any, tail), fields=("eventType", "page"))
    wait_until(lambda: "eventType = login" in dict(shown.only.options).values(), 5, "the value to be offered")
    shown.only.value, shown.by.value = "eventType = login", "page"
    records[0] = [record(b'{"eventType": "logout", "page": "/b"}')]
    wait_until(lambda: "page = /b" in dict(shown.only.options).values(), 5, "the new value to be offered")
    assert shown.only.value == "eventType = login"
    wait_until(lambda: shown.source.data["value"] == ["/a"], 5, "only the pages of logins")
    refresher.remove("event counters")
