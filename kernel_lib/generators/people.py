"""Own the users: where they live, and where they are at a moment, at home or between two real cities.

A user lives near a city. For some days they stay in another one; they fly there and back, in a straight line on
the map at the speed of an airliner, so their distance from one event to the next says how fast they moved.

    >>> People(Dice(seed=1)).ids[7]
    'user-00007'
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators.cities import CITIES
from kernel_lib.generators.json_texts import Column, table
from kernel_lib.generators.scramble import Dice
from kernel_lib.knob_log import MOST_KEYS, Indices
from kernel_lib.records import Location

USERS = 10_000
"""How many users there are unless the knob `keys` says otherwise."""

DAY_MS = 86_400_000
_DAYS_AWAY_SHARE = 0.12
_FLIGHT_KM_PER_MS = 850 / 3_600_000
_KM_PER_DEGREE = 111.3
_CITY_RADIUS_KM = 6.0

CITY_LAT, CITY_LON = (np.array([getattr(city, name) for city in CITIES]) for name in ("lat", "lon"))
_SHARES = np.cumsum([city.thousands for city in CITIES]) / sum(city.thousands for city in CITIES)


class People:
    """The users of one seed, numbered from 0."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        users = np.arange(MOST_KEYS)
        self.ids = np.array([f"user-{number:05d}" for number in range(MOST_KEYS)], np.object_)
        self.user_ids = table("userId", self.ids)
        self.home = self._city_by_size("home", users)
        # Away or at home, users stand so far from the centre of the city they are in.
        self._north = dice.normal("north", users) * _CITY_RADIUS_KM / _KM_PER_DEGREE
        self._east = dice.normal("east", users) * _CITY_RADIUS_KM / _KM_PER_DEGREE
        lat, lon = self._standing_in(self.home, users)
        self._homes = table("location", map(Location, lat.tolist(), lon.tolist()))

    def locations(self, user: Indices, time_ms: Indices) -> Column:
        """Return the field `location`: where users are at these times."""
        places = self._homes[user]
        day = self._days(user, time_ms).astype(np.int64)
        travelling = np.flatnonzero(self._away(user, day) | self._away(user, day - 1))
        lat, lon = self._between(user[travelling], time_ms[travelling], day[travelling])
        places[travelling] = table("location", map(Location, lat.tolist(), lon.tolist()))
        return places

    def _days(self, user: Indices, time_ms: Indices) -> NDArray[np.float64]:
        # Everybody's day begins at another time, so that somebody is always under way.
        return time_ms / DAY_MS + self._dice.share("day", user)

    def _away(self, user: Indices, day: Indices) -> NDArray[np.bool_]:
        return self._dice.share("away", user, day) < _DAYS_AWAY_SHARE

    def _city_of_day(self, user: Indices, day: Indices) -> Indices:
        return np.where(self._away(user, day), self._city_by_size("city", user, day), self.home[user])

    def _city_by_size(self, purpose: str, *numbers: Indices) -> Indices:
        return np.searchsorted(_SHARES, self._dice.share(purpose, *numbers), side="right")

    def _between(
        self, user: Indices, time_ms: Indices, day: Indices
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where users are on their way from the city of the day before to that of the day."""
        cities = self._city_of_day(user, day - 1), self._city_of_day(user, day)
        (lat, lon), (end_lat, end_lon) = (self._standing_in(city, user) for city in cities)
        flown_km = self._days(user, time_ms) % 1 * DAY_MS * _FLIGHT_KM_PER_MS
        part = np.minimum(1, flown_km / np.maximum(1, distance_km(lat, lon, end_lat, end_lon)))
        east = (end_lon - lon + 180) % 360 - 180  # the short way round
        return np.round(lat + part * (end_lat - lat), 5), np.round((lon + part * east + 180) % 360 - 180, 5)

    def _standing_in(self, city: Indices, user: Indices) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        lat = CITY_LAT[city] + self._north[user]
        return np.round(lat, 5), np.round(CITY_LON[city] + self._east[user] / np.cos(np.radians(lat)), 5)


def distance_km(
    lat: NDArray[np.float64], lon: NDArray[np.float64], to_lat: NDArray[np.float64], to_lon: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the great-circle distance between points in degrees (haversine formula, a sphere of 6,371 km)."""
    lat, lon, to_lat, to_lon = map(np.radians, (lat, lon, to_lat, to_lon))
    half = np.sin((to_lat - lat) / 2) ** 2 + np.cos(lat) * np.cos(to_lat) * np.sin((to_lon - lon) / 2) ** 2
    distance: NDArray[np.float64] = 2 * 6371 * np.arcsin(np.sqrt(half))
    return distance
