"""Own the services the course runs: how they are, and starting, stopping, killing and pausing them.

    >>> from kernel_lib import services
    >>> services.kill("kafka-2")
    >>> services.status("kafka-2").state
    'stopped'
    >>> services.start("kafka-2")

Supervisor runs the processes and is asked through XML-RPC; whether a running process is well, its own
port is asked. A cluster that the course did not start has no supervisor address, and these calls say so.
"""

from __future__ import annotations

import http.client
import re
import urllib.parse
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kernel_lib import probes
from kernel_lib.errors import AuthenticationFailed, NotFound, ServiceControlFailed, ServiceUnavailable, WaitTimeout
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

START_TIMEOUT_SECONDS = 90.0
# The longest call is a stop: supervisor kills what did not end in 20 s.
CALL_TIMEOUT_SECONDS = 60.0
NOT_STARTED = "not started"
LOG_TAIL_BYTES = 20_000
_RESTARTING = ("EXITED", "BACKOFF")
_NAMES_AN_ERROR = re.compile(r"\b(ERROR|FATAL|error:|\w*Exception\b)")


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is. `state` is healthy, starting, unhealthy, paused, stopped or failed; `reason` says why."""

    name: str
    state: str
    address: str
    reason: str
    remedy: str
    pid: int
    uptime_seconds: int

    @property
    def healthy(self) -> bool:
        return self.state == "healthy"

    @property
    def in_trouble(self) -> bool:
        """Whether it should run and does not: one that was never started waits for a later lesson."""
        return not self.healthy and self.reason != NOT_STARTED


def names(*, settings: Settings | None = None) -> list[str]:
    """Return the names of all services, in the order of their start; raises NotFound where the course runs none."""
    settings = settings or load()
    if not settings.course_services:
        raise NotFound(
            "The course runs no services here.",
            cause="COURSE_SERVICES is not set: the clusters are somebody else's",
            remedy="the tools of whoever runs them",
        )
    return list(settings.course_services)


def statuses(*, settings: Settings | None = None) -> list[ServiceStatus]:
    """Return how every service is, within a few seconds even when none answers.

    Raises NotFound where the course runs none, ServiceUnavailable when supervisor, which runs them, does not answer.
    """
    settings = settings or load()
    found = _all_infos(settings)
    with ThreadPoolExecutor(len(found)) as pool:
        return list(pool.map(lambda name: _status(name, found[name], settings), found))


def status(name: str, *, settings: Settings | None = None) -> ServiceStatus:
    """Return how one service is. Raises NotFound, or ServiceUnavailable when supervisor does not answer."""
    settings = settings or load()
    return _status(name, _call(settings, name, "supervisor.getProcessInfo", name), settings)


def _status(name: str, info: dict[str, Any], settings: Settings) -> ServiceStatus:
    address = settings.course_services[name].address
    state, reason = _judge(name, info, settings)
    return ServiceStatus(
        name=name,
        state=state,
        address=address,
        reason=reason,
        remedy="" if state == "healthy" else _REMEDIES[state].format(name=name),
        pid=info["pid"],
        uptime_seconds=max(0, info["now"] - info["start"]) if info["pid"] else 0,
    )


def processes(*, settings: Settings | None = None) -> dict[str, tuple[int, int]]:
    """Return the process id of each service, 0 if it is down, and when it was started last (epoch s), 0 if never.

    The id is one of the machine or container where supervisor runs. Raises ServiceUnavailable.
    """
    return {name: (info["pid"], info["start"]) for name, info in _all_infos(settings or load()).items()}


def _all_infos(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what supervisor says of each service, in one question to each supervisor."""
    one_of_each = {settings.course_services[name].supervisor: name for name in names(settings=settings)}
    answers = [_call(settings, name, "supervisor.getAllProcessInfo") for name in one_of_each.values()]
    found = {info["name"]: info for answer in answers for info in answer}
    return {name: found[name] for name in names(settings=settings)}


def start(name: str, *, settings: Settings | None = None, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
    """Start a service, or resume a paused one, and wait until it is healthy; harmless when it is.

    Raises NotFound, ServiceControlFailed, ServiceUnavailable, and WaitTimeout when it is on its way down for too long.
    """
    settings = settings or load()
    state = wait_until(lambda: _settled_state(settings, name), timeout_seconds, f"{name} to stop before it starts")
    if state in ("STARTING", "RUNNING"):
        resume(name, settings=settings)
    elif state not in _RESTARTING:
        _spawn(settings, name)
    wait_healthy(name, settings=settings, timeout_seconds=timeout_seconds)


def _spawn(settings: Settings, name: str) -> None:
    """Start a process. That it ended at once is for `wait_healthy` to tell: it has the last words of the log."""
    try:
        _call(settings, name, "supervisor.startProcess", name, False)
    except ServiceControlFailed as error:
        if not error.cause.startswith("SPAWN_ERROR"):
            raise


def _settled_state(settings: Settings, name: str) -> str:
    """Return supervisor's word for the state of a process; nothing while it is on its way down."""
    state = str(_call(settings, name, "supervisor.getProcessInfo", name)["statename"])
    return "" if state == "STOPPING" else state


def stop(name: str, *, settings: Settings | None = None) -> None:
    """Ask a service to end, and wait until it has; harmless when it is down.

    Raises NotFound, ServiceControlFailed, ServiceUnavailable when supervisor does not answer.
    """
    settings = settings or load()
    if _call(settings, name, "supervisor.getProcessInfo", name)["pid"]:
        _call(settings, name, "supervisor.stopProcess", name)


def kill(name: str, *, settings: Settings | None = None, timeout_seconds: float = 10.0) -> None:
    """Crash a service with SIGKILL, its children too; it stays down until `start`. Raises as `stop`, WaitTimeout."""
    settings = settings or load()
    _call(settings, name, "course.crash", name)
    wait_until(
        lambda: not _call(settings, name, "supervisor.getProcessInfo", name)["pid"],
        timeout_seconds,
        f"{name} to die",
    )


def pause(name: str, *, settings: Settings | None = None) -> None:
    """Freeze a service (SIGSTOP): its connections stay open, but nothing answers. Raises as `stop` does.

    With this course's settings brokers lead no partition 4 s later, and Flink gives a TaskManager up after 30 s and
    restarts its jobs; one that was killed it gives up within some seconds, because it refuses connections.
    """
    _call(settings or load(), name, "course.signal_group", name, "STOP")


def resume(name: str, *, settings: Settings | None = None) -> None:
    """Let a paused service go on (SIGCONT). Raises as `stop` does."""
    _call(settings or load(), name, "course.signal_group", name, "CONT")


def mend(*, settings: Settings | None = None) -> list[str]:
    """Resume or start each service in trouble, side by side, and return their names. Raises as `start` does."""
    troubled = [each for each in statuses(settings=settings) if each.in_trouble]
    with ThreadPoolExecutor(max(1, len(troubled))) as side_by_side:
        list(side_by_side.map(lambda each: _mend(each, settings), troubled))
    return [each.name for each in troubled]


def _mend(status: ServiceStatus, settings: Settings | None) -> None:
    if status.state == "paused":
        resume(status.name, settings=settings)
    start(status.name, settings=settings)


def wait_healthy(
    name: str, *, settings: Settings | None = None, timeout_seconds: float = START_TIMEOUT_SECONDS
) -> ServiceStatus:
    """Wait until a service is healthy. Raises ServiceUnavailable with the reason when it is not in time."""
    settings = settings or load()
    last: list[ServiceStatus] = []

    def settled() -> bool:
        last[:] = [status(name, settings=settings)]
        return last[0].state in ("healthy", "failed")

    try:
        wait_until(settled, timeout_seconds, f"{name} to become healthy", interval_seconds=0.3)
    except WaitTimeout as error:
        raise ServiceUnavailable(name, last[0].address, last[0].reason, last[0].remedy) from error
    if not last[0].healthy:
        raise ServiceUnavailable(name, last[0].address, last[0].reason, last[0].remedy)
    return last[0]


_REMEDIES = {
    "starting": "wait a few seconds; ./course logs {name}",
    "unhealthy": "./course logs {name}",
    "paused": 'services.resume("{name}")',
    "stopped": 'services.start("{name}") in a notebook',
    "failed": "./course logs {name}",
}


def _judge(name: str, info: dict[str, Any], settings: Settings) -> tuple[str, str]:
    """Turn what supervisor knows, and what the process itself answers, into a state and a reason."""
    state = info["statename"]
    if state in ("STOPPED", "STOPPING"):
        return "stopped", NOT_STARTED if not info["start"] else "was stopped or killed"
    if state in _RESTARTING:
        return "starting", f"ended by itself and is started again: {_last_words(name, info, settings)}"
    if state in ("FATAL", "UNKNOWN"):
        return "failed", _last_words(name, info, settings)
    if _is_paused(info["pid"]):
        return "paused", "the process is frozen (SIGSTOP)"
    reason = probes.ask(name, settings)
    if not reason:
        return "healthy", ""
    young = info["now"] - info["start"] < START_TIMEOUT_SECONDS
    return ("starting" if young else "unhealthy"), reason


def _last_words(name: str, info: dict[str, Any], settings: Settings) -> str:
    """Return the last line of a dead process's log that names an error or, without one, what supervisor says."""
    log = _call(settings, name, "supervisor.readProcessStdoutLog", name, -LOG_TAIL_BYTES, 0)
    errors = [line.strip() for line in log.splitlines() if _NAMES_AN_ERROR.search(line) and not line.startswith("\t")]
    return errors[-1][:300] if errors else info["spawnerr"] or info["description"] or "ended by itself"


def _is_paused(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "T"
    except OSError:  # a service in another container, or one that has just ended
        return False


def _call(settings: Settings, name: str, method: str, *arguments: Any) -> Any:
    """Call supervisor's XML-RPC for service `name`, and put its errors into our words."""
    if name not in names(settings=settings):
        raise NotFound(
            f"There is no service {name!r}.", cause=f"the services are {', '.join(names(settings=settings))}"
        )
    url = settings.course_services[name].supervisor
    try:
        return getattr(_proxy(settings, url), method)(*arguments)
    except xmlrpc.client.Fault as error:
        raise ServiceControlFailed(
            f"{method.split('.')[1]} of {name} failed.", cause=error.faultString, remedy=f"./course logs {name}"
        ) from error
    except xmlrpc.client.ProtocolError as error:
        # Its own text repeats the address with the password in it.
        kind = AuthenticationFailed if error.errcode == 401 else ServiceUnavailable
        raise kind("supervisor", url, f"HTTP {error.errcode} {error.errmsg}", "./course up") from None
    except (OSError, http.client.HTTPException) as error:
        raise ServiceUnavailable("supervisor", url, str(error), "./course up") from error


def _proxy(settings: Settings, url: str) -> xmlrpc.client.ServerProxy:
    password = urllib.parse.quote(settings.supervisor_password.get_secret_value(), safe="")
    address = url.replace("://", f"://{settings.supervisor_user}:{password}@") + "/RPC2"
    return xmlrpc.client.ServerProxy(address, transport=_PatientTransport())


class _PatientTransport(xmlrpc.client.Transport):
    """Gives a call up after CALL_TIMEOUT_SECONDS; the default waits for ever."""

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = CALL_TIMEOUT_SECONDS
        return connection
