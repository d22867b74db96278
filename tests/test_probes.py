import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra.layout import HOST
from kernel_lib import probes
from kernel_lib.settings import Service, Settings
from tests.ports import free_ports

BROKERS = ("kafka-1", "kafka-2", "kafka-3")


@pytest.fixture
def ports() -> dict[str, int]:
    return dict(zip(BROKERS, free_ports(len(BROKERS)), strict=True))


@pytest.fixture
def settings(ports: dict[str, int]) -> Settings:
    found = {name: Service(address=f"{HOST}:{port}", supervisor="") for name, port in ports.items()}
    return Settings(kafka_bootstrap_servers="", flink_jobmanager_url="", elasticsearch_url="", course_services=found)


@pytest.fixture
def listeners() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("up", "reason"),
    [
        (BROKERS, ""),
        (("kafka-2",), "the port does not answer: Connection refused"),
        (
            (),
            "the port does not answer: Connection refused; no other broker answers, and one alone never does: "
            "most of the 3 must run",
        ),
    ],
)
def test_a_broker_that_waits_for_the_others_says_so(
    up: tuple[str, ...], reason: str, settings: Settings, ports: dict[str, int], listeners: ExitStack
) -> None:
    """Whoever has stopped all brokers starts one, and waits for ever."""
    for name in up:
        listeners.enter_context(socket.create_server((HOST, ports[name])))
    assert probes.ask("kafka-1", settings) == reason
