"""Own the learners who are graded: each has a namespace, a user in Kafka and in Elasticsearch, and a home.

    >>> with learners.enrolled(layout) as learner:
    ...     subprocess.run(command, env=learner.environment())

The name of a learner is the namespace too, and all names are equally long: none is the beginning of another.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from infra import elasticsearch_home, namespaces, provision, render
from infra.credentials import FILE, credentials, read_env, write_env
from infra.layout import Layout
from kernel_lib import topics
from kernel_lib.errors import ConfigurationError, ServiceUnavailable
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

PREFIX = "grade-"
LOGIN_TIMEOUT_SECONDS = 30
END_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Learner:
    """Who a notebook runs as; `home` has the settings that its kernel reads, and takes what it writes."""

    name: str
    home: Path
    password: str = field(repr=False)

    @property
    def work(self) -> Path:
        """The folder in which the notebook runs."""
        return self.home / "work"

    def end_processes(self) -> None:
        """Kill the kernel and what it started."""
        _end_processes(self.home)

    def environment(self) -> dict[str, str]:
        """Return the environment of this learner's processes; no setting of this process's own is in it."""
        kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        return kept | {"COURSE_HOME": str(self.home)}

    def settings(self) -> Settings:
        """Return the settings with which this learner reaches the services."""
        return load(namespace=self.name, **_login(self.name, self.password))


@contextmanager
def enrolled(where: Layout) -> Iterator[Learner]:
    """Make a learner with topics of its own, and remove all of it in the end. Raises ServiceUnavailable."""
    name = f"{PREFIX}{secrets.token_hex(4)}"
    learner = Learner(name, _homes(where) / name, secrets.token_hex(16))
    try:
        _enrol(where, learner)
        yield learner
    finally:
        remove(where, name)


def remove(where: Layout, name: str) -> None:
    """End what a learner left running, and delete what is left of it; harmless when nothing is."""
    home = _homes(where) / name
    _end_processes(home)
    namespaces.remove(name, settings=load())
    provision.remove_learner(where, credentials(where.home), name)
    _write_elasticsearch_users(where, {})
    shutil.rmtree(home, ignore_errors=True)


def remove_leftovers(where: Layout) -> list[str]:
    """Remove the learners that an interrupted run left; return their names.

    Raises ConfigurationError when the course in this home was not started by `./course up`.
    """
    if not (where.home / FILE).exists():
        raise ConfigurationError(
            "Learners can only be made in a course that was started here.",
            cause=f"{where.home} has no passwords of administrators",
            remedy="./course up",
        )
    users = provision.users(where, credentials(where.home))
    homes = [path.name for path in _homes(where).glob(f"{PREFIX}*")]
    found = sorted({name for name in [*users, *homes] if name.startswith(PREFIX)})
    for name in found:
        remove(where, name)
    return found


def _homes(where: Layout) -> Path:
    return where.run / "learners"


def _enrol(where: Layout, learner: Learner) -> None:
    learner.work.mkdir(parents=True, mode=0o700)
    write_settings(where.home, learner)
    _write_elasticsearch_users(where, {learner.name: learner.password})
    provision.add_learner(where, credentials(where.home), learner.name, learner.password)
    settings = learner.settings()
    topics.create_all(settings=settings)
    wait_until(lambda: _elasticsearch_knows(settings), LOGIN_TIMEOUT_SECONDS, f"Elasticsearch to know {learner.name}")


def write_settings(course: Path, learner: Learner) -> None:
    """Write what a learner's processes read: the addresses of the course, and the learner's own login."""
    secret = {name: value for name, value in _login(learner.name, learner.password).items() if "password" in name}
    login = {name: value for name, value in _login(learner.name, learner.password).items() if name not in secret}
    write_env(learner.home / "course.env", read_env(course / "course.env") | login | {"namespace": learner.name})
    write_env(learner.home / "secrets.env", read_env(course / "secrets.env") | secret, mode=0o600)


def _login(name: str, password: str) -> dict[str, str]:
    return {
        "sasl_username": name,
        "sasl_password": password,
        "elasticsearch_user": name,
        "elasticsearch_password": password,
    }


def _write_elasticsearch_users(where: Layout, learners: Mapping[str, str]) -> None:
    render.elasticsearch_users(credentials(where.home), elasticsearch_home.locate(where), learners)


def _elasticsearch_knows(settings: Settings) -> bool:
    login = (settings.elasticsearch_user, settings.elasticsearch_password.get_secret_value())
    try:
        return httpx.get(f"{settings.elasticsearch_url}/_cluster/health", auth=login, trust_env=False).is_success
    except httpx.TransportError as error:
        raise ServiceUnavailable("Elasticsearch", settings.elasticsearch_url, str(error)) from error


def _end_processes(home: Path) -> None:
    left = [process for process in psutil.process_iter() if _lives_in(process, home)]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=END_TIMEOUT_SECONDS)


def _lives_in(process: psutil.Process, home: Path) -> bool:
    # What a learner's processes start carries the home in its environment too.
    try:
        return process.environ().get("COURSE_HOME") == str(home)
    except (psutil.AccessDenied, psutil.NoSuchProcess):  # NoSuchProcess: a zombie too
        return False
