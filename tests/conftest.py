from pathlib import Path

import hypothesis
import pytest

from kernel_lib.settings import Settings
from kernel_lib.waiting import patience
from tests.ports import free_ports

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("course", deadline=None)
hypothesis.settings.load_profile("course")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test as much more time as its waits have."""
    for item in items:
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else float(config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(seconds * patience()), append=False)


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course's home where nothing was ever started, and an environment that says nothing either."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def unused_port() -> int:
    """A port of this machine on which nobody listens."""
    return free_ports(1)[0]
