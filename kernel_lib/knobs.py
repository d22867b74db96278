"""Own widgets that turn something that runs, and show what was asked and what is in force.

A knob calls its target in the background, so that a slow target never blocks the notebook; it is debounced
(the newest wish wins) and closed, with the reason, when its target is gone.

    >>> events = producer.start("user-events", events_per_second=100)
    >>> knobs.rate(events, most=1000)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import ipywidgets as widgets

from kernel_lib import live, runs
from kernel_lib.plots import refresher
from kernel_lib.plots.view import twin
from kernel_lib.producer import Producer

_turning = ThreadPoolExecutor(max_workers=2, thread_name_prefix="knobs")


class Knob:
    """A slider bound to a function that applies a value and returns, when it is in force, the milliseconds it took."""

    def __init__(
        self,
        label: str,
        apply: Callable[[float], float],
        *,
        value: float,
        least: float,
        most: float,
        step: float = 1,
        unit: str = "",
        gone: Callable[[], str] = str,
    ) -> None:
        self.requested = self.in_force = value
        self.milliseconds: float | None = None
        self.unit = unit
        self._apply, self._gone = apply, gone
        self._problem = self._gone_because = ""
        self._turn: tuple[float, Future[float]] | None = None
        self.slider = widgets.FloatSlider(
            value=value, min=least, max=most, step=step, description=label, readout_format=",.0f",
            continuous_update=False, style={"description_width": "initial"}, layout=widgets.Layout(width="520px"),
        )  # fmt: skip
        self.slider.observe(lambda change: self.ask(change["new"]), names="value")
        self._line = widgets.HTML()
        self.widget = widgets.VBox([self.slider, self._line])
        self.widget.add_class("course-knob")
        refresher.add(f"knob {label}", self)

    def ask(self, value: float) -> None:
        """Ask for a value; returns at once, and `in_force` follows when the target has acknowledged."""
        with refresher.lock:
            self.requested, self._problem = value, ""
            self._turn_on()

    @property
    def text(self) -> str:
        """What was asked and what is in force, in one sentence."""
        problem = self._gone_because or self._problem
        if problem:
            return f"Asked for {self._figure(self.requested)}, not in force: {problem}"
        if self.requested != self.in_force:
            return f"Asked for {self._figure(self.requested)}; {self._figure(self.in_force)} still in force …"
        took = f", acknowledged after {self.milliseconds:.0f} ms" if self.milliseconds is not None else ""
        return f"In force: {self._figure(self.in_force)}{took}."

    def update(self) -> None:
        """Apply the newest wish when the last one is done; the refresher calls this."""
        self._gone_because = self._gone()
        self.slider.disabled = bool(self._gone_because)
        if not self._gone_because:
            self._turn_on()
        self._line.value = twin(self.text)

    def broke(self, error: BaseException) -> None:
        """Say that the knob ended with an error of its own."""
        self._problem = live.in_one_line(error)
        self._line.value = twin(self.text)

    def close(self) -> None:
        """Stop turning; the widget stays on the page, disabled."""
        self.slider.disabled = True

    def _turn_on(self) -> None:
        if self._turn is not None:
            if not self._turn[1].done():
                return
            self._take(*self._turn)
            self._turn = None
        if self.requested != self.in_force and not self._problem:
            self._turn = (self.requested, _turning.submit(self._apply, self.requested))

    def _take(self, value: float, turn: Future[float]) -> None:
        error = turn.exception()
        if error is None:
            self.in_force, self.milliseconds, self._problem = value, turn.result(), ""
        else:
            self._problem = live.in_one_line(error)

    def _figure(self, value: float) -> str:
        return f"{value:,.0f} {self.unit}".strip()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


class Buttons:
    """A row of buttons that call functions in the background, and a line that says what came of it."""

    def __init__(self, functions: Mapping[str, Callable[[], object]]) -> None:
        self.text = "Nothing pressed yet."
        self._functions = dict(functions)
        self._call: tuple[str, Future[object]] | None = None
        self._line = widgets.HTML(twin(self.text))
        layout = widgets.Layout(width="auto")
        self.buttons = {label: widgets.Button(description=label, layout=layout) for label in self._functions}
        for label, button in self.buttons.items():
            button.on_click(partial(self._clicked, label))
        self.widget = widgets.VBox([widgets.HBox(list(self.buttons.values())), self._line])
        refresher.add(f"buttons {' '.join(self._functions)}", self)

    def press(self, label: str) -> None:
        """Do what a click on the button does; ignored while the last call still runs."""
        with refresher.lock:
            if self._call is None:
                self._call = (label, _turning.submit(self._functions[label]))

    def update(self) -> None:
        """Say how the last call goes; the refresher calls this."""
        if self._call is not None:
            label, call = self._call
            if call.done():
                error = call.exception()
                self.text = f"{label}: {live.in_one_line(error) if error else call.result() or 'done'}"
                self._call = None
            else:
                self.text = f"{label} …"
        for button in self.buttons.values():
            button.disabled = self._call is not None
        self._line.value = twin(self.text)

    def broke(self, error: BaseException) -> None:
        """Say that the buttons ended with an error of their own."""
        self._line.value = twin(live.in_one_line(error))

    def close(self) -> None:
        """Disable the buttons; they stay on the page."""
        for button in self.buttons.values():
            button.disabled = True

    def _clicked(self, label: str, _: object) -> None:
        self.press(label)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"[{'] ['.join(self._functions)}] {self.text}"


def rate(producer: Producer, *, least: float = 10, most: float = 1000, step: float = 10) -> Knob:
    """Return a slider for a producer's events per second."""
    return Knob(
        "events per second",
        lambda value: producer.set(events_per_second=value).milliseconds,
        value=runs.Run.open(producer.run).knob_log().last.events_per_second,
        least=least,
        most=most,
        step=step,
        unit="events/s",
        gone=lambda: "" if producer.alive else "its producer has ended: start it again",
    )
