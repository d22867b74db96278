from pathlib import Path

import pytest

from infra.layout import PORTS, SERVICES, STARTED_SERVICES, WAITING_SERVICES, Layout

HERE = Layout(Path("/course"))


def test_ports_are_the_ones_people_know() -> None:
    assert HERE.brokers() == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
    assert [HERE.port(name) for name in ("flink-jobmanager", "elasticsearch", "jupyterlab")] == [8081, 9200, 8888]


def test_the_offset_moves_every_port() -> None:
    moved = Layout(HERE.home, port_offset=1000)
    assert {name: moved.port(name) - HERE.port(name) for name in PORTS} == dict.fromkeys(PORTS, 1000)


def test_no_two_services_share_a_port() -> None:
    assert len(set(PORTS.values())) == len(PORTS)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_an_address(name: str) -> None:
    host, port = HERE.address(name).split(":")
    assert host == "127.0.0.1"
    assert int(port) in PORTS.values()


def test_two_taskmanagers_start_and_two_wait() -> None:
    assert WAITING_SERVICES == ("flink-taskmanager-3", "flink-taskmanager-4")
    assert set(STARTED_SERVICES) | set(WAITING_SERVICES) == set(SERVICES)


def test_everything_that_is_written_lies_in_the_home() -> None:
    for folder in (HERE.conf, HERE.data, HERE.logs, HERE.run, HERE.flink_home):
        assert folder.is_relative_to(HERE.home)
