"""Own the knob: a control that calls its target, and says what was asked and what is in force.

It calls in the background, so that a slow target never blocks the notebook; it is debounced (the newest wish wins),
follows a target that is turned elsewhere, and is disabled, with the reason, while its target is gone.

    >>> Knob(widgets.Checkbox(description="lamp"), lamp.switch, words=str)      # switch returns milliseconds
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

import ipywidgets as widgets

from kernel_lib import live
from kernel_lib.plots import refresher
from kernel_lib.plots.view import twin

T = TypeVar("T")

CLOSED = "another knob took its place, or plots.stop() closed it"
# What knobs and buttons call; a service that starts takes seconds.
background = ThreadPoolExecutor(max_workers=2, thread_name_prefix="knobs")


class Knob(Generic[T]):
    """A control bound to a function that applies a value and returns, when it is in force, the milliseconds it took."""

    def __init__(
        self,
        control: Any,
        apply: Callable[[T], float],
        *,
        words: Callable[[T], str],
        target: str = "",
        read: Callable[[], T | None] = lambda: None,
        read_every_seconds: float = 1.0,
        gone: Callable[[], str] = str,
    ) -> None:
        """`control`: an ipywidget with a description and a value, which is in force now.

        `words` says a value with its unit; `target` names what is turned, so that a knob replaces only one of the same
        target. `read` is called in the background, so often, and returns what is in force by the target's own word, or
        raises; `gone`, which never blocks, says why it cannot be turned, "" while it can.
        """
        self.control = control
        self.requested: T = control.value
        self.in_force: T = control.value
        self.milliseconds: float | None = None
        self._apply, self._words, self._gone = apply, words, gone
        self._reader = partial(live.Poller[T | None], read, every_seconds=read_every_seconds)
        self._reading = self._reader()
        self._problem = self._gone_because = ""
        self._turn: tuple[T, Future[float]] | None = None
        self._following = False
        self.control.observe(self._moved, names="value")
        self._line = widgets.HTML()
        self.widget = widgets.VBox([self.control, self._line])
        self.widget.add_class("course-knob")
        refresher.add(f"knob {control.description} of {target}", self)

    def ask(self, value: T) -> None:
        """Ask for a value; returns at once, and `in_force` follows when the target has acknowledged."""
        with refresher.lock:
            self.requested, self._problem = value, ""
            self._turn_on()

    @property
    def text(self) -> str:
        """What was asked and what is in force, in one sentence."""
        if self._gone_because:
            return f"Cannot be turned: {self._gone_because}"
        if self._problem:
            return f"Asked for {self._words(self.requested)}, not in force: {self._problem}"
        if self.requested != self.in_force:
            return f"Asked for {self._words(self.requested)}; {self._words(self.in_force)} still in force …"
        took = ""
        if self.milliseconds is not None:
            took = f", acknowledged after {self.milliseconds:,.{1 if self.milliseconds < 1 else 0}f} ms"
        return f"In force: {self._words(self.in_force)}{took}."

    def update(self) -> None:
        """Apply the newest wish when the last one is done, else follow the target; the refresher calls this."""
        self._gone_because = self._gone()
        if not self._gone_because:
            self._turn_on()
            if self._turn is None:
                self._follow()
        self.control.disabled = bool(self._gone_because)
        self._line.value = twin(self.text)

    def broke(self, error: BaseException) -> None:
        """Say that the knob ended with an error of its own."""
        self._problem = live.in_one_line(error)
        self._line.value = twin(self.text)

    def close(self) -> None:
        """Stop turning; the widget stays on the page, disabled, and says why."""
        with refresher.lock:
            self._gone = lambda: CLOSED
            self.update()

    def _moved(self, change: Any) -> None:
        with refresher.lock:
            if not self._following:
                self.ask(change["new"])

    def _follow(self) -> None:
        found = self._reading.poll()
        self._gone_because = self._reading.problem
        if found is not None and found != self.in_force:
            self.requested = self.in_force = found
            self.milliseconds, self._problem = None, ""
        if self.requested == self.in_force:
            self._following = True
            self.control.value = self.in_force  # a control shows a value beyond its range as its end
            self._following = False

    def _turn_on(self) -> None:
        if self._turn is not None:
            if not self._turn[1].done():
                return
            self._take(*self._turn)
            self._turn = None
            self._reading = self._reader()  # what was read before the turn ended is out of date
        if self.requested != self.in_force and not self._problem:
            self._turn = (self.requested, background.submit(self._apply, self.requested))

    def _take(self, value: T, turn: Future[float]) -> None:
        error = turn.exception()
        if error is None:
            self.in_force, self.milliseconds, self._problem = value, turn.result(), ""
        else:
            self._problem = live.in_one_line(error)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": self.text}

    def __repr__(self) -> str:
        return self.text
