"""What a person does with a notebook in JupyterLab: open it, run it, look at it."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from kernel_lib import settings

TOKEN = "only-for-this-test"
SCREENSHOTS = settings.home() / "screenshots"
RUN_ALL_SECONDS = 150
MOST_TABS = 100


def opened(window: Browser, address: str, notebook: str, *, scale: float = 1.5) -> Page:
    page = window.new_page(viewport={"width": 1500, "height": 1100}, device_scale_factor=scale)
    page.goto(f"{address}/lab/tree/notebooks/{notebook}?token={TOKEN}&reset")  # without the tabs of another test
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    return page


def run_all(page: Page, *, last_button: str, seconds: float = RUN_ALL_SECONDS) -> None:
    """Run all cells; fail with what has run and what went wrong if the last one's button does not come."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    try:
        page.get_by_role("button", name=last_button).wait_for(timeout=seconds * 1000)
    except PlaywrightTimeout:
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        errors = page.locator(".jp-OutputArea-output:has-text('Traceback')").all_inner_texts()
        pytest.fail(f"Run All did not come to its end: cells {prompts}, errors {errors}")


def command(page: Page, label: str) -> None:
    """Run a command of JupyterLab by its name in the palette."""
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill(label)
    page.keyboard.press("Enter")  # the best match is chosen already


def wait_for_words(place: Page | Locator, pattern: str, seconds: int = 60) -> None:
    """Wait until a picture's line of text says something; fail with what all of them say instead."""
    lines = place.locator(".course-twin")
    try:
        lines.filter(has_text=re.compile(pattern)).first.wait_for(state="attached", timeout=seconds * 1000)
    except PlaywrightTimeout:
        pytest.fail(f"nothing says {pattern!r}: {lines.all_text_contents()}")


def photograph(page: Page, name: str) -> None:
    """Save what the learner sees around the first live view."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.locator(".course-view").first.evaluate("view => view.scrollIntoView()")
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus; fail when that does not come about."""
    for _ in range(MOST_TABS):
        if target.evaluate("element => element.matches(':focus')"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{MOST_TABS} presses of Tab do not reach {target}")
