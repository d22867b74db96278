"""Every control of the course, reached and worked without a mouse, and in a kernel that starts again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from infra.lab_page import opened, run_all
from tests.browser.lab_page import Address, tab_to, wait_for_words


@pytest.fixture(scope="module")
def controls(window: Browser, address: Address) -> Iterator[Page]:
    page = opened(window, address("controls.ipynb"), scale=1)
    run_all(page, last_button="close the page")
    page.locator(".jp-MarkdownCell").first.click()
    yield page
    page.close()


def test_an_arrow_on_the_slider_turns_the_rate_of_the_producer(controls: Page) -> None:
    knob = controls.locator(".course-knob")
    tab_to(controls, knob.get_by_role("slider"))
    controls.keyboard.press("ArrowRight")
    wait_for_words(knob, r"In force: 60 events/s, acknowledged after [\d,.]+ ms")
    controls.keyboard.press("ArrowLeft")
    wait_for_words(knob, r"In force: 50 events/s, acknowledged after [\d,.]+ ms")


def test_space_presses_a_button(controls: Page) -> None:
    tab_to(controls, controls.get_by_role("button", name="who sends"))
    controls.keyboard.press("Space")
    wait_for_words(controls, r"who sends: producer \w+, alone: True")


def test_a_quiz_is_answered_without_a_mouse(controls: Page) -> None:
    question = controls.locator(".course-question")
    tab_to(controls, question.get_by_role("radio").first)
    controls.keyboard.press("Space")
    controls.keyboard.press("ArrowDown")
    tab_to(controls, question.get_by_role("button", name="check"))
    controls.keyboard.press("Space")
    question.get_by_text("right it only grows").wait_for(state="attached", timeout=10_000)


def test_a_hint_is_opened_without_a_mouse(controls: Page) -> None:
    hints = controls.locator(".course-hints")
    tab_to(controls, hints.get_by_role("button"))
    controls.keyboard.press("Enter")
    hints.get_by_text("Hint 1 of 2: The first hint.").wait_for(state="attached", timeout=10_000)


@pytest.mark.timeout(300)  # a kernel ends, another starts
def test_a_kernel_that_starts_again_and_runs_all_starts_clean(controls: Page) -> None:
    before = sender(controls)
    controls.get_by_role("menuitem", name="Kernel", exact=True).click()
    controls.get_by_role("menuitem", name=re.compile("Restart Kernel and Run All Cells")).click()
    controls.get_by_role("button", name="Confirm Kernel Restart").click()
    controls.locator(".course-question").wait_for(state="detached", timeout=60_000)
    controls.get_by_role("button", name="close the page").wait_for(timeout=150_000)
    assert sender(controls) != before
    knob = controls.locator(".course-knob")
    assert knob.count() == 1
    wait_for_words(knob, r"In force: 50 events/s\.")
    assert controls.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    controls.get_by_role("button", name="close the page").click()
    controls.get_by_text("close the page: stopped after").wait_for(state="attached", timeout=60_000)


def sender(page: Page) -> str:
    """Return which producer sends, and whether it is the only one of its kernel."""
    page.get_by_role("button", name="who sends").click()
    wait_for_words(page, r"who sends: producer \w+, alone: True")
    return page.locator(".course-twin", has_text="who sends: producer").text_content() or ""
