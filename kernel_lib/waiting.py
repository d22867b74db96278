"""Own the only polling loop of the repository, and how long all waits of one call may take together.

Example:

    >>> wait_until(lambda: path.exists(), timeout_seconds=5, what="the file to appear")
    >>> with at_most(90):
    ...     verdict = checker()

Limits are made for two cores of today. COURSE_PATIENCE multiplies all of them; `./course test` sets it by how fast it
finds the machine.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from kernel_lib.errors import ConfigurationError, OutOfTime, WaitTimeout

T = TypeVar("T")

PATIENCE = "COURSE_PATIENCE"

_end: ContextVar[float] = ContextVar("end", default=math.inf)


def patience() -> float:
    """Return what every limit is multiplied by, 1 where COURSE_PATIENCE is not set; raises ConfigurationError."""
    said = os.environ.get(PATIENCE) or "1"
    try:
        factor = float(said)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ConfigurationError(
            f"{PATIENCE} cannot be {said!r}.",
            cause="it multiplies limits of time",
            remedy="a number, as 2.5, or unset it",
        )
    return factor


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let all waits inside take so many seconds together; the one that is under way then raises OutOfTime.

    Holds in this thread. Inside of another one, the one that ends first counts.
    """
    token = _end.set(min(_end.get(), time.monotonic() + seconds * patience()))
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
    that `check` returned, after `timeout_seconds` times `patience`, and OutOfTime when the time of `at_most` is up;
    errors raised by `check` pass through.
    """
    limit_seconds = timeout_seconds * patience()
    deadline = time.monotonic() + limit_seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"Waited {limit_seconds:g} s for {what}.", cause=f"last seen: {value!r}", remedy=remedy)
        if time.monotonic() >= _end.get():
            raise OutOfTime(f"The time was up while waiting for {what}.", cause=f"last seen: {value!r}", remedy=remedy)
        time.sleep(interval_seconds)
