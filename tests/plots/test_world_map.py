import numpy as np

from kernel_lib.kafka_client import Record
from kernel_lib.plots import world_map
from kernel_lib.plots.world_map import Density, Sighting

TOKYO = Sighting(0.0, 35.6, 139.8, "page_view", "user-1")


def record(value: bytes) -> Record:
    return Record("user-events", 0, 0, None, value, 0, "create")


def test_an_event_is_where_its_location_says() -> None:
    value = b'{"location": {"lat": 35.6, "lon": 139.8}, "eventType": "page_view", "userId": "user-1"}'
    assert world_map.sightings([record(value)], 0.0) == [TOKYO]


def test_events_without_a_place_are_passed_over() -> None:
    values = (b"", b"{", b"{}", b'{"location": null}', b'{"location": {"lat": "north", "lon": 1}}', b"\xff")
    assert world_map.sightings([record(value) for value in values], 0.0) == []


def test_an_event_is_counted_in_its_field_and_counts_half_after_a_half_life() -> None:
    density = Density()
    fields = density.add([TOKYO], 0.0)
    row, column = np.argwhere(fields == 1)[0]
    assert world_map.SOUTH + row * world_map.FIELD_DEGREES <= TOKYO.lat
    assert -180 + column * world_map.FIELD_DEGREES <= TOKYO.lon < -180 + (column + 1) * world_map.FIELD_DEGREES
    assert density.add([], world_map.HALF_LIFE_SECONDS).sum() == 0.5


def test_an_event_outside_the_map_is_not_counted() -> None:
    assert Density().add([TOKYO._replace(lat=-85.0)], 0.0).sum() == 0


def test_an_event_is_near_the_nearest_city_also_over_the_date_line() -> None:
    assert set(world_map.nearest_cities([TOKYO])) == {"Tokyo"}
    pacific = world_map.nearest_cities([TOKYO._replace(lat=-36.8, lon=-179.0)])
    assert set(pacific) & {"Auckland", "Sydney", "Wellington"}


def test_older_events_are_fainter() -> None:
    alphas = world_map.sighting_columns([TOKYO, TOKYO._replace(at=20.0)], 20.0)["alpha"]
    assert alphas[0] < alphas[1] == 1.0


def test_the_sentence_says_where_most_happens() -> None:
    assert world_map.map_sentence([TOKYO, TOKYO]) == "2 events in the last 30 s from 1 cities; most near Tokyo (100%)."
    assert world_map.map_sentence([]).startswith("No event")


def test_the_outlines_are_lines_on_the_globe_and_name_their_source() -> None:
    found = world_map.outlines()
    assert "Natural Earth" in str(found["source"])
    for part in ("land", "borders"):
        for xs, ys in found[part]:
            assert len(xs) == len(ys) > 1
            assert min(xs) < 180
            assert max(xs) > -180
            assert max(np.abs(np.diff(xs))) < 180, "a line across the whole map"
            assert min(ys) >= -90
            assert max(ys) <= 90
