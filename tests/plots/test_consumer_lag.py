from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from kernel_lib.errors import ServiceUnavailable
from kernel_lib.groups import Position
from kernel_lib.plots import consumer_lag, refresher
from kernel_lib.plots.consumer_lag import ConsumerLag, Sample, lag_sentence
from kernel_lib.waiting import wait_until
from tests.plots.drawn import missing_columns

PAIR = ("count_events", "user-events")
NAME = "lag of a test"


def samples(seconds: int, written: float, committed: float, lag: int = 0, begun: bool = True) -> list[Sample]:
    """Readings of a topic and a group that grow evenly, a second apart, and end with this lag."""
    last = int(written * seconds)
    ends = [int(written * second) for second in range(seconds + 1)]
    commits = [last - lag - int(committed * (seconds - second)) for second in range(seconds + 1)]
    places = zip(count(), commits, ends, strict=False)
    return [Sample(float(at), commit, end, end - commit, begun, 0, end - commit) for at, commit, end in places]


@pytest.fixture
def name() -> Iterator[str]:
    yield NAME
    refresher.remove(NAME)


def test_a_group_that_catches_up_says_when_it_is_through() -> None:
    assert lag_sentence(PAIR, samples(20, 100, 500, 1240)) == (
        "count_events is 1,240 records behind on user-events, falling by 400/s (100/s written, 500/s committed): "
        "clear in 3 s."
    )


def test_a_group_that_stands_still_is_never_through() -> None:
    assert lag_sentence(PAIR, samples(20, 200, 0, 4000)) == (
        "count_events is 4,000 records behind on user-events, growing by 200/s (200/s written, 0/s committed): "
        "never clear at this pace."
    )


def test_what_comes_between_two_commits_is_no_lag_to_speak_of() -> None:
    assert lag_sentence(PAIR, samples(20, 100, 100, 40)) == (
        "count_events keeps up with user-events: 40 records behind, the most recent 0.4 s' worth "
        "(commits come at checkpoints)."
    )


def test_rare_commits_are_no_trend() -> None:
    """Fails with a fixed bound: a group that commits every 10 s is up to 10 s behind, and keeps up."""
    steps = [
        Sample(float(at), 1000 * (at // 10), 100 * at, 100 * at - 1000 * (at // 10), True, 0, 0) for at in range(60)
    ]
    assert all("keeps up" in lag_sentence(PAIR, steps[:n]) for n in range(41, 60) if steps[n - 1].lag)


def test_a_reader_that_is_a_little_too_slow_is_found_out_over_a_longer_time() -> None:
    sentence = lag_sentence(PAIR, samples(80, 200, 185, 1800))
    assert "growing by 15/s" in sentence


def test_a_lag_that_has_just_begun_to_fall_is_not_called_growing() -> None:
    grown = samples(60, 200, 0, 17_000)
    back = Sample(61.0, grown[-1].committed + 2_600, grown[-1].end + 200, 14_600, True, 0, 14_600)
    assert "its pace is changing just now" in lag_sentence(PAIR, [*grown, back])


def test_the_first_commit_of_a_group_is_no_pace() -> None:
    before = [Sample(float(at), 0, 5_000 + 200 * at, 5_000 + 200 * at, False, 0, 0) for at in range(8)]
    after = [Sample(float(at), 6_200, 5_000 + 200 * at, 200 * (at - 6), True, 0, 0) for at in range(8, 14)]
    assert "falling" not in lag_sentence(PAIR, [*before, *after])


def test_a_group_without_a_commit_is_not_called_behind() -> None:
    sentence = lag_sentence(PAIR, samples(5, 100, 0, 500, begun=False))
    assert sentence == "count_events has committed nothing on user-events so far: 500 records ahead of it."


def test_nothing_behind_and_nothing_moving_have_words_of_their_own() -> None:
    assert "committed all of user-events" in lag_sentence(PAIR, samples(20, 100, 100, 0))
    assert "transaction markers" in lag_sentence(PAIR, samples(20, 0, 0, 6))
    assert "pace is not known yet" in lag_sentence(PAIR, samples(1, 100, 0, 6))
    assert "no reading yet" in lag_sentence(PAIR, [])


def test_a_reading_sums_the_partitions_and_names_the_worst() -> None:
    found = consumer_lag.sample({0: Position(50, 0, 60), 1: Position(-1, 100, 140)}, 7.0)
    assert found == Sample(7.0, 150, 200, 50, True, 1, 40)


def test_a_line_has_a_hole_where_readings_are_missing() -> None:
    readings = samples(20, 100, 100, 40)
    at, lags = consumer_lag.broken([*readings[:3], *readings[15:]])
    assert [n for n, lag in enumerate(lags) if lag != lag] == [3]
    assert len(at) == len(lags) == 10


def test_labels_of_lines_that_are_close_are_apart_and_name_their_group() -> None:
    histories = {PAIR: samples(9, 100, 100, 40), ("indexer", "user-events"): samples(9, 100, 100, 41)}
    labels = consumer_lag.label_columns(histories, 1000.0)
    assert labels["text"] == ["count_events 40", "indexer 41"]
    assert labels["y"][1] - labels["y"][0] >= consumer_lag.LABEL_SHARE * 1000


def test_only_a_falling_line_has_a_way_to_zero() -> None:
    falling, growing = samples(20, 100, 500, 1240), samples(20, 200, 0, 4000)
    ways = consumer_lag.forecast_columns({PAIR: falling, ("a", "b"): growing})
    assert ways["y1"] == [0]
    assert ways["x1"][0] - ways["x0"][0] == pytest.approx(3100)


def test_the_view_draws_every_pair_and_all_it_draws_is_there(name: str) -> None:
    ends = count(1000, 100)

    def read(group: str, topic: str) -> Mapping[int, Position]:
        end = next(ends)
        return {0: Position(end - 30, 0, end)}

    view = ConsumerLag(PAIR, ("indexer", "metrics"), read=read, name=name)
    wait_until(lambda: len(view.labels.data["text"]) == 2, 10, "both lines")
    assert missing_columns(view.root) == set()
    assert {"count_events 30", "indexer 30"} == set(view.labels.data["text"])


def test_memory_is_bounded() -> None:
    follower = consumer_lag._Follower(dict)
    follower.samples.extend(samples(1000, 1, 1))
    assert len(follower.samples) <= consumer_lag.SECONDS_SHOWN + 10


def test_kafka_that_does_not_answer_is_named_and_found_again(name: str) -> None:
    problems = [ServiceUnavailable("Kafka", "broker:1", "connection refused")]

    def read(group: str, topic: str) -> Mapping[int, Position]:
        for problem in problems:
            raise problem
        return {0: Position(10, 0, 10)}

    view = ConsumerLag(PAIR, read=read, name=name)
    wait_until(lambda: "No data yet because Kafka at broker:1" in view.text, 5, "the reason")
    assert view.quiet_because
    problems.clear()
    wait_until(lambda: "committed all of user-events" in view.text, 5, "the group to be read again")
    assert view.quiet_because == ""
