"""Own the only polling loop of the repository.

Example:

    >>> wait_until(lambda: path.exists(), timeout_seconds=5, what="the file to appear")
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kernel_lib.errors import WaitTimeout

T = TypeVar("T")


def wait_until(
    check: Callable[[], T],
    timeout_seconds: float,
    what: str,
    *,
    interval_seconds: float = 0.1,
    remedy: str = "",
) -> T:
    """Call `check` until it returns something true, and return that.

    `what` completes the sentence "Waited 5 s for ...". Raises WaitTimeout, with the last value
    that `check` returned, after `timeout_seconds`; errors raised by `check` pass through.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"Waited {timeout_seconds:g} s for {what}.", cause=f"last seen: {value!r}", remedy=remedy)
        time.sleep(interval_seconds)
