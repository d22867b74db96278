from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kernel_lib.kafka_client import Record
from kernel_lib.plots import event_counters as view
from kernel_lib.plots import refresher
from kernel_lib.plots.event_counters import Asked, Choice, EventCounters, Group, Seen
from kernel_lib.waiting import wait_until
from tests.plots.drawn import missing_columns

EVENTS = [
    Seen(1.0, ("page_view", "/home"), 2.0),
    Seen(8.0, ("page_view", "/cart"), 4.0),
    Seen(9.0, ("purchase", "/cart"), 100.0),
    Seen(9.0, ("purchase", "/cart"), None),
    Seen(9.0, None),
]
COUNT = Asked("count", "", "", "last 60 s", "eventType")
SUM = Asked("sum", "duration", "s", "last 60 s", "eventType")


def record(value: bytes) -> Record:
    return Record("user-events", 0, 7, None, value, 5, "append")


def tail_of(records: list[list[Record]]) -> Any:
    """A tail that gives the records at each call."""
    return SimpleNamespace(topic="user-events", problem="", last_record_at=None, poll=lambda: records[0], stop=int)


@pytest.fixture(autouse=True)
def _no_view_outlives_its_test() -> Iterator[None]:
    yield
    refresher.remove("event counters")


def test_the_fields_of_an_event_are_kept_and_poison_has_none() -> None:
    fields = ("eventType", "page")
    assert view.seen(record(b'{"eventType": "login"}'), fields, "", 3.0) == Seen(3.0, ("login", "none"))
    assert view.seen(record(b"[1]"), fields, "", 3.0) == Seen(3.0, None)
    assert view.seen(record(b"no json"), fields, "", 3.0) == Seen(3.0, None)


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"2", 2.0), (b"-0.5", -0.5), (b'"2"', None), (b"true", None), (b"null", None), (b"1" + 400 * b"0", None)],
)
def test_only_a_number_is_a_number(text: bytes, number: float | None) -> None:
    assert view.seen(record(b'{"duration": %s}' % text), (), "duration", 3.0) == Seen(3.0, (), number)


def test_events_are_grouped_by_a_field_in_a_range() -> None:
    assert view.grouped(EVENTS, Choice(0.0, 0)) == {"page_view": Group(2, 2, 6.0), "purchase": Group(2, 1, 100.0)}
    assert view.grouped(EVENTS, Choice(5.0, 0)) == {"page_view": Group(1, 1, 4.0), "purchase": Group(2, 1, 100.0)}


def test_one_may_look_a_level_deeper() -> None:
    deeper = view.grouped(EVENTS, Choice(0.0, 1, (0, "page_view")))
    assert deeper == {"/home": Group(1, 1, 2.0), "/cart": Group(1, 1, 4.0)}


def test_a_mean_is_of_the_events_with_a_number_only() -> None:
    group = Group(4, 2, 6.0)
    assert [group.figure(what) for what in ("count", "sum", "mean")] == [4, 6.0, 3.0]
    assert [Group(4).figure(what) for what in ("count", "sum", "mean")] == [4, None, None]


def test_the_most_frequent_is_on_top_and_the_rest_is_one_row() -> None:
    columns = view.bar_columns({f"v{number}": Group(number) for number in range(1, 13)})
    assert columns["value"][-1] == "v12"
    assert columns["value"][0] == "2 others"
    assert columns["figure"][0] == 3
    assert sum(columns["share"]) == 1


def test_the_mean_of_the_rest_weighs_each_event() -> None:
    groups = {f"v{number}": Group(1, 1, 100.0) for number in range(view.MOST_BARS)}
    columns = view.bar_columns(groups | {"a": Group(1, 1, 2.0), "b": Group(3, 3, 30.0)}, "mean", "s")
    assert (columns["value"][0], columns["figure"][0], columns["text"][0]) == ("2 others", 8.0, "8 s (4 events)")


def test_a_value_without_a_number_has_no_bar_of_sums() -> None:
    columns = view.bar_columns({"login": Group(5), "purchase": Group(2, 1, 1234.5)}, "sum", "s")
    assert (columns["value"], columns["text"]) == (["purchase"], ["1,234 s (1 event)"])
    assert columns["count"] == [2]


def test_words_stand_clear_of_a_bar_below_nought() -> None:
    columns = view.bar_columns({"cold": Group(2, 2, -8.0)}, "mean", "°C")
    assert (columns["figure"], columns["text_at"], columns["text"]) == ([-4.0], [0.0], ["-4 °C (2 events)"])


def test_counts_are_said_in_words() -> None:
    groups = {"page_view": Group(3), "purchase": Group(1)}
    assert view.counters_sentence(groups, COUNT._replace(only="page = /cart"), 2) == (
        "4 events with page = /cart of the last 60 s by eventType: page_view 3 (75%), purchase 1 (25%); "
        "2 records were no events."
    )
    assert view.counters_sentence({}, COUNT._replace(by="page"), 0) == "0 events of the last 60 s by page."


def test_sums_and_means_are_said_with_their_unit_and_what_is_in_none() -> None:
    groups = {"page_view": Group(3, 3, 6.0), "purchase": Group(3, 1, 2000.0), "login": Group(1)}
    assert view.counters_sentence(groups, SUM, 1) == (
        "Sum of duration of 4 events of the last 60 s: 2,006 s. By eventType: purchase 2,000 s (1 event), "
        "page_view 6 s (3 events); 3 events without a number in duration; 1 record was no event."
    )
    assert view.counters_sentence(groups, SUM._replace(what="mean"), 0).startswith(
        "Mean of duration of 4 events of the last 60 s: 502 s. By eventType: purchase 2,000 s (1 event), page_view 2 s"
    )
    assert view.counters_sentence({"login": Group(1)}, SUM._replace(only="page = /a"), 0) == (
        "Sum of duration of 0 events with page = /a of the last 60 s: no number; 1 event without a number in duration."
    )


def test_the_axis_has_the_unit() -> None:
    assert (COUNT.axis, SUM.axis, SUM._replace(unit="").axis) == ("events", "sum of duration (s)", "sum of duration")


def test_a_choice_stays_when_new_values_come() -> None:
    records = [[record(b'{"eventType": "login", "page": "/a"}')]]
    shown = EventCounters(tail_of(records), fields=("eventType", "page"))
    wait_until(lambda: "eventType = login" in dict(shown.only.options).values(), 5, "the value to be offered")
    shown.only.value, shown.by.value = "eventType = login", "page"
    records[0] = [record(b'{"eventType": "logout", "page": "/b"}')]
    wait_until(lambda: "page = /b" in dict(shown.only.options).values(), 5, "the new value to be offered")
    assert shown.only.value == "eventType = login"
    wait_until(lambda: shown.source.data["value"] == ["/a"], 5, "only the pages of logins")


def test_the_chosen_figure_is_drawn_on_an_axis_that_says_so() -> None:
    records = [[record(b'{"eventType": "login", "duration": 3}'), record(b'{"eventType": "login"}')]]
    shown = EventCounters(tail_of(records), value="duration", unit="s")
    shown.what.value = "mean"
    wait_until(lambda: shown.source.data["figure"] == [3.0], 5, "the mean of what has a number")
    wait_until(lambda: shown.root.xaxis[0].axis_label == "mean of duration (s)", 5, "the axis to say so")
    assert missing_columns(shown.root) == set()


def test_without_a_number_to_add_up_there_is_nothing_to_choose() -> None:
    shown = EventCounters(tail_of([[]]))
    controls = cast(Any, shown.widget.children[1]).children
    assert [each.description for each in controls] == ["range", "by", "only"]
