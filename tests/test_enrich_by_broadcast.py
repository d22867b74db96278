import json

import pytest

from flink_jobs.enrich_by_broadcast import found, known

MERCHANT = {"merchantId": "m-1", "category": "books", "city": "Berlin", "location": None}
USER = {"userId": "u-1", "city": "Oslo", "country": "NO", "tier": "gold"}


def test_what_is_known_is_added() -> None:
    assert found(MERCHANT, USER) == ("books", "Berlin", "gold", "Oslo", True)


def test_what_is_not_known_is_null_and_said() -> None:
    assert found(None, USER) == (None, None, "gold", "Oslo", False)
    assert found(MERCHANT, None) == ("books", "Berlin", None, None, False)


@pytest.mark.parametrize("value", [None, "", "no JSON", "[1]", "null"])
def test_a_version_that_cannot_be_read_is_none(value: str | None) -> None:
    assert known(value) is None


def test_a_version_is_read() -> None:
    assert known(json.dumps(USER)) == USER
