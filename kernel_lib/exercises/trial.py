"""Own how an answer is tried: what value it may have, whether it comes back, and a run apart that always ends.

>>> trial.is_number(float("nan"), least=0, most=60)
False
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from kernel_lib import jobs
from kernel_lib.errors import OutOfTime
from kernel_lib.job import Job
from kernel_lib.jobs import EventFunction
from kernel_lib.settings import Settings

LONGEST_SECONDS = 86_400.0
"""What a number of seconds may be: Flink takes no interval without end."""
_TRY_ALL = """
import contextlib, pickle, sys
function, events = pickle.load(sys.stdin.buffer), pickle.load(sys.stdin.buffer)
for event in events:
    with contextlib.suppress(Exception):
        function(event)
"""


def is_number(value: Any, *, least: float, most: float = LONGEST_SECONDS) -> bool:
    """Say whether a learner's value is a number (no bool, no nan) from `least` to `most`."""
    is_one = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_one and bool(least <= value <= most)


def comes_back(function: EventFunction, events: Sequence[Mapping[str, Any]], *, seconds: float) -> bool:
    """Say whether a function has returned or raised for each event, in a process that is killed after `seconds`.

    An endless one on the cluster could not be cancelled: Flink would give up its TaskManager after three minutes.
    Raises JobFailed for a function that cannot be sent.
    """
    try:
        subprocess.run(
            [sys.executable, "-c", _TRY_ALL],
            input=jobs.pickled(function) + pickle.dumps(events),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            start_new_session=True,
            check=False,  # what it returns or raises is seen on the cluster
        )
    except subprocess.TimeoutExpired:
        return False
    return True


def apart(settings: Settings) -> Settings:
    """Return settings with a namespace of the exercise's own: its events are none of the lesson's ledger."""
    return settings.model_copy(update={"namespace": f"{settings.namespace}-exercise".lstrip("-")})


@contextmanager
def ending(job: Job) -> Iterator[Job]:
    """Cancel a job in the end: one that goes on would hold its slots."""
    try:
        yield job
    finally:
        with suppress(OutOfTime):  # it has been asked to end, and the next one of its name waits for that
            job.cancel()
