"""Own the only polling loop of the repository, and how long all waits of one call may take together.

Example:

    >>> wait_until(lambda: path.exists(), timeout_seconds=5, what="the file to appear")
    >>> with at_most(90):
    ...     verdict = checker()
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from kernel_lib.errors import OutOfTime, WaitTimeout

T = TypeVar("T")

_end: ContextVar[float] = ContextVar("end", default=math.inf)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let all waits inside take so many seconds together; the one that is under way then raises OutOfTime.

    Holds in this thread. Inside of another one, the one that ends first counts.
    """
    token = _end.set(min(_end.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(token)


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
    that `check` returned, after `timeout_seconds`, and OutOfTime when the time of `at_most` is up; errors
    raised by `check` pass through.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"Waited {timeout_seconds:g} s for {what}.", cause=f"last seen: {value!r}", remedy=remedy)
        if time.monotonic() >= _end.get():
            raise OutOfTime(f"The time was up while waiting for {what}.", cause=f"last seen: {value!r}", remedy=remedy)
        time.sleep(interval_seconds)
