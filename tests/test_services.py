"""Supervisor is real here; what it runs are small programs instead of Kafka and Flink."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.layout import CHECKOUT, HOST
from kernel_lib import services
from kernel_lib.errors import AuthenticationFailed, NotFound, ServiceControlFailed, ServiceUnavailable
from kernel_lib.services import ServiceStatus
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until
from tests.ports import free_ports

PASSWORD = "correct horse@battery/staple"

CONFIGURATION = """
[supervisord]
nodaemon=true
pidfile={folder}/supervisord.pid
logfile={folder}/supervisord.log
childlogdir={folder}
{user}
[inet_http_server]
port={host}:{supervisor}
username=course
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:course]
supervisor.rpcinterface_factory=infra.supervisor_rpc:make

[eventlistener:reaper]
command={python} -m infra.reaper
events=PROCESS_STATE_EXITED,PROCESS_STATE_STOPPED
stdout_logfile=NONE

; Answers at its port, and has a child in its process group.
[program:web]
command=sh -c "sleep 1000 & exec {python} -m http.server {web} --bind {host}"
autostart=false
autorestart=true
stopasgroup=true

; Runs, but never answers.
[program:mute]
command=sleep 1000
autostart=false

; Ends at once, however often it is started.
[program:broken]
command=sh -c "echo ERROR no room on the disk; exit 1"
autostart=false
startretries=0
"""


@pytest.fixture
def settings(empty_home: Path) -> Iterator[Settings]:
    supervisor, web, nobody = free_ports(3)
    file = empty_home / "supervisord.conf"
    file.write_text(
        CONFIGURATION.format(
            folder=empty_home,
            host=HOST,
            supervisor=supervisor,
            web=web,
            password=PASSWORD,
            python=sys.executable,
            user="user=root" if os.geteuid() == 0 else "",
        )
    )
    url = f"http://{HOST}:{supervisor}"
    addresses = {"web": f"{HOST}:{web}", "mute": f"{HOST}:{nobody}", "broken": f"{HOST}:{nobody}"}
    found = load(
        kafka_bootstrap_servers="",
        flink_jobmanager_url="",
        elasticsearch_url="",
        supervisor_user="course",
        supervisor_password=PASSWORD,
        course_services={name: {"address": address, "supervisor": url} for name, address in addresses.items()},
    )
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(file)], cwd=CHECKOUT, stdout=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: answers(found), 20, "supervisor to answer")
        yield found
        for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            one.kill()


def answers(settings: Settings) -> bool:
    try:
        return bool(services.statuses(settings=settings))
    except ServiceUnavailable:
        return False


def family(settings: Settings) -> list[psutil.Process]:
    leader = psutil.Process(services.status("web", settings=settings).pid)
    return [leader, *leader.children(recursive=True)]


def test_a_service_that_was_not_started_says_so_and_how(settings: Settings) -> None:
    status = services.status("web", settings=settings)
    assert (status.state, status.reason) == ("stopped", services.NOT_STARTED)
    assert 'services.start("web")' in status.remedy


def test_a_started_service_is_healthy_when_its_port_answers(settings: Settings) -> None:
    services.start("web", settings=settings)
    status = services.status("web", settings=settings)
    assert status.healthy
    assert status.pid
    assert (status.reason, status.remedy) == ("", "")


def test_starting_what_runs_is_harmless(settings: Settings) -> None:
    services.start("web", settings=settings)
    pid = services.status("web", settings=settings).pid
    services.start("web", settings=settings)
    assert services.status("web", settings=settings).pid == pid


def test_what_runs_has_a_process_and_the_time_of_its_start(settings: Settings) -> None:
    services.start("web", settings=settings)
    found = services.processes(settings=settings)
    assert list(found) == ["web", "mute", "broken"]
    assert found["mute"] == (0, 0)
    pid, started = found["web"]
    assert pid == services.status("web", settings=settings).pid
    assert abs(started - psutil.Process(pid).create_time()) < 3


def test_a_stopped_service_is_down_with_its_children_and_stopping_again_is_harmless(settings: Settings) -> None:
    services.start("web", settings=settings)
    processes = family(settings)
    services.stop("web", settings=settings)
    services.stop("web", settings=settings)
    assert services.status("web", settings=settings).reason == "was stopped or killed"
    assert psutil.wait_procs(processes, timeout=5)[1] == []


def test_a_killed_service_is_down_with_its_children_until_it_is_started(settings: Settings) -> None:
    services.start("web", settings=settings)
    processes = family(settings)
    assert len(processes) == 2
    services.kill("web", settings=settings)
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    assert services.status("web", settings=settings).state == "stopped"
    services.start("web", settings=settings)
    assert services.status("web", settings=settings).healthy


def test_a_service_that_dies_by_itself_is_started_again_and_its_children_are_reaped(settings: Settings) -> None:
    services.start("web", settings=settings)
    processes = family(settings)
    processes[0].send_signal(signal.SIGKILL)
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    status = services.wait_healthy("web", settings=settings, timeout_seconds=20)
    assert status.pid not in [process.pid for process in processes]


def test_a_service_that_is_being_restarted_is_starting_not_failed(settings: Settings) -> None:
    services.start("web", settings=settings)
    family(settings)[0].send_signal(signal.SIGKILL)
    seen = set()

    def healthy_again() -> bool:
        status = services.status("web", settings=settings)
        seen.add(status.state)
        return status.healthy and status.pid != first

    first = services.status("web", settings=settings).pid
    wait_until(healthy_again, 20, "the restart", interval_seconds=0.02)
    assert seen <= {"starting", "healthy"}


def test_a_paused_service_is_paused_until_it_is_resumed(settings: Settings) -> None:
    services.start("web", settings=settings)
    services.pause("web", settings=settings)
    wait_until(lambda: services.status("web", settings=settings).state == "paused", 10, "the pause")
    status = services.status("web", settings=settings)
    assert 'services.resume("web")' in status.remedy
    services.resume("web", settings=settings)
    assert services.status("web", settings=settings).healthy


def test_starting_a_paused_service_resumes_it(settings: Settings) -> None:
    services.start("web", settings=settings)
    services.pause("web", settings=settings)
    wait_until(lambda: services.status("web", settings=settings).state == "paused", 10, "the pause")
    services.start("web", settings=settings, timeout_seconds=10)
    assert services.status("web", settings=settings).healthy


def test_what_is_in_trouble_is_mended_and_what_waits_for_a_later_lesson_is_not(settings: Settings) -> None:
    services.start("web", settings=settings)
    services.pause("web", settings=settings)
    wait_until(lambda: services.status("web", settings=settings).state == "paused", 10, "the pause")
    assert services.mend(settings=settings) == ["web"]
    assert services.status("web", settings=settings).healthy
    services.kill("web", settings=settings)
    assert services.mend(settings=settings) == ["web"]
    assert services.mend(settings=settings) == []


def test_services_are_mended_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    down = [ServiceStatus(name, "stopped", "", "was stopped or killed", "", 0, 0) for name in ("web", "mail")]
    both = threading.Barrier(2, timeout=10)
    monkeypatch.setattr(services, "statuses", lambda settings: down)
    monkeypatch.setattr(services, "start", lambda name, settings: both.wait())
    assert services.mend() == ["web", "mail"]


def test_a_paused_service_can_be_killed(settings: Settings) -> None:
    services.start("web", settings=settings)
    services.pause("web", settings=settings)
    services.kill("web", settings=settings)
    assert services.status("web", settings=settings).state == "stopped"


def test_a_service_that_runs_but_does_not_answer_is_not_healthy_and_says_why(settings: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match=r"mute at .* does not answer") as caught:
        services.start("mute", settings=settings, timeout_seconds=2)
    assert "Connection refused" in caught.value.cause
    assert "./course logs mute" in caught.value.remedy


def test_a_service_that_cannot_start_is_failed_with_the_last_words_of_its_log(settings: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match="broken") as caught:
        services.start("broken", settings=settings)
    assert caught.value.cause == "ERROR no room on the disk"
    assert caught.value.remedy == "./course logs broken"
    assert services.status("broken", settings=settings).state == "failed"


def test_a_service_that_ends_before_supervisor_has_answered_is_failed_with_the_same_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_call = services._call

    def spawned_too_late(asked: Settings, name: str, method: str, *arguments: Any) -> Any:
        answer = real_call(asked, name, method, *arguments)
        if method == "supervisor.startProcess":
            wait_until(lambda: services.status(name, settings=asked).state == "failed", 10, "it to fail")
            raise ServiceControlFailed("startProcess of broken failed.", cause="SPAWN_ERROR: broken")
        return answer

    monkeypatch.setattr(services, "_call", spawned_too_late)
    with pytest.raises(ServiceUnavailable, match="broken") as caught:
        services.start("broken", settings=settings)
    assert caught.value.cause == "ERROR no room on the disk"


def test_all_statuses_take_one_question_to_supervisor(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real_call, asked = services._call, list[str]()

    def noted(settings: Settings, name: str, method: str, *arguments: Any) -> Any:
        asked.append(method)
        return real_call(settings, name, method, *arguments)

    monkeypatch.setattr(services, "_call", noted)
    assert [one.name for one in services.statuses(settings=settings)] == ["web", "mute", "broken"]
    assert asked == ["supervisor.getAllProcessInfo"]


def test_killing_what_is_down_is_an_error_that_says_so(settings: Settings) -> None:
    with pytest.raises(ServiceControlFailed, match="crash of web failed") as caught:
        services.kill("web", settings=settings)
    assert "NOT_RUNNING" in caught.value.cause


def test_an_unknown_service_is_not_found_and_the_known_are_named(settings: Settings) -> None:
    for call in (services.status, services.start, services.stop, services.kill, services.pause, services.resume):
        with pytest.raises(NotFound, match="'kafka-9'") as caught:
            call("kafka-9", settings=settings)
        assert "web, mute, broken" in caught.value.cause


def test_a_wrong_password_is_refused_and_not_shown(settings: Settings) -> None:
    wrong = settings.model_copy(update={"supervisor_password": type(settings.supervisor_password)("wrong-horse")})
    with pytest.raises(AuthenticationFailed, match="supervisor at") as caught:
        services.statuses(settings=wrong)
    assert "wrong-horse" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_cluster_that_somebody_else_runs_has_no_services(settings: Settings) -> None:
    with pytest.raises(NotFound, match="runs no services here"):
        services.statuses(settings=settings.model_copy(update={"course_services": {}}))
