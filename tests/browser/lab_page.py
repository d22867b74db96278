"""What a person does on the page of a notebook: call commands, move with the keys, look at it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from kernel_lib import course_home

Address = Callable[[str], str]  # of a notebook in JupyterLab
SCREENSHOTS = course_home.path() / "screenshots"
MOST_TABS = 100


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
