"""The views of what single jobs report, on a page of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from infra.lab_page import opened, run_all
from tests.browser.lab_page import Address, wait_for_words
from tests.browser.test_gallery import photograph_in_light_and_dark, view_of, wait_for_movement

VIEWS = {
    "Keyed state by key group": (
        r"\d+ keys in \d+ key groups: \d+ in subtask 0 on flink-taskmanager-\d .*\. "
        r"flink-taskmanager-\d holds \d+ key groups?.*\. Created \d+, expired \d+"
    ),
    "Anomalies of sensors": r"sensor-\d+: [\d.]+ .*usual is [\d.]+ to [\d.]+.* alerts? on \d+ sensors?",
    "Stages of the patterns": r"\d+ attempts? under way\. In the last 60 s: \d+ matched, \d+ broken",
}
MOVING = {"Keyed state by key group": "created", "Anomalies of sensors": "at", "Stages of the patterns": "when"}


@pytest.fixture(scope="module")
def gallery(window: Browser, address: Address) -> Iterator[Page]:
    page = opened(window, address("gallery_of_jobs.ipynb"), scale=1)
    run_all(page, last_button="close the gallery")
    yield page
    page.get_by_role("button", name="close the gallery").click()
    page.get_by_text("close the gallery: stopped after").wait_for(state="attached", timeout=60_000)
    page.close()


@pytest.mark.parametrize("title", VIEWS)
def test_the_words_of_a_view_say_what_it_shows(gallery: Page, title: str) -> None:
    wait_for_words(view_of(gallery, title), VIEWS[title])


@pytest.mark.parametrize("title", MOVING)
def test_the_data_and_the_pixels_of_a_view_change_while_data_flows(gallery: Page, title: str) -> None:
    wait_for_movement(gallery, title, MOVING[title])


@pytest.mark.timeout(400)  # four photographs of a page that a processor draws
def test_every_view_fits_its_page_in_light_and_dark(gallery: Page) -> None:
    photograph_in_light_and_dark(gallery, "gallery_of_jobs", VIEWS)
