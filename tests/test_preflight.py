import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from find_libpython import find_libpython

from infra import preflight
from infra.layout import CHECKOUT, HOST, PORTS, Layout
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
    assert f"Python 3.{version[1]};" in only(preflight.check_python(version)).what


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
    finding = only(preflight.check_disk(nothing_is_free_here, 3))
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


def test_all_busy_ports_are_one_finding_with_one_remedy(busy: Layout) -> None:
    with socket.create_server((HOST, busy.port("kafka-2"))):
        finding = only(preflight.check_ports(busy, ["kafka-1", "kafka-2", "kafka-3"]))
    assert len(finding.what.splitlines()) == 2


def test_a_busy_port_that_is_not_wanted_does_not_matter(busy: Layout) -> None:
    assert not [finding for finding in preflight.check(busy, []) if "Port" in finding.what]


def test_free_ports_are_right(tmp_path: Path, unused_port: int) -> None:
    layout = Layout(tmp_path, port_offset=unused_port - PORTS["kafka-1"])
    assert not list(preflight.check_ports(layout, ["kafka-1"]))


def test_up_does_not_want_the_port_of_jupyterlab() -> None:
    assert set(PORTS) - set(preflight.PORTS_OF["up"]) == {"jupyterlab"}


def test_a_home_that_does_not_exist_yet_can_be_checked(tmp_path: Path) -> None:
    assert all(
        finding.remedy for finding in preflight.check(Layout(tmp_path / "not" / "yet", port_offset=30000), PORTS)
    )


def test_a_python_without_a_shared_library_is_refused_with_the_package_that_has_it() -> None:
    finding = only(preflight.check_libpython([]))
    assert finding.serious
    assert "apt-get install libpython3." in finding.remedy


def test_the_shared_library_is_found_where_flink_will_find_it() -> None:
    found = {Path(path).resolve() for path in preflight.libpythons() if Path(path).is_absolute()}
    assert Path(find_libpython() or "") in found


def before_installing(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run what ./course runs first, by a Python that has no packages."""
    command = [sys.executable, "-S", "-m", "infra.preflight", *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def copied(folder: Path) -> Path:
    shutil.copytree(CHECKOUT / "infra", folder / "infra")
    shutil.copytree(CHECKOUT / "kernel_lib", folder / "kernel_lib")
    shutil.copy(CHECKOUT / "course", folder)
    shutil.copy(CHECKOUT / "requirements.lock", folder)
    return folder


def test_it_needs_no_package() -> None:
    done = before_installing(CHECKOUT, "logs")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_port_is_refused_before_anything_is_installed(tmp_path: Path, busy: Layout) -> None:
    done = before_installing(copied(tmp_path), "up", "--port-offset", str(busy.port_offset))
    assert done.returncode == 1
    assert f"Port {busy.port('kafka-1')}, wanted for kafka-1, is held by process {os.getpid()} (" in done.stderr


def test_a_path_that_the_services_cannot_take_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    checkout = copied(tmp_path / "my course")
    done = subprocess.run([checkout / "course", "lab"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "contains ' ', which the services cannot take" in done.stderr
    assert not (checkout / ".venv").exists()
