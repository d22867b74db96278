import json

import pandas as pd

from kernel_lib import oracle_enrichment
from kernel_lib.kafka_client import Record


def version(key: str, time_ms: int, offset: int, **fields: str) -> Record:
    value = json.dumps(fields).encode()
    return Record("t", 0, offset, key.encode(), value, time_ms, "create")


SHOP = [
    version("m-1", 1, 0, category="books", city="Berlin"),
    version("m-1", 100, 2, category="fuel", city="Berlin"),
    version("m-1", 50, 3, category="travel", city="Paris"),
]
USER = [version("u-1", 1, 0, tier="gold", city="Oslo")]


def added(time_ms: int, merchant: str = "m-1", user: str = "u-1", *, newest: bool = False) -> tuple[object, ...]:
    paid = pd.DataFrame([{"number": 7, "timeMs": time_ms, "merchantId": merchant, "userId": user}])
    read = oracle_enrichment.newest if newest else oracle_enrichment.versions
    [row] = oracle_enrichment.enriched(paid, read(SHOP), read(USER)).itertuples(index=False, name=None)
    return tuple(row)


def test_a_version_counts_from_its_millisecond_until_the_next_one_s() -> None:
    assert added(49) == (7, "books", "Berlin", "gold", "Oslo", True)
    assert added(50) == (7, "travel", "Paris", "gold", "Oslo", True)
    assert added(99) == (7, "travel", "Paris", "gold", "Oslo", True)
    assert added(100) == (7, "fuel", "Berlin", "gold", "Oslo", True)


def test_the_newest_version_is_the_one_written_last() -> None:
    assert added(10, newest=True) == (7, "travel", "Paris", "gold", "Oslo", True)


def test_what_is_not_known_is_none() -> None:
    assert added(10, merchant="m-2") == (7, None, None, "gold", "Oslo", False)
    assert added(10, user="u-2") == (7, "books", "Berlin", None, None, False)
    assert added(0) == (7, None, None, None, None, False)


def test_of_two_versions_of_one_time_the_later_written_counts() -> None:
    both = oracle_enrichment.versions([*SHOP, version("m-1", 100, 4, category="grocery", city="Berlin")])
    assert both["category"].tolist() == ["books", "travel", "grocery"]
