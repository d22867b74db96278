from __future__ import annotations

from typing import Any

import pytest

from kernel_lib import jobs, oracle_patterns, topics
from kernel_lib.oracle_patterns import Limits, Match
from kernel_lib.settings import Settings
from tests.services import test_match_fraud
from tests.services.test_match_fraud import MOVED, NOISE, expected


@pytest.fixture(autouse=True)
def some_topics(settings: Settings) -> None:
    test_match_fraud.create_topics(settings)
    topics.create("metrics", append_time=True, settings=settings)


def reported(settings: Settings, outcome: str) -> list[dict[str, Any]]:
    rows = [record.json() for record in topics.read("metrics", limit=100_000, settings=settings)]
    return [row for row in rows if row["outcome"] == outcome]


def found(settings: Settings) -> list[Match]:
    """Return what the job reported as matched."""
    return sorted(Match(row["pattern"], row["userId"], tuple(row["eventIds"])) for row in reported(settings, "matched"))


def test_the_twin_in_python_finds_what_sql_finds_and_tells_every_stage_before(settings: Settings) -> None:
    """Fails when an attempt goes on although a payment in between did not fit, or a match does not end all others."""
    run = test_match_fraud.sent(settings, 2_400, 400, seed=9, **NOISE)
    both: list[str] = ["match_fraud", "trace_fraud"]
    for job in [jobs.submit(name, start="earliest", chaining=True, settings=settings, **MOVED) for name in both]:
        job.drain()
    assert found(settings) == test_match_fraud.found(settings) == expected(run, Limits(**MOVED))
    assert oracle_patterns.score(found(settings), run).right > 10
    told = {(row["pattern"], tuple(row["eventIds"])) for row in reported(settings, "advanced")}
    first_told = {"card testing": 1, "two cities": 2, "burst": 2, "forced": 1}
    for alert, _, ids in found(settings):
        assert {(alert, ids[:stage]) for stage in range(first_told[alert], len(ids))} <= told
    assert reported(settings, "broken")
