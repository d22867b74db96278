import secrets
from collections.abc import Iterator

import pytest

from infra import namespaces
from kernel_lib import indexer, producer, topics
from kernel_lib.settings import Settings, load


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of the running course, in a namespace of the test's own; what it leaves there is removed."""
    monkeypatch.setenv("NAMESPACE", f"t-{secrets.token_hex(4)}")
    found = load()
    yield found
    namespaces.remove(found.namespace, settings=found)


@pytest.fixture
def indexed_topic(settings: Settings) -> Iterator[None]:
    """The topic `user-events`; what sends into it and indexes it is stopped."""
    topics.create("user-events", settings=settings)
    yield
    producer.stop_all()
    indexer.stop_all()
