import pytest

from kernel_lib import live, topics
from kernel_lib.errors import NotFound, ServiceUnavailable
from kernel_lib.kafka_client import Record
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until


@pytest.fixture
def topic(settings: Settings) -> str:
    topics.create("tape", settings=settings)
    return "tape"


def collected(tail: live.TopicTail, count: int) -> list[Record]:
    found: list[Record] = []

    def enough() -> bool:
        found.extend(tail.poll())
        return len(found) >= count

    wait_until(enough, 20, f"{count} records")
    return found


def test_a_tail_from_the_end_shows_only_what_comes(settings: Settings, topic: str) -> None:
    topics.write(topic, b"old", settings=settings)
    tail = live.TopicTail(topic, settings=settings)
    topics.write(topic, b"new", settings=settings)
    assert [record.value for record in collected(tail, 1)] == [b"new"]
    tail.stop()


def test_a_tail_from_the_beginning_shows_what_is_there(settings: Settings, topic: str) -> None:
    topics.write(topic, b"1", b"2", b"3", key=b"k", settings=settings)
    tail = live.TopicTail(topic, since="beginning", settings=settings)
    assert [record.value for record in collected(tail, 3)] == [b"1", b"2", b"3"]
    tail.stop()


def test_a_tail_that_falls_behind_passes_over_old_records_and_counts_them(settings: Settings, topic: str) -> None:
    topics.write(topic, *(str(n).encode() for n in range(2000)), key=b"k", settings=settings)
    tail = live.TopicTail(topic, since="beginning", max_records=50, settings=settings)
    wait_until(lambda: tail.poll() is not None and tail.skipped, 20, "records to be passed over")
    assert tail.gap.startswith(f"Up to {tail.skipped:,} records of tape were passed over, the last at ")
    topics.write(topic, b"newest", key=b"k", settings=settings)
    wait_until(lambda: b"newest" in [record.value for record in tail.poll()], 20, "the newest record")
    tail.stop()


def test_running_the_cell_again_stops_the_tail_before(settings: Settings, topic: str) -> None:
    first = live.TopicTail(topic, settings=settings)
    second = live.TopicTail(topic, settings=settings)
    topics.write(topic, b"x", settings=settings)
    collected(second, 1)
    assert first.poll() == []
    second.stop()


def test_a_tail_of_an_unknown_topic_is_refused_at_once(settings: Settings) -> None:
    with pytest.raises(NotFound, match="no topic"):
        live.TopicTail("no-such-topic", settings=settings)


def test_a_tail_of_a_cluster_that_is_down_is_refused_in_words(settings: Settings, unused_port: int) -> None:
    away = settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{unused_port}"})
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        live.TopicTail("tape", settings=away)


def test_a_tail_says_when_its_topic_is_gone(settings: Settings, topic: str) -> None:
    tail = live.TopicTail(topic, settings=settings)
    topics.delete(topic, settings=settings)
    wait_until(lambda: tail.poll() == [] and tail.problem, 40, "the tail to notice")
    assert "tape" in tail.problem
    tail.stop()
