"""A JupyterLab of the course, set up as `course lab` does, and a real Chromium."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from infra import browser as chromium
from infra import lab, namespaces
from infra.layout import CHECKOUT, HOST
from kernel_lib import settings, topics
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.browser.lab_page import TOKEN
from tests.ports import free_ports

NAMESPACE = "test-browser"


@pytest.fixture(scope="module")
def course() -> Iterator[Settings]:
    found = settings.load(namespace=NAMESPACE)
    topics.create_all(settings=found)
    yield found
    namespaces.remove(found.namespace, settings=found)


@pytest.fixture(scope="module")
def address(course: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Lab over a copy of the notebooks and of the galleries."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(CHECKOUT / "notebooks", folder / "notebooks")
    for gallery in (CHECKOUT / "tests" / "browser").glob("*.ipynb"):
        shutil.copy(gallery, folder / "notebooks")
    [port] = free_ports(1)
    command = [sys.executable, "-m", "jupyterlab", f"--config={lab.CONFIGURATION}/jupyter_lab_config.py"]
    command += [f"--ip={HOST}", f"--port={port}", f"--ServerApp.root_dir={folder}", "--allow-root"]
    # Nothing of the person who runs the tests: neither the tabs they had open nor their settings.
    command += [f"--LabApp.workspaces_dir={folder}/workspaces", f"--LabApp.user_settings_dir={folder}/settings"]
    environment = os.environ | {
        "NAMESPACE": NAMESPACE,
        "COURSE_HOME": str(settings.home()),
        "JUPYTER_TOKEN": TOKEN,
        "JUPYTER_CONFIG_PATH": str(lab.CONFIGURATION),
    }
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: _answers(port), 60, "JupyterLab to answer")
        yield f"http://{HOST}:{port}"
    finally:
        lab.stop(process)


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root; what it shows here is our own page.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=chromium.find(), args=options)
        yield opened
        opened.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/api", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
