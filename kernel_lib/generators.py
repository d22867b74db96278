"""Own the seeded streams of events: the same seed, index and knob log give the same events, in any order.

An online shop: users of real cities come for sessions, and a session is a journey from page to page. So
that event `i` can be made without the events before it, a round of events visits every user who is on the
site once, in an order of its own; each place on the site follows one of a few hundred precomputed frames
of sessions, in which two users alternate. A user's pause is thus the other one's session.

    >>> log = KnobLog([Knobs(index=0, at_ms=0, events_per_second=100)])
    >>> UserEvents(seed=1).events(0, 1, log, run="r1")[0].timestamp
    '1970-01-01T00:00:00.000Z'
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import repeat, starmap
from random import Random
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel_lib.cities import CITIES
from kernel_lib.errors import NotFound
from kernel_lib.host_metrics import HostMetrics
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.records import Location, UserEvent
from kernel_lib.streams import Emission, Stream, iso_stamps

_FRAMES, _STEPS = 512, 64
_SECONDS_BETWEEN_CLICKS = 3.0
_KM_PER_DEGREE = 111.3
_CITY_RADIUS_KM = 6.0
_USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
    " Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)
_CATEGORIES = ("books", "garden", "kitchen", "music", "outdoor", "phones", "shoes", "toys")


class _Step(NamedTuple):
    event_type: str
    page: str
    reading_seconds: float
    next: dict[str, float]


# A journey goes from step to step with these odds until it comes to "end".
_JOURNEY = {
    "start": _Step("", "", 0, {"home": 0.5, "search": 0.2, "category": 0.15, "login": 0.15}),
    "login": _Step("login", "/login", 8, {"home": 0.7, "search": 0.3}),
    "home": _Step("page_view", "/", 12, {"category": 0.4, "search": 0.3, "login": 0.1, "end": 0.2}),
    "category": _Step("page_view", "/{category}", 20, {"product": 0.65, "search": 0.15, "home": 0.1, "end": 0.1}),
    "search": _Step("search", "/search", 15, {"product": 0.7, "search": 0.2, "end": 0.1}),
    "product": _Step(
        "page_view", "/{category}/{product}", 40, {"add": 0.25, "category": 0.4, "search": 0.2, "end": 0.15}
    ),
    "add": _Step("add_to_cart", "/{category}/{product}", 4, {"cart": 0.5, "category": 0.4, "end": 0.1}),
    "cart": _Step("page_view", "/cart", 18, {"checkout": 0.6, "category": 0.3, "end": 0.1}),
    "checkout": _Step("page_view", "/checkout", 45, {"purchase": 0.7, "cart": 0.15, "end": 0.15}),
    "purchase": _Step("purchase", "/checkout", 6, {"logout": 0.25, "home": 0.15, "end": 0.6}),
    "logout": _Step("logout", "/logout", 2, {"end": 1.0}),
}


class Columns(NamedTuple):
    """Events as columns; `user`, `event_type` and `page` are indices into the generator's tuples."""

    time_ms: NDArray[np.int64]
    user: NDArray[np.int64]
    event_type: NDArray[np.int64]
    page: NDArray[np.int64]
    session: NDArray[np.uint64]
    duration: NDArray[np.float64]


class UserEvents:
    """What users do in the shop; a few regulars do more than most."""

    event_types = tuple(sorted({step.event_type for step in _JOURNEY.values() if step.event_type}))

    def __init__(self, seed: int = 1, *, users: int = 10_000) -> None:
        self._salt = np.uint64(Random(f"{seed}/salt").getrandbits(64))
        self._frames = _frames(Random(f"{seed}/frames"))
        self.pages = self._frames.pages
        self.user_ids = tuple(f"user-{number:05d}" for number in range(users))
        homes = Random(f"{seed}/homes")
        weights = [city.thousands for city in CITIES]
        self.locations = tuple(_near(city, homes) for city in homes.choices(CITIES, weights, k=users))
        self.user_agents = tuple(homes.choices(_USER_AGENTS, (35, 30, 20, 8, 7), k=users))

    def columns(self, first: int, count: int, log: KnobLog) -> Columns:
        """Return `count` events from index `first` on as columns."""
        parts = [self._segment(*segment) for segment in log.segments(first, count)]
        if len(parts) == 1:
            return Columns(log.times_ms(first, count), *parts[0])
        return Columns(log.times_ms(first, count), *(np.concatenate(column) for column in zip(*parts, strict=True)))

    def types(self, first: int, count: int, log: KnobLog) -> NDArray[np.int64]:
        """Return the event types of `count` events from index `first` on, as indices into `event_types`."""
        return self.columns(first, count, log).event_type

    def events(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int = 0) -> list[UserEvent]:
        """Return `count` events from index `first` on; `run` and `sent_at` (epoch, ms) go into them as they are."""
        return self._events(self.columns(first, count, log), first, run, sent_at)

    def emit(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int) -> Emission:
        """Return events with the user as the key, so that one user's events keep their order."""
        columns = self.columns(first, count, log)
        events = self._events(columns, first, run, sent_at)
        return Emission([*events], [event.userId for event in events], columns.event_type)

    def _events(self, columns: Columns, first: int, run: str, sent_at: int) -> list[UserEvent]:
        users = columns.user.tolist()
        fields = zip(
            [f"{run}-{index}" for index in range(first, first + len(users))],
            iso_stamps(columns.time_ms),
            map(self.user_ids.__getitem__, users),
            map(self.event_types.__getitem__, columns.event_type.tolist()),
            [f"s-{session:012x}" for session in columns.session.tolist()],
            map(self.pages.__getitem__, columns.page.tolist()),
            columns.duration.tolist(),
            map(self.user_agents.__getitem__, users),
            map(self.locations.__getitem__, users),
            repeat(sent_at),
        )
        return list(starmap(UserEvent, fields))

    def _segment(self, first: int, count: int, knobs: Knobs) -> tuple[NDArray[Any], ...]:
        frames, places = self._frames, _places(knobs.events_per_second)
        index = np.arange(first, first + count, dtype=np.uint64)
        mask = np.uint64(places - 1)
        turn = index // np.uint64(places)
        # Within a turn, exclusive or with a number below `places`, a power of two, visits every place once.
        place = (index ^ _mix(turn, self._salt)) & mask
        next_visit = (turn + np.uint64(1)) * np.uint64(places) + (
            (place ^ _mix(turn + np.uint64(1), self._salt)) & mask
        )
        home = _mix(place, self._salt ^ np.uint64(places))
        # Event 0 finds everybody somewhere on a journey, not at its start.
        walked = turn + home % np.uint64(_STEPS)
        visit = home ^ (walked // np.uint64(_STEPS))
        frame = (_mix(visit, self._salt) % np.uint64(_FRAMES)).astype(np.int64)
        step = (walked % np.uint64(_STEPS)).astype(np.int64)
        ordinal = frames.session[frame, step]
        visitor = _mix(visit + (ordinal & np.uint64(1)), ~self._salt)
        user = (len(self.user_ids) * _fraction(visitor) ** 2).astype(np.int64)
        session = _mix(visit * np.uint64(_STEPS) + ordinal, self._salt) >> np.uint64(16)
        spread = _SPREAD[(_mix(index, self._salt) & np.uint64(len(_SPREAD) - 1)).astype(np.int64)]
        # Attention ends before the next click: a share of the time until then, larger on pages read for long.
        seconds = (next_visit - index).astype(np.float64) / (knobs.events_per_second or 1.0)
        duration = np.round(seconds * -np.expm1(-frames.seconds[frame, step] * spread / 20), 3)
        return user, frames.event_type[frame, step], frames.page[frame, step], session, duration


@dataclass(frozen=True)
class _Frames:
    event_type: NDArray[np.int64]
    page: NDArray[np.int64]
    session: NDArray[np.uint64]
    seconds: NDArray[np.float64]
    pages: tuple[str, ...]


def _frames(random: Random) -> _Frames:
    pages: dict[str, int] = {}
    rows = []
    for _ in range(_FRAMES):
        row: list[tuple[int, int, int, float]] = []
        session = 0
        while len(row) < _STEPS:
            for step, page in _journey(random):
                kind = UserEvents.event_types.index(step.event_type)
                row.append((kind, pages.setdefault(page, len(pages)), session, step.reading_seconds))
            session += 1
        rows.append(row[:_STEPS])
    kinds, numbers, sessions, seconds = np.moveaxis(np.array(rows), 2, 0)
    return _Frames(kinds.astype(np.int64), numbers.astype(np.int64), sessions.astype(np.uint64), seconds, tuple(pages))


def _journey(random: Random) -> list[tuple[_Step, str]]:
    category, product = random.choice(_CATEGORIES), random.randrange(1, 100)
    steps, name = [], "start"
    while (name := random.choices(*zip(*_JOURNEY[name].next.items(), strict=True))[0]) != "end":
        if name == "product":
            product = random.randrange(1, 100)
        steps.append((_JOURNEY[name], _JOURNEY[name].page.format(category=category, product=product)))
    return steps


def _places(events_per_second: float) -> int:
    """Return how many users are on the site: a power of two, so that each clicks about every 3 s."""
    return int(2 ** min(12, max(3, round(math.log2(max(1.0, events_per_second * _SECONDS_BETWEEN_CLICKS))))))


def _near(city: Any, random: Random) -> Location:
    north, east = random.gauss(0, _CITY_RADIUS_KM), random.gauss(0, _CITY_RADIUS_KM)
    lon = city.lon + east / (_KM_PER_DEGREE * math.cos(math.radians(city.lat)))
    return Location(round(city.lat + north / _KM_PER_DEGREE, 5), round(lon, 5))


def _mix(values: NDArray[np.uint64], salt: np.uint64) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the finaliser of splitmix64): https://prng.di.unimi.it/splitmix64.c."""
    mixed = (values ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _fraction(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


# How much longer or shorter than usual a page is read: log-normal, as measured dwell times are.
_SPREAD = np.exp([0.6 * NormalDist().inv_cdf((i + 0.5) / 1024) for i in range(1024)])

STREAMS: dict[str, type[Stream]] = {"user-events": UserEvents, "system-metrics": HostMetrics}


def stream(topic: str, seed: int) -> Stream:
    """Return the generator of a topic; raises NotFound, naming those that exist."""
    return _class(topic)(seed)


def event_types(topic: str) -> tuple[str, ...]:
    """Return the event types that a topic's generator makes; raises NotFound."""
    return _class(topic).event_types


def _class(topic: str) -> type[Stream]:
    if topic not in STREAMS:
        raise NotFound(
            f"There is no generator for {topic!r}.",
            cause=f"generators exist for: {', '.join(sorted(STREAMS))}",
            remedy='producer.start("user-events")',
        )
    return STREAMS[topic]
