"""A learner's hour in a real Chromium against a real JupyterLab: Run All, the pictures move, the slider works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from infra.lab_page import opened, run_all
from tests.browser.lab_page import Address, photograph, wait_for_words

NEWEST = """() => {
    const models = Bokeh.documents.flatMap(d => [...d._all_models.values()]);
    const rates = models.filter(m => m.type === "ColumnDataSource" && m.data.window_end !== undefined).at(-1);
    return rates && rates.data.window_end.length
        ? {start: rates.data.window_end[0], end: rates.data.window_end.at(-1),
           totals: Array.from(rates.data.total).slice(-3)} : null;
}"""


@pytest.fixture(scope="module")
def first_job(window: Browser, address: Address) -> Iterator[Page]:
    """Lesson 05 after Run All: the shop is open, the job runs."""
    page = opened(window, address("05_first_job.ipynb"))
    run_all(page, last_button="close the shop")
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
    _set_slider(first_job, 100)


def test_a_wrong_answer_says_why(first_job: Page) -> None:
    question = first_job.locator(".course-question", has_text="half-filled window")
    question.get_by_text("it closes by itself after a second").click()
    question.get_by_role("button", name="check").click()
    question.get_by_text("that stands still now").wait_for(state="attached", timeout=10_000)


@pytest.mark.timeout(300)  # on a busy machine JupyterLab takes its time
def test_a_reload_keeps_the_plot_alive(first_job: Page) -> None:
    before = _newest(first_job)["end"]
    first_job.keyboard.press("Control+s")
    first_job.locator(".jp-mod-dirty").wait_for(state="detached", timeout=10_000)
    first_job.reload()
    first_job.wait_for_function(f"before => window.Bokeh && ({NEWEST})()?.end > before", arg=before, timeout=60_000)
    assert _newest(first_job)["start"] <= before  # the points from before the reload are there
    # JupyterLab brings the widgets back one by one.
    first_job.get_by_role("button", name="close the shop").wait_for(state="attached", timeout=120_000)
    moved = _newest(first_job)["end"]
    first_job.wait_for_function(f"before => ({NEWEST})()?.end > before", arg=moved, timeout=15_000)
    photograph(first_job, "05_first_job")


def test_closing_the_shop_counts_the_last_window(first_job: Page) -> None:
    first_job.get_by_role("button", name="close the shop").click()
    first_job.get_by_text("close the shop: counted equals sent").wait_for(state="attached", timeout=60_000)


@pytest.mark.timeout(600)  # the whole pipeline starts, is drained and ends
def test_the_cockpit_shows_services_and_the_running_pipeline(window: Browser, address: Address) -> None:
    page = opened(window, address("00_cockpit.ipynb"))
    run_all(page, last_button="leave the cockpit", seconds=240)  # it waits until all six jobs run
    wait_for_words(page, r"8 of 8 services are healthy")
    wait_for_words(page, r"producers → user-events [567]\d/s", seconds=120)  # the first second has more
    wait_for_words(page, r"count_events → metrics [1-9]")
    photograph(page, "00_cockpit")
    page.get_by_role("button", name="leave the cockpit").click()
    page.get_by_text("leave the cockpit: stopped after").wait_for(state="attached", timeout=240_000)
    page.close()


def _newest(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.wait_for_function(NEWEST, timeout=30_000).json_value()
    return found


def _set_slider(page: Page, value: int) -> None:
    readout = page.locator(".course-knob", has_text="events per second").locator(".widget-readout")
    readout.click()
    page.keyboard.press("Control+a")
    page.keyboard.type(str(value))
    page.keyboard.press("Enter")
