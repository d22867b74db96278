"""Measure how fast this machine is: 1.0 is the machine of the course's benchmark figures, 0.4 one 2.5 times slower.

A fixed piece of work in Python, timed in many short pieces of which the fastest counts: what else runs on the machine
interrupts some of them, and hardly ever all.

>>> speed.index()
0.98
"""

from __future__ import annotations

import json
import time

# One piece of work on the machine of the benchmark figures (2 cores of AMD EPYC, 24 GiB, Python 3.11, December 2026).
REFERENCE_SECONDS = 0.00057
PIECES = 500
_EVENTS = 100


def index() -> float:
    """Return how fast Python runs here; takes 0.3 s there, more where the processors are busy."""
    return REFERENCE_SECONDS / min(_seconds_of_a_piece() for _ in range(PIECES))


def _seconds_of_a_piece() -> float:
    begun = time.perf_counter()
    _piece_of_work()
    return time.perf_counter() - begun


def _piece_of_work() -> int:
    """Write, read and count events, as the course does all day."""
    counts: dict[str, int] = {}
    for number in range(_EVENTS):
        text = json.dumps({"eventId": f"run-{number}", "user": number % 17, "values": list(range(number % 23))})
        event = json.loads(text)
        for word in (event["eventId"], *map(str, event["values"])):
            counts[word] = counts.get(word, 0) + event["user"]
    return sum(sorted(counts.values()))
