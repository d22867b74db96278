"""Say which frauds a run of payments holds: those that are planted, and those that match by the rules.

    >>> frame = oracle.replay(run)
    >>> oracle_patterns.matches(run, frame, oracle_patterns.Limits(large_amount=700))
    {Match(alert='burst', key='user-05256', event_ids=('r-604', 'r-606', ...)), ...}
    >>> oracle_patterns.score(found, run).text
    '39 of 42 complete frauds found; 39 of 40 alerts are right'

It shares no code with the jobs. Duplicates are left out: of the events with one transactionId the first sent counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from kernel_lib import oracle
from kernel_lib.errors import MalformedRecord
from kernel_lib.generators import Transactions
from kernel_lib.generators.people import distance_km
from kernel_lib.kafka_client import Record
from kernel_lib.producer import Producer

STEPS = {"card testing": 4, "two cities": 2, "burst": 8, "forced": 5}
"""Of how many payments each kind of fraud is made."""

_LONGEST_MS = 3_600_000


class Match(NamedTuple):
    """A fraud that was found: its pattern, the user, and its events in order."""

    alert: str
    key: str
    event_ids: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """Thresholds and time limits of the patterns, as the jobs begin with them."""

    small_amount: float = 2.0
    large_amount: float = 500.0
    testing_seconds: float = 10.0
    fastest_kmh: float = 1000.0
    burst_seconds: float = 5.0
    forced_seconds: float = 10.0


USUAL = Limits()


@dataclass(frozen=True)
class Score:
    """Alerts against planted frauds: `right` alerts are a planted fraud of their kind, event by event."""

    alerts: int
    right: int
    complete: int
    found: int

    @property
    def precision(self) -> float:
        """The share of alerts that are right; 1 without alerts."""
        return self.right / self.alerts if self.alerts else 1.0

    @property
    def recall(self) -> float:
        """The share of complete frauds that were found; 1 without frauds."""
        return self.found / self.complete if self.complete else 1.0

    @property
    def text(self) -> str:
        """One line that says the same."""
        return (
            f"{self.found:,} of {self.complete:,} complete frauds found; "
            f"{self.right:,} of {self.alerts:,} alerts are right"
        )


def planted(run: Producer | str) -> pd.DataFrame:
    """Return the planted frauds of a run, as `oracle.truths` does, with a column `complete`.

    A fraud is complete when all its steps were sent and are valid: the end of a run cuts the last ones off.
    """
    truths = oracle.truths(run)
    frauds = truths[truths["truth"].isin(list(STEPS))].reset_index(drop=True)
    frauds["complete"] = [
        sorted(steps) == list(range(STEPS[kind])) for kind, steps in zip(frauds["truth"], frauds["steps"], strict=True)
    ]
    return frauds


def alerts(records: Iterable[Record]) -> list[Match]:
    """Return what the records of the topic alerts say; raises MalformedRecord for one that is no alert."""
    found = []
    for record in records:
        row = record.json()
        try:
            found.append(Match(row["alert"], row["key"], tuple(row["eventIds"])))
        except (KeyError, TypeError) as error:
            raise MalformedRecord(
                f"Record {record.offset} of {record.topic}, partition {record.partition}, is no alert: {row!r:.120}",
                cause=repr(error),
                remedy="read the topic alerts",
            ) from error
    return found


def score(found: Iterable[Match], run: Producer | str) -> Score:
    """Compare alerts with the planted frauds of a run."""
    frauds = planted(run)
    frauds = frauds[frauds["complete"]]
    name = run if isinstance(run, str) else run.run
    wanted = {
        Match(kind, key, tuple(f"{name}-{number}" for _, number in sorted(zip(steps, numbers, strict=True))))
        for kind, key, numbers, steps in zip(*(frauds[c] for c in ("truth", "key", "numbers", "steps")), strict=True)
    }
    said = list(found)
    right = [match for match in said if match in wanted]
    return Score(len(said), len(right), len(wanted), len(set(right)))


def matches(run: str, frame: pd.DataFrame, limits: Limits = USUAL) -> set[Match]:
    """Return what matches by the rules in replayed payments of a run, a user's payments in order of event time.

    A match's payments follow each other without another one between; no payment is in two matches of one pattern.
    """
    payments = frame.assign(eventId=[f"{run}-{number}" for number in frame["number"]])
    payments = payments.sort_values("number").drop_duplicates("transactionId")
    payments = payments.join(_places(), on="merchantId").sort_values(["userId", "timeMs", "eventId"])
    return {
        *_found("card testing", payments, _card_testing(payments, limits), limits.testing_seconds),
        *_found("two cities", placed := payments.dropna(subset="lat"), _two_cities(placed, limits)),
        *_found("burst", payments, _burst(payments), limits.burst_seconds),
        *_found("forced", payments, _forced(payments), limits.forced_seconds),
    }


def _card_testing(payments: pd.DataFrame, limits: Limits) -> pd.Series[bool]:
    small, large = payments["amount"] < limits.small_amount, payments["amount"] >= limits.large_amount
    return large & large.shift(1) & large.shift(2) & small.shift(3)


def _two_cities(payments: pd.DataFrame, limits: Limits) -> pd.Series[bool]:
    before = payments.shift(1)
    places = (frame[name].to_numpy(float) for frame in (before, payments) for name in ("lat", "lon"))
    kilometres = distance_km(*places)
    hours = (payments["timeMs"] - before["timeMs"]) / 3_600_000
    return pd.Series(kilometres > limits.fastest_kmh * hours, payments.index)


def _burst(payments: pd.DataFrame) -> pd.Series[bool]:
    steps = range(1, STEPS["burst"])
    same = [payments["merchantId"] == payments["merchantId"].shift(back) for back in steps]
    return pd.Series(np.logical_and.reduce(same), payments.index)


def _forced(payments: pd.DataFrame) -> pd.Series[bool]:
    failed = [payments["status"].shift(back) == "failed" for back in range(1, STEPS["forced"])]
    return pd.Series(np.logical_and.reduce([*failed, payments["status"] == "completed"]), payments.index)


def _found(kind: str, payments: pd.DataFrame, last: pd.Series[bool], seconds: float = np.inf) -> Iterable[Match]:
    """Yield the matches that end where `last` says, none of which overlaps another."""
    back = STEPS[kind] - 1
    first_ms, users = payments["timeMs"].shift(back), payments["userId"]
    took_ms = payments["timeMs"] - first_ms
    last = last & (users == users.shift(back)) & (took_ms <= seconds * 1000) & (took_ms < _LONGEST_MS)
    ids, free = payments["eventId"].tolist(), 0
    for at in np.flatnonzero(last.fillna(False)).tolist():
        if at - back >= free:
            free = at + 1
            yield Match(kind, users.iloc[at], tuple(ids[at - back : at + 1]))


def _places() -> pd.DataFrame:
    placed = {each.id: (each.lat, each.lon) for each in Transactions().merchants if each.city}
    return pd.DataFrame.from_dict(placed, orient="index", columns=["lat", "lon"])
