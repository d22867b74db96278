"""Own the one thread that redraws every view, the lock around their documents, and the list of views by name.

>>> refresher.add("rates", view)      # replaces and closes a view of that name
>>> refresher.stop()                  # closes all; the thread ends
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

REFRESHES_PER_SECOND = 4

# Bokeh documents are not thread-safe: the browser's messages and the refresher take turns.
lock = threading.RLock()


class Refreshable(Protocol):
    """What can be redrawn: a view, or a knob that follows its target."""

    def update(self) -> None: ...
    def broke(self, error: BaseException) -> None: ...
    def close(self) -> None: ...


class _Refresher:
    def __init__(self) -> None:
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
                self._wake.wait(1 / REFRESHES_PER_SECOND)

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


def stop() -> None:
    """Close every item and end the thread."""
    _refresher.stop()


def names() -> list[str]:
    """Return the names of what is being redrawn."""
    return list(_refresher.items)
