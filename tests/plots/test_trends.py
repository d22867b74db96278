from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from kernel_lib.kafka_client import Record
from kernel_lib.plots import refresher, trends
from kernel_lib.plots.trends import Point
from kernel_lib.waiting import wait_until

SERIES = [Point("cpu", 10.1, 20.0, "percent"), Point("cpu", 10.9, 40.0, "percent"), Point("cpu", 12.0, 50.0, "percent")]


def record(value: bytes) -> Record:
    return Record("system-metrics", 0, 7, None, value, 5, "append")


def test_values_are_read_with_their_own_time_and_unit() -> None:
    good = record(b'{"timestamp": "1970-01-01T00:00:10.500Z", "metric": "cpu", "value": 3, "unit": "percent"}')
    assert trends.points([good], "metric") == [Point("cpu", 10.5, 3.0, "percent")]


def test_what_has_no_value_no_time_or_no_name_is_passed_over() -> None:
    poison = [b"no json", b"[1]", b'{"timestamp": "x", "metric": "cpu", "value": 3}', b'{"metric": "cpu"}', b"\xff"]
    nameless = b'{"timestamp": "1970-01-01T00:00:10.500Z", "value": 3}'
    assert trends.points(map(record, [*poison, nameless]), "metric") == []


def test_each_second_has_its_mean_its_least_and_its_most() -> None:
    columns = trends.trend_columns(SERIES, 0)
    assert columns["at"].tolist() == [10_500, 12_500]
    assert columns["mean"].tolist() == [30, 50]
    assert (columns["least"][0], columns["most"][0], columns["count"]) == (20, 40, [2, 1])
    assert trends.trend_columns(SERIES, 11)["at"].tolist() == [12_500]


def test_the_newest_mean_and_the_range_are_said_in_words() -> None:
    columns = trends.trend_columns(SERIES, 0)
    said = trends.trend_sentence("cpu", "percent", columns, "last 30 s")
    assert said == "cpu: 50 percent, from 20 to 50 in the last 30 s."
    assert trends.label_columns(columns, "percent")["text"] == ["50 percent"]
    assert (
        trends.trend_sentence("cpu", "", trends.trend_columns([], 0), "last 30 s")
        == "No value of cpu in the last 30 s."
    )


def test_the_learner_chooses_among_the_series_that_came() -> None:
    now = datetime.now(UTC).isoformat()
    both = [
        record(f'{{"timestamp": "{now}", "metric": "{name}", "value": {value}, "unit": "percent"}}'.encode())
        for name, value in (("cpu", 20), ("memory", 60))
    ]
    tail = SimpleNamespace(topic="system-metrics", problem="", poll=lambda: both, stop=int)
    shown = trends.Trends(cast(Any, tail), by="metric")
    wait_until(lambda: shown.text.startswith("cpu: 20 percent"), 5, "the first series")
    shown.which.value = "memory"
    wait_until(lambda: shown.text.startswith("memory: 60 percent"), 5, "the chosen series")
    refresher.remove("trends")


def test_a_topic_of_endless_names_does_not_fill_the_memory() -> None:
    now = datetime.now(UTC).isoformat()
    many = [record(f'{{"timestamp": "{now}", "metric": "m{n:04}", "value": 1}}'.encode()) for n in range(10_000)]
    tail = SimpleNamespace(topic="system-metrics", problem="", poll=lambda: many, stop=int)
    shown = trends.Trends(cast(Any, tail), by="metric")
    wait_until(lambda: shown.text.startswith("m0000: 1,"), 10, "a series")
    assert len(shown._series) == len(shown.which.options) == trends.MOST_SERIES
    refresher.remove("trends")
