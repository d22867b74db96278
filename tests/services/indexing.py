"""What the tests of the indexer share: sending, and comparing what is in the topic with what is in the index."""

from typing import Any

from elasticsearch.helpers import scan

from kernel_lib import indices, producer, topics
from kernel_lib.settings import Settings


def send(count: int, events_per_second: float = 5_000) -> None:
    assert (
        producer.start("user-events", events_per_second=events_per_second, count=count).wait(90).acknowledged == count
    )


def sent() -> dict[str, Any]:
    """What is in the topic, by id."""
    return {(event := record.json())["eventId"]: event for record in topics.read("user-events", limit=1_000_000)}


def found(settings: Settings, index: str = "user-events") -> dict[str, Any]:
    """What is in the index, by id."""
    indices.count(index)
    hits = scan(indices.client(settings), index=settings.index(index), size=5_000)
    return {hit["_id"]: hit["_source"] for hit in hits}
