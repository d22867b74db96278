import secrets
from collections.abc import Iterator

import pytest

from kernel_lib.settings import Settings, load
from tests import leftovers


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of the running course, in a namespace of the test's own; what it leaves there is removed."""
    monkeypatch.setenv("NAMESPACE", f"t-{secrets.token_hex(4)}")
    found = load()
    yield found
    leftovers.remove(found)
