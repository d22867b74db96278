"""Own the one thread that redraws every view, the lock around their documents, and the list of views by name.

>>> refresher.add("rates", view)      # replaces and closes a view of that name
>>> refresher.stop()                  # closes all; the thread ends
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

from kernel_lib.errors import ConfigurationError

REFRESHES_PER_SECOND = 4
MOST_REFRESHES = 10

# Bokeh documents are not thread-safe: the browser's messages and the refresher take turns.
lock = threading.RLock()


class Refreshable(Protocol):
    """What can be redrawn: a view, or a knob that follows its target."""

    def update(self) -> None: ...
    def broke(self, error: BaseException) -> None: ...
    def close(self) -> None: ...


class _Refresher:
    def __init__(self) -> None:
        self.seconds = 1 / REFRESHES_PER_SECOND
        self.items: dict[str, Refreshable] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, name: str, item: Refreshable) -> None:
        self.remove(name)
        with lock:
            self.items[name] = item
            if self._thread is None or not self._thread.is_alive():
                self._wake.clear()
                self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)
                self._thread.start()

    def remove(self, name: str) -> None:
        with lock:
            item = self.items.pop(name, None)
        if item is not None:
            item.close()

    def stop(self) -> None:
        for name in list(self.items):
            self.remove(name)
        thread, self._thread = self._thread, None
        self._wake.set()
        if thread is not None:
            thread.join(timeout=2)

    def _run(self) -> None:
        me = threading.current_thread()
        with asyncio.Runner() as runner:
            while self._thread is me:
                runner.run(self._tick())
                self._wake.wait(self.seconds)

    async def _tick(self) -> None:
        for name, item in list(self.items.items()):
            # gather() hands an error back as a value: one broken view must not stop the others.
            [outcome] = await asyncio.gather(_update(item), return_exceptions=True)
            if isinstance(outcome, BaseException):
                with lock:
                    self.items.pop(name, None)
                item.broke(outcome)


async def _update(item: Refreshable) -> None:
    with lock:
        item.update()


_refresher = _Refresher()


def add(name: str, item: Refreshable) -> None:
    """Redraw `item` from now on, in the place of what had this name before."""
    _refresher.add(name, item)


def remove(name: str) -> None:
    """Close the item of this name, if there is one."""
    _refresher.remove(name)


def pace(per_second: float) -> None:
    """Redraw so often from now on: less for a page of many pictures, or a browser without a graphics card.

    Raises ConfigurationError unless it is above 0 and at most 10.
    """
    if not 0 < per_second <= MOST_REFRESHES:
        raise ConfigurationError(
            f"Pictures cannot be redrawn {per_second:g} times a second.", remedy=f"above 0, at most {MOST_REFRESHES}"
        )
    _refresher.seconds = 1 / per_second


def stop() -> None:
    """Close every item and end the thread."""
    _refresher.stop()


def names() -> list[str]:
    """Return the names of what is being redrawn."""
    return list(_refresher.items)
