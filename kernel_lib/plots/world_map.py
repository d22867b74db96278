"""Draw where events happen, on a map of the world that needs no network: live points over how dense they have been.

Question: where does it happen, and where most? The newest events are dots that fade, purchases are diamonds; the shade
behind them is how many events each field of two degrees has had, older ones counting less and less.

Fault that changes it: give one user nearly all events (`hot_share`), and the world shrinks to one place.
    before  "1,780 events in the last 30 s from 74 cities; most near Tokyo (6%), Delhi (5%), Shanghai (4%)."
    then    "1,791 events in the last 30 s from 31 cities; most near Lagos (91%), Tokyo (1%), Delhi (1%)."

    >>> plots.WorldMap(live.TopicTail("user-events"))
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper, Range1d
from numpy.typing import NDArray

from kernel_lib import live
from kernel_lib.generators.cities import CITIES
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since
from kernel_lib.records import Location

OUTLINES = Path(__file__).with_name("outlines.json")
SECONDS_SHOWN = 30
MOST_SHOWN = 600
MOST_KEPT = 30_000
QUIET_AFTER_SECONDS = 6.0
HALF_LIFE_SECONDS = 60.0
FIELD_DEGREES = 2
SOUTH, NORTH = -60, 80
Columns = dict[str, Any]

_CITY_AT = np.radians([(city.lat, city.lon) for city in CITIES])


class Sighting(NamedTuple):
    """An event on the map: when it was read (epoch s), where it happened (degrees), its kind and its user."""

    at: float
    lat: float
    lon: float
    kind: str
    user: str


class _Event(msgspec.Struct):
    location: Location
    eventType: str = ""
    userId: str = ""


def sightings(records: Iterable[Record], now: float) -> list[Sighting]:
    """Return the events among the records that say where they happened; others are passed over."""
    found = []
    for record in records:
        try:
            event = msgspec.json.decode(record.value or b"", type=_Event)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        found.append(Sighting(now, event.location.lat, event.location.lon, event.eventType, event.userId))
    return found


def sighting_columns(shown: Sequence[Sighting], now: float) -> Columns:
    """Return one row an event; the older, the fainter."""
    ages = np.array([now - each.at for each in shown])
    return {
        "lon": np.array([each.lon for each in shown]),
        "lat": np.array([each.lat for each in shown]),
        "kind": [each.kind for each in shown],
        "user": [each.user for each in shown],
        "alpha": np.clip(1 - ages / SECONDS_SHOWN, 0.05, 1.0),
    }


class Density:
    """How many events each field of the map has had, those of a half-life ago counting half."""

    def __init__(self) -> None:
        shape = ((NORTH - SOUTH) // FIELD_DEGREES, 360 // FIELD_DEGREES)
        self.fields: NDArray[np.float64] = np.zeros(shape)
        self._at: float | None = None

    def add(self, fresh: Sequence[Sighting], now: float) -> NDArray[np.float64]:
        """Count events and return the fields, from south-west to north-east."""
        if self._at is not None:
            self.fields *= 0.5 ** ((now - self._at) / HALF_LIFE_SECONDS)
        self._at = now
        if fresh:
            rows, columns = self.fields.shape
            places = np.array([(each.lat, each.lon) for each in fresh])
            counts, _, _ = np.histogram2d(
                places[:, 0], places[:, 1], bins=(rows, columns), range=((SOUTH, NORTH), (-180, 180))
            )
            self.fields += counts
        return self.fields


def nearest_cities(shown: Sequence[Sighting]) -> Counter[str]:
    """Return how many events are nearest to each city of the course, as the crow flies."""
    if not shown:
        return Counter()
    lat, lon = np.radians([(each.lat, each.lon) for each in shown]).T[:, :, None]
    city_lat, city_lon = _CITY_AT.T
    # The cosine of the angle at the centre of the earth grows as the distance shrinks.
    closeness = np.sin(lat) * np.sin(city_lat) + np.cos(lat) * np.cos(city_lat) * np.cos(lon - city_lon)
    return Counter(CITIES[index].name for index in closeness.argmax(axis=1))


def map_sentence(shown: Sequence[Sighting]) -> str:
    """Return how many events there were and where most."""
    cities = nearest_cities(shown)
    if not cities:
        return f"No event in the last {SECONDS_SHOWN} s says where it happened."
    most = ", ".join(f"{name} ({count / len(shown):.0%})" for name, count in cities.most_common(3))
    return f"{len(shown):,} events in the last {SECONDS_SHOWN} s from {len(cities)} cities; most near {most}."


@lru_cache(maxsize=1)
def outlines() -> dict[str, list[list[list[float]]]]:
    """Return the lines of the map, each as its longitudes and its latitudes; the file names their source."""
    return dict(json.loads(OUTLINES.read_text()))


class WorldMap(View):
    """The events of the last half minute on the map."""

    def __init__(
        self, tail: live.TopicTail, *, because: Callable[[], str] | None = None, name: str = "world map"
    ) -> None:
        self.tail = tail
        self._because = because or (lambda: "no event arrives")
        self._seen: deque[Sighting] = deque(maxlen=MOST_KEPT)
        self._density = Density()
        self.purchases = ColumnDataSource(sighting_columns([], 0))
        self.density = ColumnDataSource({"image": [self._density.fields]})
        source = ColumnDataSource(sighting_columns([], 0))
        super().__init__(self._figure(source), source, title=f"Where {tail.topic} happen", name=name, reads=[tail])

    def draw(self) -> str:
        now = time.time()
        fresh = sightings(self.tail.poll(), now)
        self._seen.extend(fresh)
        while self._seen and self._seen[0].at < now - SECONDS_SHOWN:
            self._seen.popleft()
        newest = list(self._seen)[-MOST_SHOWN:]
        self.source.data = sighting_columns([each for each in newest if each.kind != "purchase"], now)
        self.purchases.data = sighting_columns([each for each in newest if each.kind == "purchase"], now)
        self.density.data = {"image": [np.log1p(self._density.add(fresh, now))]}
        quiet = now - (self.tail.last_record_at or 0) > QUIET_AFTER_SECONDS
        self.quiet_because = first_reason(self.tail.problem, self._because if quiet else "")
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return map_sentence(self._seen)

    def _figure(self, source: ColumnDataSource) -> Any:
        hover = HoverTool(tooltips=[("event", "@kind of @user"), ("where", "@lat{0.0}°, @lon{0.0}°")])
        plot = look.figure(
            height=430, hover=hover, title_of_x="degrees east", title_of_y="degrees north",
            x_range=Range1d(start=-180, end=180), y_range=Range1d(start=SOUTH, end=NORTH),
        )  # fmt: skip
        plot.grid.visible = False
        xs, ys = zip(*outlines()["land"], strict=True)
        plot.patches(
            list(xs), list(ys), fill_color=look.INK, fill_alpha=0.16, line_color=look.INK, line_alpha=0.5
        )  # fmt: skip
        xs, ys = zip(*outlines()["borders"], strict=True)
        plot.multi_line(list(xs), list(ys), color=look.INK, alpha=0.25, width=0.7)
        shades = [f"{look.WARN}{round(alpha):02x}" for alpha in np.linspace(0, 200, 32)]
        plot.image(
            "image", source=self.density, x=-180, y=SOUTH, dw=360, dh=NORTH - SOUTH,
            color_mapper=LinearColorMapper(palette=shades, low=0),
        )  # fmt: skip
        place: dict[str, Any] = {"x": "lon", "y": "lat", "alpha": "alpha", "line_color": None}
        hover.renderers = [
            plot.scatter(**place, source=source, size=6, color=look.PALETTE[0], legend_label="event"),
            plot.scatter(**place, source=self.purchases, size=10, color=look.BAD, marker="diamond",
                         legend_label="purchase"),
        ]  # fmt: skip
        look.legend(plot)
        return plot
