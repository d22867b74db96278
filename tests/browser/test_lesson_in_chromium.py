"""A learner's hour in a real Chromium against a real JupyterLab: Run All, the pictures move, the slider works."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from infra import browser as chromium
from infra import lab
from infra.layout import CHECKOUT, HOST
from kernel_lib import jobs, settings, topics
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

NAMESPACE = "test-browser"
TOKEN = "only-for-this-test"
SCREENSHOTS = settings.home() / "screenshots"
RUN_ALL_SECONDS = 150
NEWEST = """() => {
    const models = Bokeh.documents.flatMap(d => [...d._all_models.values()]);
    const rates = models.filter(m => m.type === "ColumnDataSource" && m.data.window_end !== undefined).at(-1);
    return rates && rates.data.window_end.length
        ? {end: rates.data.window_end.at(-1), totals: Array.from(rates.data.total).slice(-3)} : null;
}"""


@pytest.fixture(scope="module")
def course() -> Iterator[Settings]:
    found = settings.load(namespace=NAMESPACE)
    topics.create_all(settings=found)
    yield found
    for job in jobs.running(settings=found):
        job.cancel()


@pytest.fixture(scope="module")
def address(course: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab of the course, set up as `course lab` does, over a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(CHECKOUT / "notebooks", folder / "notebooks")
    port = _free_port()
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


@pytest.fixture(scope="module")
def first_job(window: Browser, address: str) -> Iterator[Page]:
    """Lesson 05 after Run All: the shop is open, the job runs."""
    page = _opened(window, address, "05_first_job.ipynb")
    _run_all(page, last_button="close the shop")
    yield page
    page.close()


def test_run_all_shows_no_error(first_job: Page) -> None:
    assert first_job.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert first_job.locator(".jp-OutputArea-output:has-text('Traceback')").count() == 0


def test_the_data_of_the_plot_moves(first_job: Page) -> None:
    before = _newest(first_job)["end"]
    first_job.wait_for_function(f"before => ({NEWEST})()?.end > before", arg=before, timeout=15_000)


def test_the_line_of_text_says_the_rate(first_job: Page) -> None:
    line = first_job.locator(".course-view .course-twin").first
    line.filter(has_text="events/s: ").wait_for(state="attached", timeout=15_000)
    assert "page_view" in (line.text_content() or "")


def test_the_graph_carries_rates(first_job: Page) -> None:
    twin = first_job.locator(".course-view .course-twin", has_text="user-events →").first
    twin.wait_for(state="attached", timeout=15_000)
    assert "/s" in (twin.text_content() or "")


def test_the_slider_changes_the_measured_rate(first_job: Page) -> None:
    _set_slider(first_job, 500)
    first_job.locator(".course-knob", has_text="In force: 500 events/s, acknowledged after").wait_for(
        state="attached", timeout=10_000
    )
    first_job.wait_for_function(
        f"() => {{ const now = ({NEWEST})(); return now && now.totals.every(t => t > 425 && t < 575); }}",
        timeout=30_000,
    )


def test_a_reload_keeps_the_plot_alive(first_job: Page) -> None:
    before = _newest(first_job)["end"]
    first_job.keyboard.press("Control+s")
    first_job.locator(".jp-mod-dirty").wait_for(state="detached", timeout=10_000)
    first_job.reload()
    first_job.wait_for_function(f"before => window.Bokeh && ({NEWEST})()?.end > before", arg=before, timeout=60_000)
    moved = _newest(first_job)["end"]
    first_job.wait_for_function(f"before => ({NEWEST})()?.end > before", arg=moved, timeout=15_000)
    _photograph(first_job, "05_first_job")


def test_a_wrong_answer_says_why(first_job: Page) -> None:
    question = first_job.locator(".course-question", has_text="half-filled window")
    question.get_by_text("it closes by itself after a second").click()
    question.get_by_role("button", name="check").click()
    question.get_by_text("that stands still now").wait_for(state="attached", timeout=10_000)


def test_closing_the_shop_counts_the_last_window(first_job: Page) -> None:
    first_job.get_by_role("button", name="close the shop").click()
    first_job.get_by_text("close the shop: counted equals sent").wait_for(state="attached", timeout=60_000)


def test_the_cockpit_shows_services_and_the_running_pipeline(window: Browser, address: str) -> None:
    page = _opened(window, address, "00_cockpit.ipynb")
    _run_all(page, last_button="leave the cockpit")
    _wait_for_words(page, r"services are healthy")
    _wait_for_words(page, r"producers → user-events (9|10|11)\d/s")
    _wait_for_words(page, r"count_events → metrics [1-9]")
    _photograph(page, "00_cockpit")
    page.get_by_role("button", name="leave the cockpit").click()
    page.get_by_text("leave the cockpit: stopped after").wait_for(state="attached", timeout=60_000)
    page.close()


def _opened(window: Browser, address: str, notebook: str) -> Page:
    page = window.new_page(viewport={"width": 1500, "height": 1100}, device_scale_factor=1.5)
    page.goto(f"{address}/lab/tree/notebooks/{notebook}?token={TOKEN}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    return page


def _run_all(page: Page, *, last_button: str) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.get_by_role("button", name=last_button).wait_for(timeout=RUN_ALL_SECONDS * 1000)


def _wait_for_words(page: Page, pattern: str, seconds: int = 60) -> None:
    """Wait until a picture's line of text says something; fail with what all of them say instead."""
    lines = page.locator(".course-twin")
    try:
        lines.filter(has_text=re.compile(pattern)).first.wait_for(state="attached", timeout=seconds * 1000)
    except PlaywrightTimeout:
        pytest.fail(f"nothing says {pattern!r}: {lines.all_text_contents()}")


def _newest(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.wait_for_function(NEWEST, timeout=30_000).json_value()
    return found


def _set_slider(page: Page, value: int) -> None:
    readout = page.locator(".course-knob .widget-readout").first
    readout.click()
    page.keyboard.press("Control+a")
    page.keyboard.type(str(value))
    page.keyboard.press("Enter")


def _photograph(page: Page, name: str) -> None:
    """Save what the learner sees around the first live view."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.locator(".course-view").first.evaluate("view => view.scrollIntoView()")
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/api", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
