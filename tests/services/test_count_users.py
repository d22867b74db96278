from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from kernel_lib import gateway, jobs, oracle, oracle_users, producer, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

KEY_GROUPS = 120
TTL = timedelta(milliseconds=400)
Change = tuple[str, int, str, int]


@pytest.fixture(autouse=True)
def five_topics(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    for name in ("processed-events", "metrics", "acknowledgements"):
        topics.create(name, partitions=2, append_time=True, settings=settings)
    topics.create("control", compacted=True, settings=settings)


def shop(settings: Settings, *, events_per_second: float, count: int) -> Producer:
    knobs: dict[str, Any] = {"keys": 200, "delay_ms": 150, "jitter_ms": 50, "malformed_share": 0.03}
    return producer.start(
        "user-events",
        events_per_second=events_per_second,
        count=count,
        seed=7,
        settings=settings,
        duplicate_share=0.03,
        **knobs,
    )


def expected(run: Producer | str, ttl: timedelta) -> list[Change]:
    """Return what becomes of every user's counter, by user and time."""
    changes = oracle_users.changes(oracle.replay(run), ttl)
    return [tuple(row) for row in changes.values.tolist()]


def found(settings: Settings) -> list[Change]:
    """Return what the job says of every user's counter, by user and time."""
    rows = (record.json() for record in topics.read("processed-events", limit=100_000, settings=settings))
    return sorted((row["userId"], milliseconds(row["timestamp"]), row["change"], row["count"]) for row in rows)


def last_reports(settings: Settings) -> dict[int, dict[str, Any]]:
    """Return the last report of each key group."""
    records = topics.read("metrics", limit=100_000, settings=settings)
    return {row["keyGroup"]: row for row in (r.json() for r in sorted(records, key=lambda r: r.offset))}


def created_by_group(changes: list[Change], settings: Settings) -> Counter[int]:
    """Return how many users were created in each key group, which Flink's own code says."""
    gateway.connect(settings)
    from pyflink.java_gateway import get_gateway

    jvm = get_gateway().jvm
    assignment = jvm.org.apache.flink.runtime.state.KeyGroupRangeAssignment

    def group_of(user: str) -> int:
        row = jvm.org.apache.flink.types.Row(1)
        row.setField(0, user)
        return int(assignment.assignToKeyGroup(row, KEY_GROUPS))

    return Counter(group_of(user) for user, _, change, _ in changes if change == "created")


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_every_user_is_created_counted_and_expires_as_event_time_says(settings: Settings) -> None:
    """Fails when a user expires `ttl_seconds` after the first event instead of the last one, when an event is counted
    as it comes instead of in the order of time, or when a key group is taken from another hash.

    In process mode, in which a timer that a timer registers comes too late for its place in time."""
    job = jobs.submit(
        "count_users", ttl_seconds=TTL.total_seconds(), start="earliest", python_mode="process", settings=settings
    )
    with shop(settings, events_per_second=1000, count=3000) as sent:
        sent.wait(60)
    job.drain()
    wanted = expected(sent, TTL)
    assert found(settings) == wanted
    assert Counter(change for _, _, change, _ in wanted)["expired"] > 500
    created = created_by_group(wanted, settings)
    reports = last_reports(settings)
    assert {group: (row["created"], row["expired"], row["users"]) for group, row in reports.items()} == {
        group: (number, number, 0) for group, number in created.items()
    }


def test_key_groups_move_with_their_users_when_the_job_is_rescaled(settings: Settings) -> None:
    """Fails when a key group is taken from another hash (its report then comes from another subtask than its users'
    changes), and when a report does not go on by itself after the rescale."""
    job = jobs.submit("count_users", ttl_seconds=3600, start="earliest", settings=settings)
    with shop(settings, events_per_second=250, count=1500) as sent:
        wait_until(lambda: sum(row["users"] for row in last_reports(settings).values()) > 20, 30, "users in state")
        before = last_reports(settings).keys()
        job.rescale(2)

        def parallelisms() -> set[int]:
            reports = last_reports(settings)
            return {reports[group]["parallelism"] for group in before}

        wait_until(lambda: parallelisms() == {2}, 30, "reports of every key group to go on")
        sent.wait(60)
    job.drain()
    assert found(settings) == expected(sent, timedelta(hours=1))
    holders = {group: row["subtask"] for group, row in last_reports(settings).items()}
    assert holders == {group: group * 2 // KEY_GROUPS for group in holders}
    changes = [r.json() for r in topics.read("processed-events", limit=100_000, settings=settings)]
    assert {row["keyGroup"] * 2 // KEY_GROUPS for row in changes if row["subtask"] == 1} == {1}
