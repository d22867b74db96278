"""Own card payments with planted frauds; payments of the purchases that `user-events` shows are among them.

Without a planted fraud nothing looks like one: a user pays at merchants of the home city only, at another one each
time, amounts from 3 to 400, never twice in a row without success. A knob plants, into blocks of events:

* card testing: a payment below 2, then three above 500, by one user;
* two cities: payments in two cities more than 3,000 km apart;
* burst: eight payments at one merchant;
* forced: four failed payments, then a completed one.

    >>> Transactions(seed=1).merchants[1].city
    'Berlin'
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators import rounds, shopping
from kernel_lib.generators.cities import CITIES
from kernel_lib.generators.json_texts import Column, column, hexadecimals, stamps, table
from kernel_lib.generators.people import CITY_LAT, CITY_LON, USERS, People, distance_km
from kernel_lib.generators.streams import SEEDED_KNOBS, Batch, SeededStream, no_truths
from kernel_lib.knob_log import Indices, KnobLog, Knobs

CATEGORIES = ("bakery", "books", "electronics", "fashion", "fuel", "grocery", "restaurant", "travel")
_CURRENCIES = {
    "CH": "CHF", "GB": "GBP", "US": "USD", "CA": "CAD", "MX": "MXN", "CO": "COP", "PE": "PEN", "CL": "CLP", "AR": "ARS",
    "BR": "BRL", "EG": "EGP", "NG": "NGN", "KE": "KES", "ZA": "ZAR", "TR": "TRY", "IN": "INR", "CN": "CNY", "JP": "JPY",
    "KR": "KRW", "SG": "SGD", "ID": "IDR", "TH": "THB", "AU": "AUD", "NZ": "NZD", "SE": "SEK", "DK": "DKK", "NO": "NOK",
    "PL": "PLN", "CZ": "CZK", "HU": "HUF", "AE": "AED", "IL": "ILS", "VN": "VND", "PH": "PHP", "MA": "MAD", "PK": "PKR",
}  # fmt: skip
_USUAL_AMOUNT, _SPREAD = 28.0, 0.7
_FAR_KM = 3_000

# Frauds: events in a block, where in it they are.
BLOCK = 64
_LENGTHS = np.array([0, 4, 2, 8, 5])
_LATEST_START, _WIDEST_STEP = 40, 3
_MEAN_LENGTH = float(_LENGTHS[1:].mean())


class Merchant(NamedTuple):
    """Who is paid; `location` in degrees. The first one is the online shop, which has no city."""

    id: str
    category: str
    city: str
    lat: float
    lon: float


class Transactions(SeededStream):
    """Card payments; every user pays once a round."""

    event_types = ("completed", "failed", "pending")
    truths = ("", "card testing", "two cities", "burst", "forced", "purchase sequence")
    number_field = "amount"
    knobs = (*SEEDED_KNOBS, "fraud_share")

    def __init__(self, seed: int = 1, **options: Any) -> None:
        super().__init__(seed, **options)
        self._people = People(self.dice)
        self.key_names = self._people.ids
        self.merchants = _merchants()
        self._far = [np.flatnonzero(_distances(city) > _FAR_KM) for city in range(len(CITIES))]
        self._statuses = table("status", self.event_types)
        self._merchant_ids = table("merchantId", [merchant.id for merchant in self.merchants])
        currencies = [_CURRENCIES.get(city.country, "EUR") for city in CITIES]
        self._currencies = table("currency", currencies)[self._people.home]

    def content(self, index: Indices, time_ms: Indices, log: KnobLog, knobs: Knobs) -> dict[str, NDArray[Any]]:
        """Return users, merchants, amounts, risk scores, and the planted frauds."""
        users = knobs.keys or USERS
        columns = self._usual(index, users) | no_truths(len(index))
        if knobs.hot_share:
            columns["key"] = np.where(self.dice.share("hot", index) < knobs.hot_share, 0, columns["key"])
        if knobs.fraud_share:
            self._plant_frauds(columns, index, users, knobs.fraud_share)
        self._plant_payments(columns, shopping.plan(self.dice, index, log, users))
        return columns

    def json(self, batch: Batch) -> list[Column]:
        """Return the fields of the events, in their order on the wire."""
        return [
            stamps(batch.time_ms),
            hexadecimals("transactionId", "tx-", self.dice.bits("transaction", batch.source), 16),
            self._people.user_ids[batch.key],
            column("amount", batch.columns["amount"].tolist()),
            self._currencies[batch.key],
            self._merchant_ids[batch.columns["merchant"]],
            self._statuses[batch.type],
            column("riskScore", batch.columns["risk"].tolist()),
        ]

    def _usual(self, index: Indices, users: int) -> dict[str, NDArray[Any]]:
        turn, user = rounds.turn_of(index, users)
        luck = self.dice.share("luck", index)
        # Failures and waits only every other round, so that no user meets two in a row.
        status = np.where((turn + user) % 2 == 0, np.where(luck < 0.08, 1, np.where(luck < 0.11, 2, 0)), 0)
        return {
            "key": user,
            "type": status,
            "merchant": self._merchant(self._people.home[user], turn + user),
            "amount": self._amount(index),
            "risk": np.round(0.4 * self.dice.share("risk", index) ** 2, 3),
        }

    def _amount(self, numbers: Indices) -> NDArray[np.float64]:
        amount = _USUAL_AMOUNT * np.exp(_SPREAD * self.dice.normal("amount", numbers))
        rounded: NDArray[np.float64] = np.round(np.clip(amount, 3, 400), 2)
        return rounded

    def _merchant(self, city: Indices, number: Indices) -> Indices:
        return 1 + city * len(CATEGORIES) + number % len(CATEGORIES)

    def _plant_frauds(self, columns: dict[str, NDArray[Any]], index: Indices, users: int, share: float) -> None:
        block = index // BLOCK
        chosen = self.dice.share("fraud", block) < share * BLOCK / _MEAN_LENGTH
        kind = 1 + self.dice.below(len(_LENGTHS) - 1, "fraud kind", block)
        spacing = 1 + self.dice.below(_WIDEST_STEP, "fraud spacing", block)
        step, rest = np.divmod(index % BLOCK - self.dice.below(_LATEST_START, "fraud start", block), spacing)
        planted = chosen & (step >= 0) & (rest == 0) & (step < _LENGTHS[kind])
        block, kind, step = block[planted], kind[planted], step[planted]
        # The victim is half a round away from paying by the usual order.
        victim = rounds.turn_of(block * BLOCK + users // 2, users)[1]
        home = self._people.home[victim]
        elsewhere = np.array(
            [self._far[city][number % len(self._far[city])] for city, number in zip(home, block, strict=True)], np.int64
        )
        testing, cities, _, forced = (kind == number for number in range(1, 5))
        size = 1 + self.dice.share("fraud size", block, step)
        amount = np.select(
            [testing & (step == 0), testing, cities | forced], [0.9 * size, 500 * size, 150 * size], 60 * size
        )
        columns["key"][planted] = victim
        # Card testing goes from one merchant of the city to another and back; the rest stays with one.
        columns["merchant"][planted] = self._merchant(
            np.where(cities & (step == 1), elsewhere, home), block + np.where(testing, step % 2, 0)
        )
        columns["amount"][planted] = np.round(amount, 2)
        columns["type"][planted] = np.where(forced & (step < 4), 1, 0)
        columns["risk"][planted] = np.round(0.3 + 0.7 * self.dice.share("fraud risk", block, step), 3)
        columns["truth"][planted], columns["episode"][planted], columns["step"][planted] = kind, block, step

    def _plant_payments(self, columns: dict[str, NDArray[Any]], plan: shopping.Plan) -> None:
        # A fraud keeps its event: the shop's customer then pays elsewhere.
        planned = plan.planned & (plan.step == shopping.PAYMENT) & (columns["truth"] == 0)
        purchase = plan.purchase[planned]
        columns["key"][planned] = plan.shopper[planned]
        columns["merchant"][planned] = 0
        columns["amount"][planned] = self._amount(purchase)
        columns["type"][planned] = 0
        columns["truth"][planned] = len(self.truths) - 1
        columns["episode"][planned] = purchase
        columns["step"][planned] = shopping.PAYMENT


def _merchants() -> tuple[Merchant, ...]:
    places = [(city, category) for city in CITIES for category in CATEGORIES]
    return (
        Merchant("merchant-0000", "online shop", "", 0.0, 0.0),
        *(
            Merchant(f"merchant-{number:04d}", category, city.name, city.lat, city.lon)
            for number, (city, category) in enumerate(places, 1)
        ),
    )


def _distances(city: int) -> NDArray[np.float64]:
    return distance_km(CITY_LAT[city], CITY_LON[city], CITY_LAT, CITY_LON)
