import secrets
from collections.abc import Iterator

import pytest

from kernel_lib import indices, jobs, topics
from kernel_lib.settings import Settings, load


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of the running course, in a namespace of the test's own; what it leaves there is removed."""
    monkeypatch.setenv("NAMESPACE", f"t-{secrets.token_hex(4)}")
    found = load()
    yield found
    for job in jobs.running(settings=found):
        job.cancel()
    for name in topics.list_names(settings=found):
        topics.delete(name, settings=found)
    for name in indices.list_names(settings=found):
        indices.delete(name, settings=found)
    indices.delete_templates(settings=found)
