import numpy as np
import pytest

from kernel_lib.kafka_client import Record
from kernel_lib.plots import latency
from kernel_lib.plots.latency import Result


def record(at_ms: int, value: bytes = b'{"sentAt": 1000}', kind: str = "append") -> Record:
    return Record("processed-events", 0, 0, None, value, at_ms, kind)


def test_the_append_clock_is_the_brokers_and_the_readers_is_ours() -> None:
    assert latency.results([record(1250)], 1900, "append") == [Result(1250, 250)]
    assert latency.results([record(1250)], 1900, "reader") == [Result(1900, 900)]


def test_a_topic_that_does_not_stamp_append_time_is_refused() -> None:
    with pytest.raises(ValueError, match="processed-events does not stamp append time"):
        latency.results([record(1250, kind="create")], 1900, "append")


def test_records_that_do_not_say_when_they_were_sent_are_passed_over() -> None:
    values = (b"{}", b"no", b'{"sentAt": "x"}', b"\xff", b"")
    assert latency.results([record(1250, value) for value in values], 1900, "append") == []


def test_there_is_one_row_for_each_second_with_results() -> None:
    columns = latency.quantile_columns([Result(1100, 10), Result(1900, 30), Result(3500, 70)])
    assert columns["at"].tolist() == [1500, 3500]
    assert columns["p50"].tolist() == [20, 70]


def test_every_result_below_the_last_edge_is_in_one_bar() -> None:
    columns = latency.histogram_columns([Result(0, 1.0), Result(0, 50), Result(0, 99_999)])
    assert columns["count"].sum() == 3
    assert len(columns["count"]) == len(columns["left"]) == len(columns["right"])
    assert np.all(columns["left"] < columns["right"])


def test_the_sentence_says_the_quantiles_and_the_clock() -> None:
    said = latency.latency_sentence([Result(0, n) for n in range(1, 102)], "append")
    assert said == (
        "Half of the 101 results of the last 10 s took at most 51 ms, 95 % 96 ms, 99 % 100 ms (append clock)."
    )
    assert latency.latency_sentence([], "append") == "No result has come yet."
