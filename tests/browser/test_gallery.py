"""Every view on one page, fed by the real pipeline: its pixels change, and its line of text says what it shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from kernel_lib.waiting import wait_until
from tests.browser.lab_page import SCREENSHOTS, opened, run_all, wait_for_words

# Title of each view, and what its line of text says while all is well.
VIEWS = {
    "Event time against arrival": r"The watermark is at .* behind the clock",
    "Events per second, by type": r"\d+ events/s: page_view",
    "Sent against received": r"processed-events: .* 0 duplicate",
    "Where the time of count_events goes": r"No task is held back; the busiest is .*, busy \d+%",
    "Job count_events, records per second": r"user-events → read user-events \d+/s",
    "The pipeline, records per second": r"producers → user-events \d+/s",
}
WIDTHS = (1280, 1920)


@pytest.fixture(scope="module")
def gallery(window: Browser, address: str) -> Iterator[Page]:
    page = opened(window, address, "gallery.ipynb")
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


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_view_is_photographed_in_light_and_dark_and_fits_its_page(gallery: Page, theme: str) -> None:
    gallery.get_by_role("menuitem", name="Settings", exact=True).click()
    gallery.get_by_role("menuitem", name="Theme", exact=True).hover()
    gallery.get_by_role("menuitem", name=theme, exact=True).click()
    gallery.locator(f"body[data-jp-theme-name='{theme}']").wait_for(timeout=20_000)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        gallery.set_viewport_size({"width": width, "height": 1000})
        for number, view in enumerate(gallery.locator(".course-view").all()):
            view.scroll_into_view_if_needed()
            assert view.evaluate("view => view.scrollWidth <= view.clientWidth + 1"), f"view {number} at {width}"
            view.screenshot(path=SCREENSHOTS / f"gallery_{theme.split()[-1].lower()}_{width}_{number}.png")
