import json

from kernel_lib.kafka_client import Record
from kernel_lib.plots import event_time
from kernel_lib.plots.event_time import Point, Progress

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def record(arrived_ms: int, timestamp: str, partition: int = 0) -> Record:
    value = json.dumps({"timestamp": timestamp, "eventType": "page_view"}).encode()
    return Record("user-events", partition, 0, None, value, START_MS + arrived_ms, "create")


def progress(*marks: int | None, partitions: dict[int, int] | None = None) -> list[Progress]:
    """Readings, one a second, of a watermark at so many milliseconds after the start."""
    return [
        Progress(
            START_MS + n * 1000.0,
            None if mark is None else START_MS + mark,
            {number: START_MS + at for number, at in (partitions or {}).items()},
        )
        for n, mark in enumerate(marks)
    ]


def test_an_event_before_the_last_watermark_that_was_read_is_late() -> None:
    readings = progress(0, 900, 1900)
    late, timely = (record(2500, f"2026-01-01T00:00:01.{ms}Z") for ms in ("899", "901"))
    assert [point.late for point in event_time.points([late, timely], readings)] == [True, False]


def test_a_watermark_that_came_after_the_event_makes_it_not_late() -> None:
    assert not event_time.points([record(500, "2026-01-01T00:00:00.000Z")], progress(-500, 400))[0].late


def test_without_a_watermark_nothing_is_late_and_what_is_no_event_is_passed_over() -> None:
    broken = Record("user-events", 0, 1, None, b"\xff{", START_MS, "create")
    odd = Record("user-events", 0, 1, None, b'{"timestamp": "noon"}', START_MS, "create")
    found = event_time.points([broken, odd, record(0, "2025-01-01T00:00:00Z")], progress(None))
    assert [point.late for point in found] == [False]


def test_thinning_keeps_every_late_point() -> None:
    fresh = [Point(n, n, 0, "", late=n % 10 == 0) for n in range(200)]
    kept = event_time.thinned(fresh, 20)
    assert sum(point.late for point in kept) == 20
    assert 10 <= sum(not point.late for point in kept) <= 20


def test_stairs_reach_up_to_now() -> None:
    columns = event_time.stair_columns(progress(None, 100, 200), START_MS + 5000)
    assert [(at - START_MS).tolist() for at in columns["at"]] == [[1000, 2000, 2000, 5000]]
    assert [(marks - START_MS).tolist() for marks in columns["watermark"]] == [[100, 100, 200, 200]]


def test_stairs_have_a_gap_where_a_new_job_has_no_watermark_yet() -> None:
    columns = event_time.stair_columns(progress(0, 100, None, 300), START_MS + 5000)
    assert [(at - START_MS).tolist() for at in columns["at"]] == [[0, 1000, 1000, 1000], [3000, 5000]]


def test_before_the_first_watermark_of_a_new_job_nothing_is_late() -> None:
    assert not event_time.points([record(2500, "2026-01-01T00:00:00Z")], progress(0, 900, None))[0].late


def test_a_partition_is_drawn_as_stairs_too() -> None:
    columns = event_time.partition_columns(progress(100, 200, partitions={3: 150}), START_MS + 2000)
    assert columns["partition"] == [3]
    assert len(columns["at"][0]) == len(columns["watermark"][0]) == 4


def test_without_readings_the_sentence_says_that_there_is_no_watermark() -> None:
    assert event_time.watermark_sentence([], 0) == "The job has reported no watermark yet."
    assert event_time.watermark_sentence(progress(None), 0) == "The job has reported no watermark yet."


def test_a_moving_watermark_is_so_far_behind_the_clock() -> None:
    said = event_time.watermark_sentence(progress(-900, 100), START_MS / 1000 + 1.4)
    assert said == "The watermark is at 00:00:00 UTC, 0.9 s behind the clock (Flink's figure, read 0.4 s ago)."


def test_a_standing_watermark_names_the_partition_it_waits_for() -> None:
    readings = progress(0, 100, 100, 100, 100, partitions={0: 4100, 2: 100, 4: 4000})
    assert event_time.watermark_sentence(readings, START_MS / 1000 + 9).endswith(
        "stands at 00:00:00 UTC since 4 s: it waits for partition 2."
    )


def test_a_watermark_that_stands_because_all_partitions_do_waits_for_none() -> None:
    readings = progress(100, 100, 100, 100, partitions={0: 100, 1: 300})
    assert event_time.watermark_sentence(readings, START_MS / 1000 + 9).endswith("since 3 s.")


def test_a_watermark_that_has_passed_a_partition_does_not_wait_for_it() -> None:
    readings = progress(8000, 9000, partitions={0: 9500, 2: 100, 3: 200})
    assert event_time.watermark_sentence(readings, START_MS / 1000 + 9).endswith(
        "it no longer waits for partitions 2, 3 (Flink's figure, read 8.0 s ago)."
    )
