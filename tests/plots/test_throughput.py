import pytest

from kernel_lib.errors import ServiceUnavailable
from kernel_lib.plots import refresher, throughput
from kernel_lib.plots.throughput import Sample
from kernel_lib.waiting import wait_until

SAMPLES = [Sample(10.0, {"user-events": 80.0, "metrics": 4.0}), Sample(11.0, {"user-events": 60.0, "metrics": 5.5})]


def test_the_highest_rate_of_a_row_fills_it() -> None:
    columns = throughput.bar_columns(SAMPLES)
    heights = [top - bottom for top, bottom in zip(columns["top"], columns["bottom"], strict=True)]
    assert columns["name"] == ["metrics", "metrics", "user-events", "user-events"]
    assert heights == pytest.approx([throughput.BAND * share for share in (4 / 5.5, 1, 1, 0.75)])


def test_a_bar_covers_the_second_that_was_measured() -> None:
    columns = throughput.bar_columns(SAMPLES[:1])
    assert (columns["left"][0], columns["right"][0]) == (9_000, 10_000)


def test_a_bar_that_comes_late_begins_at_the_one_before_but_a_long_time_without_one_stays_empty() -> None:
    late, later = Sample(12.5, {"user-events": 60.0}), Sample(22.5, {"user-events": 60.0})
    assert throughput.since([SAMPLES[0], late, later]) == [9.0, 10.0, 19.5]


def test_a_row_that_is_new_counts_as_still_before() -> None:
    samples = [Sample(10.0, {"user-events": 80.0}), SAMPLES[1]]
    assert throughput.highest(samples) == {"user-events": 80.0, "metrics": 5.5}


def test_newest_and_highest_rates_are_said_in_words() -> None:
    assert throughput.throughput_sentence(SAMPLES) == (
        "Records/s, and the most of the last minute: user-events 60 (80); metrics 5.5 (5.5)."
    )
    assert throughput.label_columns(SAMPLES)["text"] == ["5.5 (most 5.5)", "60 (most 80)"]


def test_when_nothing_moves_any_more_the_sentence_says_since_when() -> None:
    stopped = [*SAMPLES, Sample(12.0, {"user-events": 0.0, "metrics": 0.0})]
    assert throughput.throughput_sentence(stopped) == (
        "Nothing has moved since 00:00:11 UTC; before, at most 80 in user-events, 5.5 in metrics, records/s."
    )
    assert throughput.throughput_sentence(stopped[2:]) == "Nothing has moved in the last minute."
    assert throughput.throughput_sentence([]).startswith("No rate is known yet")


def test_the_view_shows_each_reading_and_says_why_when_there_is_none() -> None:
    answers: list[dict[str, float] | Exception] = [{"user-events": 60.0}]

    def read() -> dict[str, float]:
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    shown = throughput.Throughput("user-events", read=read)
    wait_until(lambda: len(shown.source.data["rate"]) >= 2, 10, "two bars")
    answers[0] = ServiceUnavailable("Kafka", "here", "refused", "./course up")
    wait_until(lambda: "Kafka" in shown.text, 15, "the reason")
    assert shown.text.startswith("No data since ")
    refresher.remove("throughput")
