"""Every view on one page, fed by the real pipeline: its pixels change, and its line of text says what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page

from kernel_lib.waiting import wait_until
from tests.browser.lab_page import SCREENSHOTS, TOKEN, opened, run_all, save, wait_for_words

# Title of each view, and what its line of text says while all is well.
VIEWS = {
    "Event time against arrival": r"The watermark is at .* behind the clock",
    "Windows of 1 s in count_events": r"The newest closed window ends at .*: \d+ events counted",
    "Where user-events happen": r"\d+ events in the last 30 s from \d+ cities; most near",
    "End-to-end latency of processed-events": r"Half of the \d+ results of the last 10 s took at most",
    "Events per second, by type": r"\d+ events/s: page_view",
    "Sent against received": r"processed-events: .* 0 duplicate",
    "Where the time of count_events goes": r"No task is held back; the busiest is .*, busy \d+%",
    "Job count_events, records per second": r"user-events → read user-events \d+/s",
    "Checkpoints of count_events": r"Checkpoint \d+ took",
    "Kafka brokers and user-events, metrics": r"3 of 3 brokers are up; all 18 replicas of user-events are in sync",
    "Records behind": r"count_events (keeps up|is \d+ records? behind|has committed)",
    "The pipeline, records per second": r"producers → user-events \d+/s",
}
WIDTHS = (1280, 1920)
# So high that no view is out of sight.
PAGE_PIXELS = 5200
THEME = "/lab/api/settings/@jupyterlab/apputils-extension:themes"


@pytest.fixture(scope="module")
def gallery(window: Browser, address: str) -> Iterator[Page]:
    page = opened(window, address, "gallery.ipynb", scale=1)
    run_all(page, last_button="close the gallery")
    yield page
    page.get_by_role("button", name="close the gallery").click()
    page.get_by_text("close the gallery: stopped after").wait_for(state="attached", timeout=60_000)
    page.close()


def view_of(gallery: Page, title: str) -> Locator:
    return gallery.locator(".course-view", has_text=title).first


@pytest.mark.parametrize("title", VIEWS)
def test_the_words_of_a_view_say_what_it_shows(gallery: Page, title: str) -> None:
    wait_for_words(view_of(gallery, title), VIEWS[title])


@pytest.mark.parametrize("title", VIEWS)
def test_the_pixels_of_a_view_change_while_data_flows(gallery: Page, title: str) -> None:
    picture = view_of(gallery, title).locator(".bk-Figure").first
    picture.scroll_into_view_if_needed()
    before = picture.screenshot()
    wait_until(lambda: picture.screenshot() != before, 20, f"the picture of {title!r} to change")


def test_a_switch_in_the_page_silences_a_partition(gallery: Page) -> None:
    knob = gallery.locator(".course-knob", has_text="silence partition 2")
    knob.get_by_role("checkbox").check()
    wait_for_words(knob, r"In force: silent, acknowledged after \d+ ms")
    wait_for_words(view_of(gallery, "Event time against arrival"), r"it waits for partition 2")
    knob.get_by_role("checkbox").uncheck()
    wait_for_words(knob, r"In force: sending")


@pytest.mark.timeout(300)  # the page is loaded anew, with all its pictures
def test_every_view_is_alive_after_a_reload_in_the_dark_and_fits_its_page(gallery: Page, address: str) -> None:
    photograph(gallery, "light")
    save(gallery)
    choice = {"raw": json.dumps({"theme": "JupyterLab Dark"})}
    httpx.put(f"{address}{THEME}?token={TOKEN}", json=choice, trust_env=False).raise_for_status()
    gallery.reload()
    gallery.locator("body[data-jp-theme-light='false']").wait_for(timeout=60_000)
    wait_for_words(view_of(gallery, "The pipeline, records per second"), VIEWS["The pipeline, records per second"])
    photograph(gallery, "dark")


def photograph(gallery: Page, theme: str) -> None:
    """Save the whole page at two widths; no view may be wider than its cell."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    views = gallery.locator(".course-view")
    for width in WIDTHS:
        gallery.set_viewport_size({"width": width, "height": PAGE_PIXELS})
        fits = views.evaluate_all("views => views.map(view => view.scrollWidth <= view.clientWidth + 1)")
        assert fits == [True] * len(fits)
        assert len(fits) > len(VIEWS)
        gallery.screenshot(path=SCREENSHOTS / f"gallery_{theme}_{width}.png", timeout=90_000)
