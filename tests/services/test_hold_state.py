import pytest

from kernel_lib import checkpoints, jobs, oracle, producer, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

USERS = 300
BYTES_PER_USER = 5_000
BACKENDS = {
    "hashmap": {"state.backend.type": "hashmap"},
    "rocksdb": {"state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true"},
    "forst": {"state.backend.type": "forst", "execution.checkpointing.incremental": "true"},
}


@pytest.fixture(autouse=True)
def four_topics(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    for name in ("processed-events", "acknowledgements"):
        topics.create(name, partitions=2, append_time=True, settings=settings)
    topics.create("control", compacted=True, settings=settings)


def shop(settings: Settings, count: int) -> Producer:
    return producer.start(
        "user-events",
        events_per_second=2000,
        count=count,
        seed=7,
        settings=settings,
        keys=USERS,
        malformed_share=0.03,
        duplicate_share=0.03,
        delay_ms=100,
    )


def expected(run: Producer | str) -> dict[str, int]:
    """Return which number each event has among those of its user, by its id."""
    frame = oracle.replay(run)
    numbers = frame.groupby("userId")["number"].rank().astype(int)
    name = run if isinstance(run, str) else run.run
    return {f"{name}-{number}": rank for number, rank in zip(frame["number"], numbers, strict=True)}


def found(settings: Settings) -> dict[str, int]:
    """Return what the job says."""
    rows = [record.json() for record in topics.read("processed-events", limit=100_000, settings=settings)]
    assert len({row["eventId"] for row in rows}) == len(rows)
    return {row["eventId"]: row["number"] for row in rows}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_holds_the_state_in_its_checkpoints_and_gives_it_back(settings: Settings, backend: str) -> None:
    """Fails when the number is kept in the function instead of in state: then the rescale, which goes on from a
    checkpoint, begins anew; and when the backend that is asked for is not the one that runs: only of the other two
    does a quiet checkpoint build on the one before and write next to nothing."""
    options = BACKENDS[backend]
    job = jobs.submit(
        "hold_state", bytes_per_user=BYTES_PER_USER, start="earliest", flink_options=options, settings=settings
    )
    with shop(settings, 3000) as sent:
        wait_until(lambda: sent.stats.sent > 1000, 30, "the first half to be sent")
        sent.set(events_per_second=0)
        wait_until(lambda: len(found(settings)) > 500, 30, "results of a checkpoint")
        job.rescale(2)
        sent.set(events_per_second=2000)  # what comes now builds on what came before the rescale
        sent.wait(60)
    wait_until(lambda: len(found(settings)) == len(expected(sent)), 30, "all results")
    reader = checkpoints.CheckpointReader(job)
    seen = reader().counts.completed
    wait_until(lambda: reader().counts.completed > seen + 1, 20, "a checkpoint after the last event")
    last = reader().last_completed
    assert last is not None
    assert last.state > BYTES_PER_USER * oracle.replay(sent)["userId"].nunique()
    assert (last.written < last.state / 4) is (backend != "hashmap")
    job.drain()
    assert found(settings) == expected(sent)
