"""Own the question that each kind of service is asked on its own port, and why it is not well.

>>> probes.ask("kafka-2", settings)
'the port does not answer: Connection refused'
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from kernel_lib import shared
from kernel_lib.settings import Settings

# The TaskManagers are all looked for in one answer of the JobManager.
SHARED_SECONDS = 0.3
TIMEOUT_SECONDS = 3.0
_RPC_ADDRESS = re.compile(r"@([^/]+)")


def ask(name: str, settings: Settings) -> str:
    """Return why a service is not well, "" if it is; within a few seconds, also when nobody answers."""
    probe = {
        "kafka": _broker,
        "flink-jobmanager": _jobmanager,
        "flink-taskmanager": _taskmanager,
        "elasticsearch": _elasticsearch,
    }.get(_kind(name), _port)
    return probe(settings, name)


def _kind(name: str) -> str:
    return name.rstrip("0123456789").rstrip("-")


def _broker(settings: Settings, name: str) -> str:
    reason = _port(settings, name)
    others = [each for each in settings.course_services if _kind(each) == "kafka" and each != name]
    if reason and others and all(_port(settings, each) for each in others):
        # Each is a controller too, and these elect one of them by majority before any opens its port to clients.
        return f"{reason}; no other broker answers, and one alone never does: most of the {len(others) + 1} must run"
    return reason


def _port(settings: Settings, name: str) -> str:
    return _port_reason(settings.course_services[name].address)


def _port_reason(address: str) -> str:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), TIMEOUT_SECONDS).close()
    except OSError as error:
        return f"the port does not answer: {error.strerror or error}"
    return ""


def _jobmanager(settings: Settings, name: str) -> str:
    return _http_reason(f"{settings.flink_jobmanager_url}/overview", lambda body: "")


def _taskmanager(settings: Settings, name: str) -> str:
    def missing(body: Any) -> str:
        paths = [manager["path"] for manager in body["taskmanagers"] if manager["id"] == name]
        # For some seconds the JobManager still knows one that was killed, by the port that it had.
        living = [path for path in paths if not _port_reason(_RPC_ADDRESS.search(path)[1])]  # type: ignore[index]
        return "" if living else "not registered with the JobManager yet"

    return _http_reason(f"{settings.flink_jobmanager_url}/taskmanagers", missing)


def _elasticsearch(settings: Settings, name: str) -> str:
    def red(body: Any) -> str:
        return "the cluster's state is red" if body["status"] == "red" else ""

    login = (settings.elasticsearch_user, settings.elasticsearch_password.get_secret_value())
    return _http_reason(f"{settings.elasticsearch_url}/_cluster/health", red, login)


def _http_reason(url: str, judge: Callable[[Any], str], login: tuple[str, str] | None = None) -> str:
    """Ask `url`; return why the service is not well, or an empty string."""
    try:
        answer = _answers.of((url, login), lambda: _client().get(url, auth=login), since=shared.ago(SHARED_SECONDS))
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        return f"{error.request.url.path} answered {error.response.status_code}"
    except httpx.TransportError as error:
        return f"{url} does not answer: {error or type(error).__name__}"
    return judge(answer.json())


_answers = shared.Answers()


@cache
def _client() -> httpx.Client:
    # Kept, since making one reads all certificates that Python trusts; its connections are not: a probe makes its own.
    fresh = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, limits=fresh)
