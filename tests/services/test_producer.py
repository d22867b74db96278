import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil
import pytest

from kernel_lib import generators, oracle, producer, runs, topics
from kernel_lib.errors import AuthenticationFailed, ConfigurationError, NotFound, ProducerFailed, ServiceUnavailable
from kernel_lib.ledger import Ledger
from kernel_lib.producer import Producer
from kernel_lib.records import UserEvent
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings() -> Iterator[Settings]:
    settings = load(namespace=f"t-{secrets.token_hex(4)}")
    topics.create("user-events", settings=settings)
    yield settings
    producer.stop_all()
    for name in topics.list_names(settings=settings):
        topics.delete(name, settings=settings)


def read(settings: Settings) -> list[UserEvent]:
    records = topics.read("user-events", limit=1_000_000, settings=settings)
    return [msgspec.json.decode(record.value or b"", type=UserEvent) for record in records]


def number(event: UserEvent) -> int:
    return int(event.eventId.rpartition("-")[2])


def until_acknowledged(shop: Producer, events: int) -> None:
    wait_until(lambda: shop.stats.acknowledged >= events, 20, f"{events} acknowledgements", interval_seconds=0.01)


def test_a_count_of_events_is_sent_and_acknowledged(settings: Settings) -> None:
    stats = producer.start("user-events", events_per_second=2_000, count=3_000, settings=settings).wait(30)
    assert (stats.sent, stats.acknowledged, stats.refused, stats.in_doubt, stats.in_flight) == (3_000, 3_000, 0, 0, 0)
    assert stats.events_per_second == 0


def test_the_topic_holds_what_seed_and_knob_log_say(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=500, seed=42, settings=settings)
    until_acknowledged(shop, 100)
    shop.set(events_per_second=2_000)
    until_acknowledged(shop, 1_000)
    sent = shop.stop().sent
    log = runs.Run.open(shop.run).knob_log()
    truth = generators.seeded("user-events", seed=42, partitions=6).emit(0, sent, log, run=shop.run, sent_at=0).values
    found = sorted(read(settings), key=number)
    assert [msgspec.json.encode(msgspec.structs.replace(event, sentAt=0)) for event in found] == truth


def test_events_are_keyed_by_user_and_in_order_within_a_partition(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=2_000, count=2_000, settings=settings)
    shop.wait(30)
    records = topics.read("user-events", settings=settings)
    assert all(record.json()["userId"].encode() == record.key for record in records)
    with Ledger(shop, "user-events", settings=settings) as book:
        assert book.settle(20).text == "user-events: 2,000 sent, 2,000 received, 0 missing, 0 duplicate, 0 out of order"


@pytest.mark.alone
def test_a_new_rate_holds_within_a_tenth_of_a_second(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=20, settings=settings)
    until_acknowledged(shop, 5)
    asked_ms = time.time() * 1000
    applied = shop.set(events_per_second=1_000)
    until_acknowledged(shop, applied.index + 300)
    shop.stop()
    after = [event for event in read(settings) if applied.index <= number(event) < applied.index + 100]
    assert applied.milliseconds < 100
    # Fifty events at the new rate are due after 50 ms; at the old one they would take 2.5 s.
    assert sorted(event.sentAt for event in after)[49] - asked_ms < 150


def test_what_is_due_is_sent_in_each_tick(settings: Settings) -> None:
    """Fails when the ticks of a producer are the usual ones whatever it is told."""
    shop = producer.start("user-events", events_per_second=100, count=200, tick_seconds=0.5, settings=settings)
    shop.wait()
    sent = sorted({event.sentAt for event in read(settings)})
    assert len(sent) > 2
    assert min(later - sooner for sooner, later in pairwise(sent)) >= 500


def test_a_rate_of_zero_pauses_and_another_goes_on(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=500, settings=settings)
    until_acknowledged(shop, 50)
    paused_at = shop.set(events_per_second=0).index
    wait_until(lambda: not shop.stats.in_flight, 10, "acknowledgements")
    assert shop.stats.sent == paused_at
    assert shop.set(events_per_second=500).index == paused_at
    until_acknowledged(shop, paused_at + 50)


def test_the_types_that_were_sent_can_be_counted_live_and_replayed(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=2_000, count=1_500, settings=settings)
    by_type = Counter(shop.wait(30).by_type)
    assert +by_type == oracle.sent_by_type(shop) == Counter(event.eventType for event in read(settings))


def test_after_a_kill_events_are_in_doubt_and_none_is_lost(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=5_000, settings=settings)
    until_acknowledged(shop, 2_000)
    stats = shop.kill()
    assert stats.sent == stats.acknowledged + stats.in_doubt
    with Ledger(shop.run, "user-events", settings=settings) as book:
        figures = book.settle(20)
    assert (figures.missing, figures.duplicate, figures.in_doubt) == (0, 0, stats.in_doubt)
    assert figures.acknowledged <= figures.received <= figures.sent


def test_starting_again_replaces_the_predecessor(settings: Settings) -> None:
    first = producer.start("user-events", settings=settings)
    second = producer.start("user-events", settings=settings)
    assert not first.alive
    assert [each for each in producer.running() if each.topic == "user-events"] == [second]


def test_producers_of_other_names_run_side_by_side(settings: Settings) -> None:
    first = producer.start("user-events", name="first", settings=settings)
    second = producer.start("user-events", name="second", settings=settings)
    assert first.alive
    assert second.alive


def test_a_producer_that_is_gone_cannot_be_set(settings: Settings) -> None:
    shop = producer.start("user-events", count=1, settings=settings)
    shop.wait(20)
    with pytest.raises(ProducerFailed, match="ended with code 0"):
        shop.set(events_per_second=1)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_producer_ends_with_the_process_that_started_it(settings: Settings, ending: signal.Signals) -> None:
    program = "import signal; from kernel_lib import producer; print(producer.start('user-events').pid, flush=True); "
    parent = subprocess.Popen(
        [sys.executable, "-c", program + "signal.pause()"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "NAMESPACE": settings.namespace},
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.send_signal(ending)
    parent.wait(10)
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the producer to end")


def test_no_password_is_on_the_command_line_or_in_the_environment(settings: Settings) -> None:
    shop = producer.start("user-events", settings=settings)
    process = psutil.Process(shop.pid)
    password = settings.sasl_password.get_secret_value()
    assert password
    assert password not in " ".join([*process.cmdline(), *process.environ().values(), repr(shop)])
    assert not any(password.encode() in path.read_bytes() for path in shop.folder.iterdir())


def test_when_its_topic_is_deleted_events_are_refused_not_lost(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=200, settings=settings)
    until_acknowledged(shop, 50)
    topics.delete("user-events", settings=settings)
    # Events that wait while the topic goes are refused by librdkafka, later ones for want of the topic.
    reasons = ("UNKNOWN_TOPIC", "was its topic deleted?")
    wait_until(lambda: any(word in shop.stats.last_error for word in reasons), 60, "a refusal and its reason")
    stats = shop.stop()  # what still waits is given up, for another reason
    assert stats.refused
    assert stats.sent == stats.acknowledged + stats.refused + stats.in_doubt


def test_metrics_of_this_host_are_sent(settings: Settings) -> None:
    topics.create("system-metrics", settings=settings)
    shop = producer.start("system-metrics", events_per_second=50, count=10, settings=settings)
    assert shop.wait(20).by_type == {"cpu": 2, "memory": 2, "disk": 2, "load": 2, "processes": 2}
    records = topics.read("system-metrics", settings=settings)
    assert all(record.key == record.json()["host"].encode() for record in records)


@pytest.mark.parametrize("rate", [-1, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused_and_the_producer_goes_on(settings: Settings, rate: float) -> None:
    shop = producer.start("user-events", events_per_second=100, settings=settings)
    with pytest.raises(ConfigurationError, match="events_per_second"):
        shop.set(events_per_second=rate)
    assert shop.set(events_per_second=50).knobs == {"events_per_second": 50}


def test_a_stream_without_generator_names_those_that_have_one(settings: Settings) -> None:
    with pytest.raises(NotFound, match="user-events"):
        producer.start("alerts", settings=settings)


def test_a_missing_topic_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"nowhere\.user-events"):
        producer.start("user-events", settings=load(namespace="nowhere"))


def test_a_wrong_password_starts_no_producer() -> None:
    with pytest.raises(AuthenticationFailed):
        producer.start("user-events", settings=load(sasl_password="wrong"))


def test_a_closed_port_starts_no_producer() -> None:
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:9"):
        producer.start("user-events", settings=load(kafka_bootstrap_servers="127.0.0.1:9"))


def test_a_burst_ends_by_itself_with_the_rate_before_it(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=20, settings=settings)
    begun = shop.burst(events_per_second=2_000, seconds=0.5).index
    log = runs.Run.open(shop.run)
    wait_until(lambda: log.knob_log().last.index > begun, 5, "the burst to end", interval_seconds=0.02)
    entries = log.knob_log().entries
    assert [entry.events_per_second for entry in entries] == [20, 2_000, 20]
    assert 500 <= entries[2].at_ms - entries[1].at_ms < 800
    assert shop.stop().acknowledged >= 900


def test_a_rate_that_is_set_ends_the_burst(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=20, settings=settings)
    shop.burst(events_per_second=500, seconds=0.3)
    index = shop.set(events_per_second=100).index
    until_acknowledged(shop, index + 60)  # twice as long as the burst would last
    assert [entry.events_per_second for entry in runs.Run.open(shop.run).knob_log().entries] == [20, 500, 100]


@pytest.mark.parametrize("seconds", [0, -1, float("inf")])
def test_an_endless_burst_is_refused(settings: Settings, seconds: float) -> None:
    shop = producer.start("user-events", settings=settings)
    with pytest.raises(ConfigurationError, match="cannot last"):
        shop.burst(events_per_second=500, seconds=seconds)


def test_every_knob_is_in_force_from_the_index_that_is_told(settings: Settings) -> None:
    """Fails when `_apply` notes the knobs after the events that were due, or leaves one out."""
    topics.create("transactions", settings=settings)
    shop = producer.start("transactions", events_per_second=500, settings=settings)
    until_acknowledged(shop, 100)
    wanted = {"malformed_share": 0.5, "late_share": 0.3, "late_ms": 60_000.0, "duplicate_share": 0.1, "keys": 30}
    index = shop.set(**wanted).index
    until_acknowledged(shop, index + 400)
    shop.stop()
    log = runs.Run.open(shop.run).knob_log()
    assert [log.at(n).late_share for n in (index - 1, index)] == [0, 0.3]
    frame = oracle.replay(shop, malformed=True)
    before, after = frame[frame["number"] < index], frame[frame["number"] >= index]
    assert not before["late"].any()
    assert set(before["malformed"]) == {""}
    assert abs((after["malformed"] != "").mean() - 0.5) < 0.1
    assert after[after["repeats"] >= index]["userId"].nunique() == 30


def test_the_events_of_a_silent_partition_are_withheld_and_not_lost(settings: Settings) -> None:
    shop = producer.start("user-events", events_per_second=2_000, count=3_000, silent_partitions=[2], settings=settings)
    stats = shop.wait(30)
    assert stats.withheld > 200
    assert stats.sent + stats.withheld == 3_000
    assert {record.partition for record in topics.read("user-events", settings=settings)} == {0, 1, 3, 4, 5}
    with Ledger(shop, "user-events", settings=settings) as book:
        figures = book.settle(20)
    assert (figures.sent, figures.received, figures.missing) == (stats.sent, stats.sent, 0)


@pytest.mark.parametrize("topic", ["transactions", "iot-sensors"])
def test_other_streams_are_sent_as_their_seed_says(settings: Settings, topic: str) -> None:
    topics.create(topic, settings=settings)
    shop = producer.start(topic, events_per_second=2_000, count=1_000, seed=9, settings=settings)
    shop.wait(30)
    frame = oracle.replay(shop)
    found = {record.json()["eventId"]: record.json() for record in topics.read(topic, settings=settings)}
    assert len(found) == len(frame) == 1_000
    for row in frame.to_dict("records"):
        event = found[f"{shop.run}-{row['number']}"]
        assert {name: event[name] for name in event.keys() - {"eventId", "sentAt", "location"}}.items() <= row.items()


def test_a_knob_that_a_stream_lacks_is_refused_before_a_process_starts(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="no knob 'fraud_share'"):
        producer.start("user-events", fraud_share=0.1, settings=settings)
    assert not producer.running()
