import os
import socket
import subprocess
import sys
from pathlib import Path

from infra import processes
from infra.layout import HOST
from infra.processes import MARKER


def test_a_listening_port_has_its_process() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert processes.listeners()[server.getsockname()[1]] == os.getpid()


def test_a_port_of_ipv6_counts_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert processes.listeners()[server.getsockname()[1]] == os.getpid()


def test_a_closed_port_is_free(unused_port: int) -> None:
    assert unused_port not in processes.listeners()


def test_a_process_belongs_to_the_course_whose_home_it_carries(tmp_path: Path) -> None:
    environment = {**os.environ, MARKER: str(tmp_path)}
    command = [sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert processes.belongs_to_course(process.pid, tmp_path)
        assert not processes.belongs_to_course(process.pid, tmp_path / "another")
        process.communicate()
    assert not processes.belongs_to_course(process.pid, tmp_path), "it has ended"


def test_a_process_of_nobody_belongs_to_no_course(tmp_path: Path) -> None:
    assert not processes.belongs_to_course(None, tmp_path)


def test_a_process_is_described_by_what_a_person_needs_to_end_it() -> None:
    assert processes.describe(os.getpid()).startswith(f"process {os.getpid()} (")
    assert processes.describe(None) == "a process of another user"
