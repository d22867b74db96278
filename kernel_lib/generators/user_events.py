"""Own what users do in an online shop: sessions with pauses, journeys from page to page, and planned purchases.

Users of real cities come for sessions, and a session is a journey. So that event `i` can be made without the
events before it, a round of events visits every user who is on the site once, in an order of its own; each place
on the site follows one of a few hundred precomputed frames of sessions, in which two users alternate. A user's
pause is thus the other one's session.

    >>> log = KnobLog([Knobs(index=0, at_ms=0, events_per_second=100)])
    >>> UserEvents(seed=1).batch(0, 1, log).time_ms.tolist()
    [0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators import shopping
from kernel_lib.generators.json_texts import Column, column, hexadecimals, stamps, table
from kernel_lib.generators.people import USERS, People
from kernel_lib.generators.streams import Batch, SeededStream, no_truths
from kernel_lib.knob_log import Indices, KnobLog, Knobs

_FRAMES, _STEPS = 512, 64
_SECONDS_BETWEEN_CLICKS = 3.0
_USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
    " Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)
_AGENT_SHARES = np.cumsum((35, 30, 20, 8, 7))
_PLANNED_PRODUCTS = 64
_HOT_SESSION_EVENTS = 1_000
# How much longer or shorter than usual a page is read: log-normal, as measured dwell times are.
_SPREAD = 0.6
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


class UserEvents(SeededStream):
    """What users do in the shop; a few regulars do more than most."""

    event_types = tuple(sorted({step.event_type for step in _JOURNEY.values() if step.event_type}))
    truths = ("", "purchase sequence")
    number_field = "duration"

    def __init__(self, seed: int = 1, **options: Any) -> None:
        super().__init__(seed, **options)
        self._frames = _frames(Random(f"{seed}/frames"))
        self._people = People(self.dice)
        # One user's events go to one partition and keep their order.
        self.key_names = self._people.ids
        agents = self.dice.below(100, "browser", np.arange(len(self._people.ids)))
        self._agents = table("userAgent", _USER_AGENTS)[np.searchsorted(_AGENT_SHARES, agents, side="right")]
        self._types, self._pages = table("eventType", self.event_types), table("page", self._frames.pages)

    def content(self, index: Indices, time_ms: Indices, log: KnobLog, knobs: Knobs) -> dict[str, NDArray[Any]]:
        """Return users, sessions, pages and durations."""
        columns = self._journeys(index, knobs) | no_truths(len(index))
        if knobs.hot_share:
            hot = self.dice.share("hot", index) < knobs.hot_share
            columns["key"] = np.where(hot, 0, columns["key"])
            session = self.dice.bits("hot session", index // _HOT_SESSION_EVENTS) >> np.uint64(16)
            columns["session"] = np.where(hot, session, columns["session"])
        self._plant_purchases(columns, shopping.plan(self.dice, index, log, knobs.keys or USERS))
        return columns

    def json(self, batch: Batch) -> list[Column]:
        """Return the fields of the events, in their order on the wire."""
        return [
            stamps(batch.time_ms),
            self._people.user_ids[batch.key],
            self._types[batch.type],
            hexadecimals("sessionId", "s-", batch.columns["session"], 12),
            self._pages[batch.columns["page"]],
            column("duration", batch.columns["duration"].tolist()),
            self._agents[batch.key],
            self._people.locations(batch.key, batch.time_ms),
        ]

    def _journeys(self, index: Indices, knobs: Knobs) -> dict[str, NDArray[Any]]:
        frames, places = self._frames, _places(knobs.events_per_second)
        mask = places - 1
        turn = index // places
        # Within a turn, exclusive or with a number below `places`, a power of two, visits every place once.
        place = (index ^ self.dice.below(places, "turn", turn)) & mask
        next_visit = (turn + 1) * places + ((place ^ self.dice.below(places, "turn", turn + 1)) & mask)
        home = self.dice.bits("place", place, places)
        # Event 0 finds everybody somewhere on a journey, not at its start.
        walked = turn + (home % np.uint64(_STEPS)).astype(np.int64)
        visit = home ^ (walked // _STEPS).astype(np.uint64)
        frame, step = self.dice.below(_FRAMES, "frame", visit), walked % _STEPS
        ordinal = frames.session[frame, step]
        user = (knobs.keys or USERS) * self.dice.share("visitor", visit, ordinal % 2) ** 2
        spread = np.exp(_SPREAD * self.dice.normal("spread", index))
        # Attention ends before the next click: a share of the time until then, larger on pages read for long.
        seconds = (next_visit - index) / (knobs.events_per_second or 1.0)
        return {
            "key": user.astype(np.int64),
            "type": frames.event_type[frame, step],
            "page": frames.page[frame, step],
            "session": self.dice.bits("session", visit, ordinal) >> np.uint64(16),
            "duration": np.round(seconds * -np.expm1(-frames.seconds[frame, step] * spread / 20), 3),
        }

    def _plant_purchases(self, columns: dict[str, NDArray[Any]], plan: shopping.Plan) -> None:
        planned = plan.planned & (plan.step < shopping.PAYMENT)
        step, purchase = plan.step[planned], plan.purchase[planned]
        columns["key"][planned] = plan.shopper[planned]
        columns["type"][planned] = _PLANNED_TYPES[step]
        columns["page"][planned] = self._frames.planned_pages[
            self.dice.below(_PLANNED_PRODUCTS, "bought", purchase), step
        ]
        columns["session"][planned] = self.dice.bits("planned session", purchase) >> np.uint64(16)
        columns["duration"][planned] = np.round(
            shopping.STEP_MS / 1000 * self.dice.share("attention", purchase, step), 3
        )
        columns["truth"][planned] = 1
        columns["episode"][planned] = purchase
        columns["step"][planned] = step


@dataclass(frozen=True)
class _Frames:
    event_type: NDArray[np.int64]
    page: NDArray[np.int64]
    session: NDArray[np.int64]
    seconds: NDArray[np.float64]
    pages: tuple[str, ...]
    planned_pages: NDArray[np.int64]


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
    products = [f"/{random.choice(_CATEGORIES)}/{random.randrange(1, 100)}" for _ in range(_PLANNED_PRODUCTS)]
    planned = [
        [pages.setdefault(page, len(pages)) for page in (product, product, "/checkout", "/checkout")]
        for product in products
    ]
    whole = (kinds.astype(np.int64), numbers.astype(np.int64), sessions.astype(np.int64))
    return _Frames(*whole, seconds, tuple(pages), np.array(planned))


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


_PLANNED_TYPES = np.array(
    [UserEvents.event_types.index(name) for name in ("page_view", "add_to_cart", "page_view", "purchase")]
)
