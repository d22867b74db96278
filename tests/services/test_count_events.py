import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flink_jobs import count_events
from flink_jobs.connectors import Kafka, configuration
from kernel_lib import gateway, groups, jobs, oracle, producer, topics
from kernel_lib.errors import ConfigurationError
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

CHECKOUT = Path(count_events.__file__).parent.parent
START = datetime(2026, 1, 1, tzinfo=UTC)
POISON = (
    b"not JSON",
    b"\xff\xfe",
    b"",
    b"null",
    b"[1, 2]",
    b'{"eventId": "p-1", "eventType": "view"}',
    b'{"eventId": "p-2", "eventType": "view", "timestamp": null}',
    b'{"eventId": "p-3", "eventType": "view", "timestamp": 17}',
    b'{"eventId": "p-4", "eventType": "view", "timestamp": {"a": 1}}',
    b'{"eventId": "p-5", "eventType": "view", "timestamp": "2026-13-45T00:00:00.000Z"}',
    b'{"eventId": "p-6", "eventType": null, "timestamp": "2026-01-01T00:00:00.000Z"}',
    b'{"eventType": "view", "timestamp": "2026-01-01T00:00:00.000Z"}',
)


@pytest.fixture(autouse=True)
def three_topics(settings: Settings) -> None:
    for name in ("user-events", "metrics", "processed-events"):
        topics.create(name, partitions=2, settings=settings)


def event(number: int, when: datetime, kind: str = "view") -> dict[str, Any]:
    return {
        "eventId": f"r-{number}",
        "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z",
        "userId": f"u-{number % 3}",
        "eventType": kind,
        "sessionId": "s-1",
        "page": "/home",
        "duration": 1.5,
        "userAgent": "a browser, with an ü",
        "location": {"lat": 52.52, "lon": 13.4},
        "sentAt": 1,
    }


def send(settings: Settings, events: Iterable[dict[str, Any]]) -> None:
    values = [json.dumps(each, ensure_ascii=False).encode() for each in events]
    topics.write("user-events", *values, key=b"u", settings=settings)


def read(settings: Settings, topic: str) -> list[dict[str, Any]]:
    return [record.json() for record in topics.read(topic, settings=settings)]


def test_each_type_is_counted_in_the_window_its_time_belongs_to(settings: Settings) -> None:
    """Fails when the window's edge moves, e.g. with an offset of 1 ms in TUMBLE."""
    job = jobs.submit("count_events", settings=settings)
    offsets_and_kinds = [(0, "view"), (999, "view"), (1000, "view"), (1000, "click"), (2500, "click")]
    send(settings, (event(n, START + timedelta(milliseconds=ms), k) for n, (ms, k) in enumerate(offsets_and_kinds)))
    job.drain()
    found = {
        (row["windowStart"], row["windowEnd"], row["eventType"]): row["count"] for row in read(settings, "metrics")
    }
    assert found == {
        ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z", "view"): 2,
        ("2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z", "view"): 1,
        ("2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z", "click"): 1,
        ("2026-01-01T00:00:02.000Z", "2026-01-01T00:00:03.000Z", "click"): 1,
    }


def test_the_last_windows_come_out_after_a_long_silence(settings: Settings) -> None:
    """Fails without the restart in drain: an idle source's last watermark is ignored."""
    job = jobs.submit("count_events", settings=settings, idle_timeout_seconds=8).wait_running()
    send(settings, (event(n, START + timedelta(seconds=n)) for n in range(5)))
    wait_until(lambda: len(read(settings, "metrics")) == 3, 60, "the source to be idle, which closes three windows")
    wait_until(lambda: job._quiet_seconds() > 12, 60, "more silence")
    job.drain()
    assert sum(row["count"] for row in read(settings, "metrics")) == 5


def test_a_job_that_is_idle_too_soon_is_not_drained(settings: Settings) -> None:
    """Fails when drain goes on: the last windows of an idle source would be lost."""
    job = jobs.submit("count_events", settings=settings, idle_timeout_seconds=2).wait_running()
    with pytest.raises(ConfigurationError, match="count_events cannot be drained") as refusal:
        job.drain()
    assert "idle after 2 s" in refusal.value.cause
    assert job.state() == "RUNNING"


def test_the_window_s_size_is_an_argument(settings: Settings) -> None:
    """Fails when every window is a second long, whatever is asked for."""
    job = jobs.submit("count_events", settings=settings, window_seconds=120)
    send(settings, (event(n, START + timedelta(seconds=n)) for n in range(180)))
    job.drain()
    assert sorted(row["count"] for row in read(settings, "metrics")) == [60, 120]


def test_windows_of_one_and_of_five_minutes_count_what_was_sent(settings: Settings) -> None:
    """Fails when windows of minutes have another size than they are told, or begin at another minute."""
    windows = {"one": timedelta(minutes=1), "five": timedelta(minutes=5)}
    for name in windows:
        topics.create(name, settings=settings)
    running = [
        jobs.submit(
            "count_events",
            name=name,
            counts=name,
            passed="",
            window_seconds=window.total_seconds(),
            out_of_orderness_seconds=3600,
            settings=settings,
        )
        for name, window in windows.items()
    ]
    for job in running:
        job.wait_running()
    # Sent within seconds, they happened in a quarter of an hour or more before that.
    knobs: dict[str, Any] = {
        "delay_ms": 900_000,
        "jitter_ms": 200_000,
        "malformed_share": 0.02,
        "duplicate_share": 0.02,
    }
    with producer.start("user-events", events_per_second=3000, count=6000, seed=6, settings=settings, **knobs) as shop:
        shop.wait(60)
    for job in running:
        job.drain()
    for name, window in windows.items():
        counted = oracle.window_counts(topics.read(name, limit=100_000, settings=settings))
        comparison = oracle.compare(counted, oracle.sent_by_window([shop], window), drained=True)
        assert comparison.equal, (name, comparison.text, comparison.differences[:30])
        assert comparison.windows >= timedelta(minutes=15) / window


def test_events_pass_through_as_they_were_sent_keyed_by_user(settings: Settings) -> None:
    """Fails when a time loses its milliseconds on the way, or the key is another column."""
    job = jobs.submit("count_events", settings=settings)
    sent = [event(n, START + timedelta(milliseconds=n)) for n in range(9)]
    send(settings, sent)
    job.drain()
    assert sorted(read(settings, "processed-events"), key=lambda each: each["eventId"]) == sent
    keys = Counter(record.key for record in topics.read("processed-events", settings=settings))
    assert keys == {b"u-0": 3, b"u-1": 3, b"u-2": 3}


def test_what_is_counted_equals_what_is_sent_among_poison(settings: Settings) -> None:
    """Fails when a record that cannot be parsed ends the job, or one that is not valid is counted."""
    job = jobs.submit("count_events", settings=settings)
    send(settings, (event(n, START + timedelta(milliseconds=7 * n)) for n in range(500)))
    topics.write("user-events", *POISON, settings=settings)
    send(settings, (event(n, START + timedelta(milliseconds=7 * n)) for n in range(500, 1000)))
    job.drain()
    assert job.state() == "FINISHED"
    assert job.failure() == ""
    assert sum(row["count"] for row in read(settings, "metrics")) == 1000
    assert len({each["eventId"] for each in read(settings, "processed-events")}) == 1000


def test_an_event_of_the_future_neither_counts_nor_closes_a_window(settings: Settings) -> None:
    """Fails when an event's time is its rowtime although it is not valid: the window is then closed too early."""
    topics.create("one-partition", partitions=1, settings=settings)
    job = jobs.submit("count_events", source="one-partition", settings=settings)
    for each in (event(0, START), event(1, START + timedelta(days=300_000))):
        topics.write("one-partition", json.dumps(each).encode(), settings=settings)
    # What is read in one go has one watermark, after it.
    wait_until(lambda: groups.lag("count_events", "one-partition", settings=settings) == {0: 0}, 30, "both to be read")
    topics.write("one-partition", json.dumps(event(2, START)).encode(), settings=settings)
    job.drain()
    assert [row["count"] for row in read(settings, "metrics")] == [2]


def test_events_need_not_be_passed_on(settings: Settings) -> None:
    """Fails when the pass-through is there whatever is asked for."""
    job = jobs.submit("count_events", passed="", settings=settings)
    send(settings, (event(n, START) for n in range(5)))
    job.drain()
    assert [row["count"] for row in read(settings, "metrics")] == [5]
    assert read(settings, "processed-events") == []


def test_a_window_s_result_is_written_when_the_watermark_passes_its_end(settings: Settings) -> None:
    """Fails when the bound for out-of-orderness is another one than is asked for, e.g. 0 or 5 s."""
    topics.create("one-partition", partitions=1, settings=settings)
    job = jobs.submit("count_events", source="one-partition", out_of_orderness_seconds=0.5, settings=settings)

    def send_and_wait(number: int, milliseconds: int) -> None:
        value = json.dumps(event(number, START + timedelta(milliseconds=milliseconds))).encode()
        topics.write("one-partition", value, settings=settings)
        # Offsets are committed with a checkpoint, and so are the results that came before it.
        wait_until(
            lambda: groups.lag("count_events", "one-partition", settings=settings) == {0: 0}, 30, "it to be read"
        )

    send_and_wait(0, 0)
    send_and_wait(1, 1498)
    assert read(settings, "metrics") == []
    send_and_wait(2, 1499)  # a watermark of 999 ms says that nothing of the first second is to come
    assert [row["count"] for row in wait_until(lambda: read(settings, "metrics"), 30, "the window's result")] == [1]
    job.cancel()


def test_operators_have_the_same_uids_in_every_submit(settings: Settings) -> None:
    """Fails when the numbers that the planner gave the operators are left in the uids."""
    gateway.warm_up(settings).join()
    uids = []
    for _ in range(2):
        environment = gateway.remote_environment(settings, configuration())
        count_events.build(environment, Kafka.from_environment(settings.environment()))
        uids.append(set(gateway.renumber_uids(environment)))
    assert uids[0] == uids[1]
    assert {"0_kafka", "3_local-window-aggregate", "5_global-window-aggregate", "7_sink", "9_sink"} <= uids[0]


def test_the_maximum_parallelism_is_fixed(settings: Settings) -> None:
    """Fails when the configuration says no maximum: Flink then chooses one by the parallelism."""
    job = jobs.submit("count_events", settings=settings).wait_running()
    assert {vertex.maximum_parallelism for vertex in job.graph().vertices} == {120}


def test_flink_s_own_command_runs_the_job_without_a_secret_among_its_arguments(settings: Settings) -> None:
    """Fails when the job looks for addresses and password in its environment only, and not in the course's files."""
    job_file = "flink_jobs/count_events.py"
    command = [str(CHECKOUT / "course"), "flink", "run", "-d", "-py", job_file, "--start", "earliest"]
    send(settings, (event(n, START) for n in range(5)))
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert "Job has been submitted" in done.stdout, done.stdout + done.stderr
    jobs.find("count_events", settings=settings).wait_running()
    wait_until(lambda: len(read(settings, "processed-events")) == 5, 30, "the events to pass through")
