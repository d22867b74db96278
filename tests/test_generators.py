from collections import defaultdict
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_lib import generators
from kernel_lib.cities import CITIES
from kernel_lib.errors import NotFound
from kernel_lib.generators import UserEvents
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.records import UserEvent

ANCHOR_MS = 1_790_000_000_000
LOG = KnobLog([Knobs(0, ANCHOR_MS, 100), Knobs(5_000, ANCHOR_MS + 60_000, 2_000)])
SHOP = UserEvents(seed=7)
EVENTS = SHOP.events(0, 10_000, LOG, run="r")


def sessions() -> dict[str, list[UserEvent]]:
    found: dict[str, list[UserEvent]] = defaultdict(list)
    for event in EVENTS[:5_000]:
        found[event.sessionId].append(event)
    return found


def test_the_same_seed_gives_the_same_events() -> None:
    assert UserEvents(seed=7).events(0, 1_000, LOG, run="r") == EVENTS[:1_000]


def test_another_seed_gives_other_events() -> None:
    assert UserEvents(seed=8).events(0, 10, LOG, run="r") != EVENTS[:10]


@settings(max_examples=50, deadline=None)
@given(first=st.integers(0, 9_000), count=st.integers(1, 1_000))
def test_any_stretch_of_a_run_can_be_made_without_the_events_before_it(first: int, count: int) -> None:
    assert SHOP.events(first, count, LOG, run="r") == EVENTS[first : first + count]


def test_event_ids_are_dense_from_zero() -> None:
    assert [event.eventId for event in EVENTS[:3]] == ["r-0", "r-1", "r-2"]


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
    assert {before.page for before, after in steps if after.eventType == "purchase"} == {"/checkout"}


def test_attention_ends_before_the_next_click_of_the_session() -> None:
    seconds = {event.eventId: index / 100 for index, event in enumerate(EVENTS[:5_000])}
    for events in sessions().values():
        for before, after in pairwise(events):
            assert before.duration <= seconds[after.eventId] - seconds[before.eventId] + 0.001


def test_every_type_of_event_occurs() -> None:
    assert {event.eventType for event in EVENTS} == set(UserEvents.event_types)


def test_users_live_within_forty_kilometres_of_a_real_city() -> None:
    for place in SHOP.locations[:500]:
        nearest = min(
            np.hypot(place.lat - city.lat, (place.lon - city.lon) * np.cos(np.radians(city.lat))) for city in CITIES
        )
        assert nearest * 111 < 40


def test_a_user_keeps_home_and_browser() -> None:
    known: dict[str, tuple[object, str]] = {}
    for event in EVENTS:
        assert known.setdefault(event.userId, (event.location, event.userAgent)) == (event.location, event.userAgent)


def test_columns_say_the_same_as_events() -> None:
    columns = SHOP.columns(4_990, 20, LOG)
    assert [SHOP.event_types[kind] for kind in columns.event_type] == [event.eventType for event in EVENTS[4_990:5_010]]


def test_what_is_sent_is_keyed_by_user() -> None:
    emission = SHOP.emit(0, 50, LOG, run="r", sent_at=42)
    assert emission.keys == [event.userId for event in EVENTS[:50]]
    assert msgspec.to_builtins(emission.events[0])["sentAt"] == 42


def test_a_topic_without_generator_names_those_that_have_one() -> None:
    with pytest.raises(NotFound, match="user-events"):
        generators.stream("processed-events", 1)
