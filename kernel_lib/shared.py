"""Share answers between those who ask the same at about the same time, as several pictures of one page do.

>>> answers = shared.Answers()
>>> answers.of("how many?", count, since=shared.ago(1))       # asks
>>> answers.of("how many?", count, since=shared.ago(1))       # has the answer of the first one
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

# Nobody is content with an older one.
OLDEST_SECONDS = 60.0


class Answers:
    """The newest answer to each question; an error is an answer, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Hashable, tuple[float, Future[Any]]] = {}

    def of(self, question: Hashable, ask: Callable[[], T], *, since: float) -> T:
        """Return what `ask` answers now, or answered to somebody who asked `since` that moment (`time.monotonic`).

        Who asks the same while it is being asked waits for that answer. Raises what `ask` raised.
        """
        mine: Future[T] | None = None
        with self._lock:
            now = time.monotonic()
            begun, answer = self._found.get(question, (now, None))
            if answer is None or (answer.done() and begun < since):
                answer = mine = Future()
                self._found = {key: each for key, each in self._found.items() if now - each[0] < OLDEST_SECONDS}
                self._found[question] = (now, mine)
        if mine is not None:
            _settle(mine, ask)
        found: T = answer.result()
        return found


def ago(seconds: float) -> float:
    """Return the moment so many seconds before now."""
    return time.monotonic() - seconds


def turn(seconds: float) -> float:
    """Return when the present turn of so many seconds has begun; they begin at the same moments for everybody."""
    now = time.monotonic()
    return now - now % seconds if seconds else now


def _settle(answer: Future[T], ask: Callable[[], T]) -> None:
    try:
        answer.set_result(ask())
    except BaseException as error:
        answer.set_exception(error)
        raise
