from collections import defaultdict
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_lib import generators
from kernel_lib.errors import NotFound
from kernel_lib.generators.cities import CITIES
from kernel_lib.generators.malformed import KINDS as MALFORMED
from kernel_lib.generators.partitioner import partition_of
from kernel_lib.generators.people import distance_km
from kernel_lib.generators.scramble import LARGEST_DEVIATION
from kernel_lib.generators.streams import SeededStream
from kernel_lib.knob_log import MOST_KEYS, KnobLog, Knobs
from kernel_lib.records import EVENT_TYPES, UserEvent

ANCHOR_MS = 1_790_000_000_000
LOG = KnobLog([Knobs(0, ANCHOR_MS, 100), Knobs(5_000, ANCHOR_MS + 60_000, 2_000)])
EVERY_KNOB = Knobs(
    0, ANCHOR_MS, 50, day_seconds=60, keys=500, hot_share=0.1, delay_ms=200, jitter_ms=100, late_share=0.05,
    duplicate_share=0.05, malformed_share=0.05, fraud_share=0.05, anomaly_share=0.05, silent_partitions=(1,),
)  # fmt: skip
ALL_KNOBS = KnobLog([EVERY_KNOB, msgspec.structs.replace(EVERY_KNOB, index=700, at_ms=ANCHOR_MS + 9_000, keys=80)])
STREAMS = {topic: generators.seeded(topic, seed=7) for topic in generators.SEEDED}
SHOP = STREAMS["user-events"]


def knobs(**values: object) -> KnobLog:
    return KnobLog([msgspec.convert({"index": 0, "at_ms": ANCHOR_MS, "events_per_second": 100} | values, Knobs)])


def events(stream: SeededStream, first: int, count: int, log: KnobLog) -> list[UserEvent]:
    values = stream.emit(first, count, log, run="r", sent_at=0).values
    return [msgspec.json.decode(value, type=UserEvent) for value in values]


EVENTS = events(SHOP, 0, 10_000, LOG)


def sessions() -> dict[str, list[UserEvent]]:
    found: dict[str, list[UserEvent]] = defaultdict(list)
    for event in EVENTS[:5_000]:
        found[event.sessionId].append(event)
    return found


@pytest.mark.parametrize("topic", STREAMS)
def test_the_same_seed_gives_the_same_records_and_another_seed_others(topic: str) -> None:
    emitted = [generators.seeded(topic, seed).emit(0, 500, ALL_KNOBS, run="r", sent_at=1) for seed in (7, 7, 8)]
    assert emitted[0].values == emitted[1].values
    assert emitted[0].keys == emitted[1].keys
    assert emitted[0].withheld.tolist() == emitted[1].withheld.tolist()
    assert sum(a == b for a, b in zip(emitted[0].values, emitted[2].values, strict=True)) < 10


@settings(max_examples=50, deadline=None)
@given(topic=st.sampled_from(sorted(STREAMS)), first=st.integers(0, 1_500), count=st.integers(1, 400))
def test_any_stretch_of_a_run_can_be_made_without_the_events_before_it(topic: str, first: int, count: int) -> None:
    whole = STREAMS[topic].emit(0, 2_000, ALL_KNOBS, run="r", sent_at=1)
    part = STREAMS[topic].emit(first, count, ALL_KNOBS, run="r", sent_at=1)
    assert part.values == whole.values[first : first + count]
    assert part.keys == whole.keys[first : first + count]
    assert part.withheld.tolist() == whole.withheld[first : first + count].tolist()


@pytest.mark.parametrize("topic", STREAMS)
def test_records_are_the_events_of_their_topic_keyed_by_user_or_device(topic: str) -> None:
    emission = STREAMS[topic].emit(0, 50, LOG, run="r", sent_at=42)
    decoded = [msgspec.json.decode(value, type=EVENT_TYPES[topic]) for value in emission.values]
    assert [msgspec.json.encode(event) for event in decoded] == emission.values
    key = "sensorId" if topic == "iot-sensors" else "userId"
    assert emission.keys == [getattr(event, key) for event in decoded]
    assert [(event.eventId, event.sentAt) for event in decoded[:2]] == [("r-0", 42), ("r-1", 42)]  # type: ignore[attr-defined]


def test_timestamps_are_utc_with_milliseconds_and_follow_the_knob_log() -> None:
    assert EVENTS[1].timestamp == "2026-09-21T14:13:20.010Z"
    assert EVENTS[5_001].timestamp == "2026-09-21T14:14:20.000Z"


def test_a_session_belongs_to_one_user() -> None:
    assert all(len({event.userId for event in events}) == 1 for events in sessions().values())


def test_users_come_back_for_another_session() -> None:
    visits: dict[str, set[str]] = defaultdict(set)
    for event in EVENTS:
        visits[event.userId].add(event.sessionId)
    assert sum(len(found) > 1 for found in visits.values()) > len(visits) / 5


def test_nobody_purchases_without_having_been_at_the_checkout() -> None:
    steps = [pair for events in sessions().values() for pair in pairwise(events)]
    before_purchases = [before.page for before, after in steps if after.eventType == "purchase"]
    # The steps of a planned purchase take the place of other clicks, a checkout now and then among them.
    assert before_purchases.count("/checkout") >= 0.95 * len(before_purchases)


def test_attention_ends_before_the_next_click_of_the_session() -> None:
    seconds = {event.eventId: index / 100 for index, event in enumerate(EVENTS[:5_000])}
    for events in sessions().values():
        for before, after in pairwise(events):
            assert before.duration <= seconds[after.eventId] - seconds[before.eventId] + 0.001


def test_every_type_of_event_occurs() -> None:
    for stream in STREAMS.values():
        batch = stream.batch(0, 2_000, LOG)
        assert set(batch.type.tolist()) == set(range(len(stream.event_types)))


def test_users_are_near_a_real_city_or_fly_between_two_as_fast_as_an_airliner() -> None:
    seen: dict[str, UserEvent] = {}
    log = KnobLog([Knobs(0, ANCHOR_MS, 2.0, keys=50)])
    moved = 0
    for event in events(SHOP, 0, 20_000, log):
        before = seen.get(event.userId, event)
        hours = (_ms(event) - _ms(before)) / 3_600_000
        here, there = ([np.array([value]) for value in (e.location.lat, e.location.lon)] for e in (before, event))
        kilometres = float(distance_km(*here, *there)[0])
        # A straight line on the map is longer than the great circle's shadow on it, so fast in the far north.
        assert kilometres <= 1_300 * hours + 0.01
        moved += kilometres > 1
        seen[event.userId] = event
    assert 0 < moved < 10_000
    at_home = [e for e in EVENTS if min(_km_from(e, city) for city in CITIES) < 40]
    assert len(at_home) > len(EVENTS) * 0.8


def _ms(event: UserEvent) -> int:
    return int(np.datetime64(event.timestamp[:-1], "ms").astype(int))


def _km_from(event: UserEvent, city: object) -> float:
    place = event.location
    return float(distance_km(*(np.array([value]) for value in (place.lat, place.lon, city.lat, city.lon)))[0])  # type: ignore[attr-defined]


def test_a_topic_without_generator_names_those_that_have_one() -> None:
    with pytest.raises(NotFound, match="user-events"):
        generators.stream("processed-events", 1)


def test_measured_metrics_cannot_be_replayed() -> None:
    with pytest.raises(NotFound, match="cannot be replayed"):
        generators.seeded("system-metrics", 1)


# Knobs


def test_fewer_keys_give_fewer_users() -> None:
    for stream in STREAMS.values():
        assert set(stream.batch(0, 3_000, knobs(keys=40)).key.tolist()) == set(range(40))


def test_a_hot_key_has_its_share() -> None:
    for stream in STREAMS.values():
        assert abs(np.mean(stream.batch(0, 10_000, knobs(hot_share=0.4)).key == 0) - 0.4) < 0.03


def test_delay_and_jitter_move_event_time_back_and_out_of_order_within_bounds() -> None:
    log = knobs(delay_ms=500, jitter_ms=100)
    batch = SHOP.batch(0, 10_000, log)
    delay = log.due_ms(batch.index) - batch.time_ms
    assert abs(delay.mean() - 500) < 5
    assert abs(delay.std() - 100) < 5
    assert delay.min() >= 500 - 100 * LARGEST_DEVIATION - 1
    assert delay.max() <= 500 + 100 * LARGEST_DEVIATION + 1
    assert np.any(np.diff(batch.time_ms) < 0)


def test_late_events_are_late_and_listed() -> None:
    log = knobs(late_share=0.1, late_ms=20_000)
    batch = SHOP.batch(0, 10_000, log)
    delay = log.due_ms(batch.index) - batch.time_ms
    assert abs(batch.late.mean() - 0.1) < 0.01
    assert (delay[batch.late].min(), delay[~batch.late].max()) >= (10_000, 0)
    assert delay[~batch.late].max() == 0
    assert delay.max() <= 30_000


def test_a_duplicate_says_what_an_event_before_it_said_under_an_id_of_its_own() -> None:
    for topic, stream in STREAMS.items():
        log = knobs(duplicate_share=0.1)
        batch = stream.batch(0, 2_000, log)
        emission = stream.emit(0, 2_000, log, run="r", sent_at=0)
        again = np.flatnonzero(batch.source != batch.index)
        assert 150 < len(again) < 250, topic
        for at in again.tolist():
            first, second = (
                msgspec.json.decode(emission.values[n], type=dict[str, object]) for n in (int(batch.source[at]), at)
            )
            assert first.pop("eventId") != second.pop("eventId")
            assert first == second


def test_malformed_records_have_every_kind_and_keep_the_id_as_text() -> None:
    for topic, stream in STREAMS.items():
        log = knobs(malformed_share=0.5)
        batch, emission = stream.batch(0, 500, log), stream.emit(0, 500, log, run="r", sent_at=0)
        assert set(batch.malformed.tolist()) == set(range(len(MALFORMED)))
        for number, (kind, value) in enumerate(zip(batch.malformed.tolist(), emission.values, strict=True)):
            assert f'"eventId":"r-{number}"'.encode() in value
            assert _is_valid(value, EVENT_TYPES[topic]) == (kind == 0), (MALFORMED[kind], value)


def _is_valid(value: bytes, event_type: type[msgspec.Struct]) -> bool:
    try:
        event = msgspec.json.decode(value, type=event_type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    stamp = event.timestamp  # type: ignore[attr-defined]
    return str(stamp).startswith("2026")


def test_a_silent_partition_has_no_events_and_the_others_keep_theirs() -> None:
    for topic in STREAMS:
        stream = generators.seeded(topic, 7, partitions=3)
        usual = stream.emit(0, 3_000, knobs(), run="r", sent_at=0)
        silent = stream.emit(0, 3_000, knobs(silent_partitions=(2,)), run="r", sent_at=0)
        expected = [partition_of(key.encode(), 3) == 2 for key in usual.keys]
        assert silent.withheld.tolist() == expected
        assert 0.1 < np.mean(expected) < 0.6
        assert silent.values == usual.values


def test_a_partition_can_be_silent_among_as_many_keys_as_there_are() -> None:
    log = knobs(keys=MOST_KEYS, silent_partitions=(2,))
    for stream in STREAMS.values():
        assert 0.1 < stream.batch(0, 1_000, log).withheld.mean() < 0.25


def test_knobs_hold_from_the_next_event_on_also_for_what_was_made_ahead() -> None:
    for topic, stream in STREAMS.items():
        log = knobs()
        before = stream.emit(0, 10, log, run="r", sent_at=0)
        log.append(msgspec.structs.replace(log.last, index=10, at_ms=ANCHOR_MS + 5_000, keys=3, malformed_share=0.5))
        after = stream.emit(10, 10, log, run="r", sent_at=0)
        whole = generators.seeded(topic, seed=7).emit(0, 20, log, run="r", sent_at=0)
        assert before.values + after.values == whole.values
        assert len(set(after.keys)) <= 3


def test_a_silent_device_is_withheld() -> None:
    emission = STREAMS["iot-sensors"].emit(0, 1_000, knobs(silent_keys=("sensor-0003",)), run="r", sent_at=0)
    assert [key == "sensor-0003" for key in emission.keys] == emission.withheld.tolist()
    assert emission.withheld.sum() == 5


def test_the_rate_of_a_day_rises_and_falls_around_the_rate_that_was_set() -> None:
    rates = [Knobs(0, at, 100, day_seconds=60).rate for at in range(0, 60_000, 1_000)]
    assert abs(np.mean(rates) - 100) < 1
    assert (round(max(rates)), round(min(rates))) == (160, 40)
