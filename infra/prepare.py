"""Make everything that the services need before they start: homes, formatted storage, configuration, passwords.

    >>> prepare(Layout(Path(".course")))

Every step is harmless when it was done before, and leaves a state from which the next call goes on.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sysconfig
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra import artifacts, beam_loopback, elasticsearch_home, layout, render, steps
from infra.credentials import Credentials, credentials
from infra.layout import Layout
from kernel_lib.errors import CourseError


def prepare(where: Layout) -> Credentials:
    """Fetch, unpack, render and format; return the passwords. Raises CourseError naming the step that failed."""
    for folder in (where.home, where.conf, where.data, where.logs, where.run, where.run / "flink"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secrets = credentials(where.home)
    files = artifacts.fetch(where.artifacts)
    with steps.step("Configuration"):
        _configure(where, secrets, files)
    return secrets


def _configure(where: Layout, secrets: Credentials, files: dict[str, list[Path]]) -> None:
    kafka_lib = _link_all(files["kafka"], where.home / "kafka" / "lib")
    elasticsearch = elasticsearch_home.locate(where)
    elasticsearch_home.prepare(elasticsearch, where, files["elasticsearch"][0])
    render.render(where, secrets, kafka_lib, elasticsearch)
    _make_flink_home(where.flink_home, where.conf / "flink", files["flink"])
    elasticsearch_home.hand_over(elasticsearch)
    _format_brokers(where, kafka_lib, secrets)
    render.write_settings(where, secrets)


def _link_all(files: list[Path], folder: Path) -> Path:
    """Make `folder` hold links to `files` and nothing else, so that an updated lock leaves no old jar behind."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file.resolve())
    return folder


def _make_flink_home(home: Path, conf: Path, connectors: list[Path]) -> None:
    pyflink = Path(sysconfig.get_path("purelib")) / "pyflink"
    home.mkdir(exist_ok=True)
    jars = [*(pyflink / "lib").glob("*.jar"), *(pyflink / "opt").glob("flink-python-*.jar"), *connectors]
    _link_all(jars, home / "lib")
    beam_loopback.write_jar(next((pyflink / "opt").glob("flink-python-*.jar")), home / "lib" / "beam-loopback.jar")
    # Folders of their own: the scripts look beside the folder that they really lie in, and Flink enters no link.
    shutil.rmtree(home / "bin", ignore_errors=True)
    shutil.copytree(pyflink / "bin", home / "bin")
    for name, origin in {"opt": pyflink / "opt", "plugins": pyflink / "plugins", "conf": conf}.items():
        _link_all(list(origin.iterdir()), home / name)


def _format_brokers(where: Layout, kafka_lib: Path, secrets: Credentials) -> None:
    """Format the storage of each broker that has none, side by side."""
    cluster_id = where.data / "kafka-cluster-id"
    if not cluster_id.exists():
        cluster_id.write_text(kafka_uuid())
    bare = [node for node in layout.BROKERS if not (where.data / f"kafka-{node}" / "meta.properties").exists()]
    with ThreadPoolExecutor(len(layout.BROKERS)) as side_by_side:
        list(side_by_side.map(lambda node: _format(where, kafka_lib, node, cluster_id.read_text(), secrets), bare))


def _format(where: Layout, kafka_lib: Path, node: int, cluster_id: str, secrets: Credentials) -> None:
    """Format the storage of a broker and create the SCRAM users."""
    users = {
        "admin": secrets.kafka_admin_password,
        "broker": secrets.kafka_broker_password,
        "course": secrets.kafka_course_password,
    }
    arguments = ["format", "--cluster-id", cluster_id]
    arguments += ["--config", f"{where.conf}/kafka/server-{node}.properties"]
    for name, password in users.items():
        arguments += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
    _run_java(where, "kafka.tools.StorageTool", arguments, kafka_lib, where.run / f"format-{node}.args")


def kafka_uuid() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")


def _run_java(where: Layout, main_class: str, arguments: list[str], classpath: Path, options: Path) -> None:
    """Run a Java program; its arguments stand in the file `options`, as all users can read a command line."""
    options.touch(mode=0o600)
    words = ["-XX:TieredStopAtLevel=1", "-cp", f"{classpath}/*", main_class, *arguments]
    quoted = ['"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words]
    options.write_text("\n".join(quoted))
    try:
        done = subprocess.run(
            [f"{where.java_home}/bin/java", f"@{options}"], capture_output=True, text=True, check=False
        )
    finally:
        options.unlink()
    if done.returncode != 0:
        raise CourseError(
            f"{main_class} ended with code {done.returncode}.",
            cause=(done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2],
            remedy="./course down --wipe, then ./course up",
        )
