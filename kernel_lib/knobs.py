"""Own widgets that turn something that runs, and show what was asked and what is in force.

>>> shop = producer.start("user-events", events_per_second=100)
>>> knobs.rate(shop, most=1000)
>>> knobs.share(shop, "late_share")
>>> knobs.silence(shop, partition=2)
>>> knobs.parameter("filter_events", "minimum_duration", most=60, unit="s")
>>> knobs.option(submission, "idle_timeout_seconds", least=2, most=20, unit="s")
>>> knobs.service("flink-taskmanager-1")
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import ipywidgets as widgets

from kernel_lib import controls, jobs, live, runs, services
from kernel_lib.cluster import LIVE_STATES
from kernel_lib.knob import Knob, background
from kernel_lib.knob_log import Knobs
from kernel_lib.plots import refresher
from kernel_lib.plots.view import twin
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load

GONE_SECONDS = 2.0
# Each time a consumer begins, which takes about 50 ms of a processor.
PARAMETERS_SECONDS = 5.0
_WIDTH = "520px"


def slider(
    label: str,
    apply: Callable[[float], float],
    *,
    value: float,
    least: float,
    most: float,
    step: float = 1,
    unit: str = "",
    percent: bool = False,
    **options: Any,
) -> Knob[float]:
    """Return a slider from `least` to `most`; with `percent` shares from 0 to 1 are shown as 0 % to 100 %.

    `options` are those of `Knob`.
    """
    digits = 0 if step >= 1 or percent else 1 if step >= 0.1 else 2
    control = widgets.FloatSlider(
        value=value,
        min=least,
        max=most,
        step=step,
        description=label,
        continuous_update=False,
        readout_format=f",.{digits}{'%' if percent else 'f'}",
        style={"description_width": "initial"},
        layout=widgets.Layout(width=_WIDTH),
    )

    def words(shown: float) -> str:
        return f"{shown:.0%}" if percent else f"{shown:,.{digits}f} {unit}".strip()

    return Knob(control, apply, words=words, **options)


def toggle(
    label: str,
    apply: Callable[[bool], float],
    *,
    value: bool,
    on: str = "on",
    off: str = "off",
    **options: Any,
) -> Knob[bool]:
    """Return a switch; `on` and `off` are the words for its two positions, `options` those of `Knob`."""
    control = widgets.Checkbox(value=value, description=label, indent=False, layout=widgets.Layout(width=_WIDTH))
    return Knob(control, apply, words=lambda v: on if v else off, **options)


def rate(producer: Producer, *, least: float = 10, most: float = 1000, step: float = 10) -> Knob[float]:
    """Return a slider for a producer's events per second."""
    return of_producer(
        producer, "events_per_second", "events per second", least=least, most=most, step=step, unit="events/s"
    )


def share(producer: Producer, knob: str, label: str = "", *, most: float = 0.5, step: float = 0.01) -> Knob[float]:
    """Return a slider for a share of a producer's events: "late_share", "hot_share", "malformed_share", ..."""
    return of_producer(producer, knob, label, least=0, most=most, step=step, percent=True)


def of_producer(producer: Producer, knob: str, label: str = "", **options: Any) -> Knob[float]:
    """Return a slider for any knob of a producer that is a number; `options` are those of `slider`."""
    return slider(
        label or knob.replace("_", " "),
        lambda value: producer.set(**{knob: value}).milliseconds,
        value=getattr(_knobs_of(producer), knob),
        target=_words_of(producer),
        read=lambda: getattr(_knobs_of(producer), knob),
        gone=partial(_gone, producer),
        **options,
    )


def silence(producer: Producer, partition: int) -> Knob[bool]:
    """Return a switch that withholds the events of one partition; the others go on."""

    def apply(silent: bool) -> float:
        others = set(_knobs_of(producer).silent_partitions) - {partition}
        wanted = sorted(others | {partition}) if silent else sorted(others)
        return producer.set(silent_partitions=wanted).milliseconds

    def read() -> bool:
        return partition in _knobs_of(producer).silent_partitions

    return toggle(
        f"silence partition {partition}",
        apply,
        value=read(),
        on="silent",
        off="sending",
        target=_words_of(producer),
        read=read,
        gone=partial(_gone, producer),
    )


def parameter(
    job: str, name: str, label: str = "", *, settings: Settings | None = None, least: float = 0, **options: Any
) -> Knob[float]:
    """Return a slider for a parameter of a running job that is a number; `options` are those of `slider`.

    Raises ConfigurationError, NotFound, JobFailed as `controls.get` does.
    """
    settings = settings or load()

    def read() -> float:
        return float(controls.get(job, settings=settings)[name])

    return slider(
        label or f"{name.replace('_', ' ')} of {job}",
        lambda value: controls.set(job, settings=settings, **{name: value}).milliseconds,
        value=read(),
        least=least,
        target=job,
        read=read,
        read_every_seconds=PARAMETERS_SECONDS,
        **options,
    )


def option(
    submission: dict[str, Any], name: str, label: str = "", *, settings: Settings | None = None, **options: Any
) -> Knob[float]:
    """Return a slider for an option of a job that cannot change while it runs: the job is submitted again.

    `submission` has what `jobs.submit` is called with, `job` among it, and keeps the option's new value. `options` are
    those of `slider`.
    """
    settings = settings or load()
    job, turning = submission.get("name") or submission["job"], threading.Event()
    state = live.Poller(lambda: jobs.find(job, settings=settings).state(), every_seconds=GONE_SECONDS)

    def apply(value: float) -> float:
        begun = time.monotonic()
        submission[name] = value
        turning.set()
        try:
            jobs.submit(**submission, settings=settings).wait_running()
        finally:
            turning.clear()
        return (time.monotonic() - begun) * 1000

    def gone() -> str:
        # While it is submitted again, the job is away on purpose.
        return "" if turning.is_set() else _job_gone(job, state)

    return slider(label or name.replace("_", " "), apply, value=submission[name], target=job, gone=gone, **options)


def service(name: str, *, settings: Settings | None = None) -> Knob[bool]:
    """Return a switch that kills a service (SIGKILL) and starts it again; in force when it is down, or healthy.

    Raises NotFound, and ServiceUnavailable when supervisor does not answer.
    """
    settings = settings or load()

    def apply(runs: bool) -> float:
        begun = time.monotonic()
        (services.start if runs else services.kill)(name, settings=settings)
        return (time.monotonic() - begun) * 1000

    def read() -> bool:
        return services.status(name, settings=settings).pid != 0

    label = f"{name} runs"
    return toggle(label, apply, value=read(), on="running", off="killed", target=name, read=read)


def _knobs_of(producer: Producer) -> Knobs:
    return runs.Run.open(producer.run).knob_log().last


def _words_of(producer: Producer) -> str:
    return f"{producer.topic} {producer.name}".strip()


def _job_gone(job: str, state: live.Poller[str]) -> str:
    now = state.poll()
    return state.problem or ("" if now in (None, *LIVE_STATES) else f"job {job} is {now}: submit it again")


def _gone(producer: Producer) -> str:
    return "" if producer.alive else "its producer has ended: run the cell that starts one, then this cell again"


class Buttons:
    """A row of buttons that call functions in the background, and a line that says what came of it."""

    def __init__(self, functions: Mapping[str, Callable[[], object]]) -> None:
        self.text = "Nothing pressed yet."
        self._functions = dict(functions)
        self._call: Future[object] | None = None
        self._line = widgets.HTML(twin(self.text))
        layout = widgets.Layout(width="auto")
        self.buttons = {label: widgets.Button(description=label, layout=layout) for label in self._functions}
        for label, button in self.buttons.items():
            button.on_click(partial(self._clicked, label))
        self.widget = widgets.VBox([widgets.HBox(list(self.buttons.values())), self._line])

    def press(self, label: str) -> Future[object]:
        """Do what a click on the button does, and return the call; while one still runs, it is that one."""
        with refresher.lock:
            if self._call is not None:
                return self._call
            self._call = call = background.submit(self._functions[label])
            self._say(f"{label} …")
        call.add_done_callback(partial(self._ended, label))
        return call

    def _ended(self, label: str, call: Future[object]) -> None:
        error = call.exception()
        with refresher.lock:
            self._call = None
            self._say(f"{label}: {live.in_one_line(error) if error else call.result() or 'done'}")

    def _say(self, text: str) -> None:
        self.text = text
        self._line.value = twin(text)
        for button in self.buttons.values():
            button.disabled = self._call is not None

    def _clicked(self, label: str, _: object) -> None:
        self.press(label)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"[{'] ['.join(self._functions)}] {self.text}"
