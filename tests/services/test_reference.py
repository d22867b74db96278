import time

import pytest

from kernel_lib import reference, topics
from kernel_lib.errors import MalformedRecord, NotFound
from kernel_lib.records import Merchant, User
from kernel_lib.settings import Settings


@pytest.fixture(autouse=True)
def two_topics(settings: Settings) -> None:
    for name in reference.KINDS:
        topics.create(name, compacted=True, settings=settings)


def times(settings: Settings, topic: str) -> dict[str, list[int]]:
    """Return from when the versions of each key are valid, in the order in which they were written."""
    found: dict[str, list[int]] = {}
    for record in sorted(topics.read(topic, settings=settings), key=lambda each: (each.partition, each.offset)):
        found.setdefault((record.key or b"").decode(), []).append(record.timestamp_ms)
    return found


def test_what_is_published_can_be_changed_and_a_second_publish_takes_it_back(settings: Settings) -> None:
    """Fails when a first version is valid only from its publishing on, or a version goes to another partition."""
    began_ms = time.time_ns() // 1_000_000
    assert reference.publish(seed=4, users=30, settings=settings) == (
        "30 users and 481 merchants are in the topics users and merchants; 511 records were written"
    )
    assert reference.current("users", settings=settings) == reference.users_of(4, 30)
    assert reference.current("merchants", settings=settings) == reference.merchants()
    assert {time for versions in times(settings, "merchants").values() for time in versions} == {1}

    before = reference.get("users", "user-00007", settings=settings)
    after = reference.change("users", "user-00007", tier="gold", city="Oslo", settings=settings)
    assert isinstance(before, User)
    assert after == reference.get("users", "user-00007", settings=settings)
    assert after == User("user-00007", "Oslo", before.country, "gold")
    reference.change("merchants", "merchant-0001", valid_from_ms=began_ms, category="books", settings=settings)
    assert times(settings, "merchants")["merchant-0001"] == [1, began_ms]

    assert reference.publish(seed=4, users=30, settings=settings).endswith("; 2 records were written")
    assert reference.publish(seed=4, users=30, settings=settings).endswith("; 0 records were written")
    assert reference.get("users", "user-00007", settings=settings) == before
    first, changed, last = times(settings, "users")["user-00007"]
    assert first == 1
    assert began_ms <= changed <= last


def test_an_unknown_key_or_topic_and_a_malformed_record_are_said(settings: Settings) -> None:
    """Fails when a record that cannot be read is passed over."""
    with pytest.raises(NotFound, match="is empty"):
        reference.get("users", "user-00001", settings=settings)
    reference.publish(users=3, settings=settings)
    with pytest.raises(NotFound, match="go from user-00000 to user-00002"):
        reference.change("users", "user-00003", tier="gold", settings=settings)
    assert isinstance(reference.get("merchants", "merchant-0001", settings=settings), Merchant)
    topics.write("users", b'{"userId": "user-00009"}', key=b"user-00009", settings=settings)
    with pytest.raises(MalformedRecord, match="is no User"):
        reference.current("users", settings=settings)
    topics.delete("users", settings=settings)
    with pytest.raises(NotFound, match="no topic"):
        reference.change("users", "user-00001", tier="gold", settings=settings)
