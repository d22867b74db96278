"""Wait for the words of a view."""

import re

import pytest

from kernel_lib.errors import WaitTimeout
from kernel_lib.plots import View
from kernel_lib.waiting import wait_until


def says(view: View, words: str, timeout_seconds: float = 60) -> re.Match[str]:
    """Return the match of an expression in a view's text; a failure has what it said instead."""
    try:
        found = wait_until(lambda: re.search(words, view.text), timeout_seconds, repr(words))
    except WaitTimeout:
        pytest.fail(f"the view does not say {words!r} but {view.text!r}")
    assert found
    return found
