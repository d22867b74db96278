import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flink_jobs import relay
from kernel_lib import groups, jobs, topics
from kernel_lib.errors import JobFailed
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

CHECKOUT = Path(relay.__file__).parent.parent
NEVER_MS = 600_000


@pytest.fixture(autouse=True)
def two_topics(settings: Settings) -> None:
    for name in ("user-events", "processed-events"):
        topics.create(name, partitions=1, settings=settings)


def event(number: int, **fields: Any) -> bytes:
    return json.dumps({"eventId": f"r-{number}", "eventType": "view", "duration": 1.0, **fields}).encode()


def passed(settings: Settings, topic: str = "processed-events", *, committed: bool = True) -> list[bytes]:
    return [record.value or b"" for record in topics.read(topic, committed=committed, settings=settings)]


def test_records_are_passed_byte_for_byte_with_their_keys(settings: Settings) -> None:
    """Fails when the bytes become text on the way, or the key is left out."""
    values = [event(0), b"\x00\xff\xfe", "an ü, not JSON".encode(), b"", b" [1, 2]\n"]
    keys = [b"u-1", b"\xff\x00", None]
    for key in keys:
        topics.write("user-events", *values, key=key, settings=settings)
    jobs.submit("relay", start="earliest", settings=settings).drain()
    found = topics.read("processed-events", settings=settings)
    assert [(record.key, record.value) for record in found] == [(key, value) for key in keys for value in values]


def test_a_condition_over_the_fields_of_an_event_keeps_the_others_out(settings: Settings) -> None:
    """Fails when the condition is not applied."""
    place = {"lat": 52.5, "lon": 13.4}
    topics.write(
        "user-events",
        event(0, duration=12.5, location=place),
        event(1, duration=3, location=place),
        event(2, duration=20, eventType="search", location=place),
        event(3, duration=30),
        b"no event",
        settings=settings,
    )
    where = "eventType = 'view' AND duration > 10 AND `location`.`lat` > 50"
    jobs.submit("relay", where=where, start="earliest", settings=settings).drain()
    assert passed(settings) == [event(0, duration=12.5, location=place)]


@pytest.mark.parametrize("guarantee", ["at-least-once", "none"])
def test_without_transactions_results_do_not_wait_for_a_checkpoint(guarantee: str, settings: Settings) -> None:
    """Fails when the sink is exactly-once whatever it is told."""
    rare = settings.model_copy(update={"flink_checkpoint_interval": NEVER_MS})
    jobs.submit("relay", guarantee=guarantee, settings=rare).wait_running()
    topics.write("user-events", event(0), settings=settings)
    assert wait_until(lambda: passed(settings), 30, "the event to pass") == [event(0)]


def test_exactly_once_results_are_seen_at_a_checkpoint_and_not_before(settings: Settings) -> None:
    """Fails when the guarantee is dropped to at-least-once."""
    rare = settings.model_copy(update={"flink_checkpoint_interval": NEVER_MS})
    job = jobs.submit("relay", settings=rare).wait_running()
    topics.write("user-events", event(0), settings=settings)
    wait_until(lambda: passed(settings, committed=False), 30, "the event to be written")
    assert passed(settings) == []
    job.drain()
    assert passed(settings) == [event(0)]


def test_both_lanes_run_at_once_under_names_of_their_own(settings: Settings) -> None:
    """Fails when both lanes have the consumer group of one name."""
    topics.create("exact", partitions=1, settings=settings)
    fast = jobs.submit("relay", name="fast", guarantee="at-least-once", settings=settings)
    exact = jobs.submit("relay", name="exact", sink="exact", settings=settings)
    sent = [event(number) for number in range(100)]
    topics.write("user-events", *sent, settings=settings)
    assert {job.name for job in jobs.running(settings=settings)} == {"fast", "exact"}
    wait_until(
        lambda: all(groups.lag(name, "user-events", settings=settings) == {0: 0} for name in ("fast", "exact")),
        30,
        "both lanes to read all",
    )
    fast.drain()
    exact.drain()
    assert passed(settings) == passed(settings, "exact") == sent


def test_a_restored_lane_passes_each_event_once(settings: Settings) -> None:
    """Fails when the job begins where `start` says, and not where its savepoint ends."""
    sent = [event(number) for number in range(200)]
    topics.write("user-events", *sent[:100], settings=settings)
    job = jobs.submit("relay", start="earliest", settings=settings)
    wait_until(lambda: passed(settings), 30, "the first events to pass")
    savepoint = job.stop_with_savepoint()
    topics.write("user-events", *sent[100:], settings=settings)
    jobs.submit("relay", restore=savepoint, settings=settings).drain()
    assert passed(settings) == sent


def test_a_condition_that_is_no_sql_is_refused_with_the_reason(settings: Settings) -> None:
    """Fails when the refusal does not say what is wrong in the words of Flink's planner."""
    with pytest.raises(JobFailed, match="did not take job relay") as refusal:
        jobs.submit("relay", where="colour = 'red'", settings=settings)
    assert "colour" in refusal.value.cause
    assert jobs.running(settings=settings) == []


def test_flink_s_own_command_runs_a_lane(settings: Settings) -> None:
    """Fails when an option of the command line does not reach `build`."""
    options = ["--guarantee", "at-least-once", "--name", "fast", "--start", "earliest", "--where", "duration > 1"]
    command = [str(CHECKOUT / "course"), "flink", "run", "-d", "-py", "flink_jobs/relay.py", *options]
    topics.write("user-events", event(0), event(1, duration=2), settings=settings)
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert "Job has been submitted" in done.stdout, done.stdout + done.stderr
    jobs.find("fast", settings=settings).wait_running()
    assert wait_until(lambda: passed(settings), 30, "the event to pass") == [event(1, duration=2)]
