import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import preflight
from infra.layout import HOST, PORTS, Layout
from infra.preflight import GIB, Finding


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    assert finding.remedy
    assert f"Try: {finding.remedy}" in str(finding)
    return finding


@pytest.mark.parametrize("version", [(3, 11), (3, 12)])
def test_these_pythons_run_the_course(version: tuple[int, int]) -> None:
    assert not list(preflight.check_python(version))


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_another_python_is_named(version: tuple[int, int]) -> None:
    assert f"Python 3.{version[1]} " in only(preflight.check_python(version)).what


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_another_platform_is_pointed_to_a_container(system: str, machine: str) -> None:
    finding = only(preflight.check_platform(system, machine))
    assert machine in finding.what
    assert "container" in finding.remedy


def test_linux_on_x86_64_is_right() -> None:
    assert not list(preflight.check_platform("Linux", "x86_64"))


def test_a_path_with_a_space_is_refused_and_the_space_named() -> None:
    assert "' '" in only(preflight.check_path(Path("/home/ann/my course"))).what


def test_a_path_too_long_is_refused() -> None:
    assert "201 characters" in only(preflight.check_path(Path("/" + "a" * 200))).what


def test_an_ordinary_path_is_right() -> None:
    assert not list(preflight.check_path(Path("/home/ann.b/course_2@work/~x+y-z")))


def test_a_full_disk_is_told_with_what_is_needed() -> None:
    nothing_is_free_here = Path("/proc")
    finding = only(preflight.check_disk(nothing_is_free_here))
    assert finding.serious
    assert "0.0 GiB" in finding.what
    assert "3 GiB" in finding.what


def test_too_little_memory_is_an_error_little_a_warning_and_plenty_nothing() -> None:
    assert only(preflight.check_memory(4 * GIB)).serious
    assert not only(preflight.check_memory(int(5.5 * GIB))).serious
    assert not list(preflight.check_memory(8 * GIB))


def test_a_containers_limit_counts_as_memory(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{GIB}\n")
    assert preflight.memory_limit_bytes([tmp_path / "absent", limit]) == GIB


@pytest.mark.parametrize("text", ["max", "9223372036854771712"])
def test_a_container_without_a_limit_has_the_machines_memory(tmp_path: Path, text: str) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    assert preflight.memory_limit_bytes([limit]) == psutil.virtual_memory().total


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Layout]:
    """A layout whose port for kafka-1 is held by this process."""
    with socket.create_server((HOST, 0)) as server:
        yield Layout(tmp_path, port_offset=server.getsockname()[1] - PORTS["kafka-1"])


def test_a_busy_port_is_named_with_the_service_that_wants_it_and_the_process_that_holds_it(busy: Layout) -> None:
    finding = only(preflight.check_ports(busy, ["kafka-1"]))
    assert finding.serious
    assert f"Port {busy.port('kafka-1')}, wanted for kafka-1, is held by process {os.getpid()} (" in finding.what
    assert "--port-offset" in finding.remedy


def test_a_busy_port_that_is_not_wanted_does_not_matter(busy: Layout) -> None:
    assert not [finding for finding in preflight.check(busy, []) if "Port" in finding.what]


def test_free_ports_are_right(tmp_path: Path, unused_port: int) -> None:
    layout = Layout(tmp_path, port_offset=unused_port - PORTS["kafka-1"])
    assert not list(preflight.check_ports(layout, ["kafka-1"]))


def test_up_does_not_want_the_port_of_jupyterlab() -> None:
    assert set(PORTS) - set(preflight.SERVICE_PORTS) == {"jupyterlab"}


def test_a_home_that_does_not_exist_yet_can_be_checked(tmp_path: Path) -> None:
    assert all(finding.remedy for finding in preflight.check(Layout(tmp_path / "not" / "yet", port_offset=30000)))
