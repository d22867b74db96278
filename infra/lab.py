"""Run JupyterLab of the course: in the foreground until it is told to stop, or apart for a test or a measurement.

>>> lab.run(layout, credentials, open_browser=True)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from infra.credentials import Credentials
from infra.layout import CHECKOUT, HOST, Layout
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.waiting import wait_until

CONFIGURATION = CHECKOUT / "infra" / "jupyter"
CONFIGURATION_OPTION = f"--config={CONFIGURATION}/jupyter_lab_config.py"
FIRST_NOTEBOOK = "notebooks/00_cockpit.ipynb"
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 10


def address(where: Layout, secrets: Credentials, path: str = FIRST_NOTEBOOK) -> str:
    """Return the address of a notebook, with the token that opens it."""
    return f"http://{where.address('jupyterlab')}/lab/tree/{path}?token={secrets.jupyter_token}"


def run(
    where: Layout, secrets: Credentials, *, open_browser: bool, ready: Callable[[str], None], listen: str = HOST
) -> None:
    """Start JupyterLab, call `ready` with its address, and wait until it ends; an interrupt ends it.

    `listen`: the address of this machine at which others reach it (its token is asked for there too).

    Raises ServiceUnavailable when it does not answer within 60 s.
    """
    process = start(where, secrets, open_browser=open_browser, listen=listen)
    try:
        wait_until_it_answers(where, process)
        ready(address(where, secrets))
        process.wait()
    finally:
        stop(process)


def start(
    where: Layout, secrets: Credentials, *, open_browser: bool = False, listen: str = HOST
) -> subprocess.Popen[bytes]:
    """Start JupyterLab as a process of its own, its log beside those of the services."""
    options = [f"--ip={listen}", f"--ServerApp.root_dir={CHECKOUT}"]
    options += [f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}", f"--ServerApp.open_browser={open_browser}"]
    return _spawn(where, secrets, options, {})


@contextmanager
def apart(where: Layout, secrets: Credentials, folder: Path, *, namespace: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run JupyterLab over a copy of the notebooks, made in `folder`; its kernels work in `namespace`.

    Nothing is there of the person who runs it: neither the tabs that they had open nor their settings. Raises
    ServiceUnavailable as `run` does.
    """
    shutil.copytree(CHECKOUT / "notebooks", folder / "notebooks")
    options = [f"--ip={HOST}", f"--ServerApp.root_dir={folder}"]
    options += [f"--LabApp.workspaces_dir={folder}/workspaces", f"--LabApp.user_settings_dir={folder}/settings"]
    process = _spawn(where, secrets, options, {"NAMESPACE": namespace})
    try:
        wait_until_it_answers(where, process)
        yield process
    finally:
        stop(process)


def _spawn(
    where: Layout, secrets: Credentials, options: Sequence[str], variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jupyterlab", CONFIGURATION_OPTION, *options]
    command += [f"--port={where.port('jupyterlab')}", "--ServerApp.port_retries=0"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    environment = {
        **os.environ,
        "COURSE_HOME": str(where.home),
        "JUPYTER_TOKEN": secrets.jupyter_token,
        "JUPYTER_CONFIG_PATH": str(CONFIGURATION),
        "MALLOC_ARENA_MAX": "2",
        **variables,
    }
    with (where.logs / "jupyterlab.log").open("ab") as log:
        # A session of its own: an interrupt at the terminal reaches us, and we stop it in order.
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_until_it_answers(where: Layout, process: subprocess.Popen[bytes]) -> None:
    """Wait until JupyterLab serves pages. Raises ServiceUnavailable when it ended or takes more than 60 s."""

    def settled() -> bool:
        return process.poll() is not None or _answers(where)

    wait_until(settled, START_TIMEOUT_SECONDS, "JupyterLab to answer", remedy="./course logs jupyterlab")
    if process.poll() is not None:
        raise ServiceUnavailable(
            "JupyterLab",
            where.address("jupyterlab"),
            f"it ended with code {process.returncode}",
            "./course logs jupyterlab",
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End JupyterLab and its kernels; harmless when it has ended."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop_running(where: Layout) -> None:
    """End the JupyterLab of this course that another `course lab` runs, if there is one."""
    for process in psutil.process_iter():
        with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            if CONFIGURATION_OPTION in process.cmdline() and process.environ().get("COURSE_HOME") == str(where.home):
                process.terminate()
                process.wait(STOP_TIMEOUT_SECONDS)


def _answers(where: Layout) -> bool:
    try:
        return httpx.get(f"http://{where.address('jupyterlab')}/api", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
