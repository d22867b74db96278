"""Do what a person does with a notebook in JupyterLab, in a real Chromium: open it, and run it.

It needs Chromium and playwright, which comes with what the tests need: see `infra.browser.missing`.

    >>> with lab_page.chromium() as window:
    ...     page = lab_page.opened(window, lab.address(where, secrets))
    ...     lab_page.run_all(page, last_button="leave the cockpit")
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from infra import browser
from kernel_lib.errors import WaitTimeout

OPEN_SECONDS = 60
RUN_ALL_SECONDS = 150


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium without a window."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root; what it shows here is our own page.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=browser.find(), args=options)
        yield opened
        opened.close()


def opened(window: Browser, address: str, *, scale: float = 1.5) -> Page:
    """Open the notebook at an address with its token, and wait until its kernel is idle."""
    page = window.new_page(viewport={"width": 1500, "height": 1100}, device_scale_factor=scale)
    page.goto(f"{address}&reset")  # without the tabs of another one
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=OPEN_SECONDS * 1000)
    page.get_by_text("| Idle").wait_for(timeout=OPEN_SECONDS * 1000)
    return page


def run_all(page: Page, *, last_button: str, seconds: float = RUN_ALL_SECONDS) -> None:
    """Run all cells until the button of the last one is there.

    Raises WaitTimeout, with what has run and what went wrong, if it does not come.
    """
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    try:
        page.get_by_role("button", name=last_button).wait_for(timeout=seconds * 1000)
    except PlaywrightTimeout:
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        errors = page.locator(".jp-OutputArea-output:has-text('Traceback')").all_inner_texts()
        cause = f"cells {prompts}, errors {errors}"
        raise WaitTimeout(f"Run All did not come to its end in {seconds:g} s.", cause=cause) from None
