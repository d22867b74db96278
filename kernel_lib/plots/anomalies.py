"""Draw what a sensor says, the band in which that is usual, and what the job has flagged.

Question: is this reading unusual, and by what rule? The line is the sensor's value, the band what detect_anomalies
expects of it, a diamond what it has flagged. The job computes the band: a picture that did so could show another one.

Fault that changes it: plant anomalies (`anomaly_share` of the producer), or make the job more sensitive.
    before  "sensor-0003: 18.4 °C, usual is 17.2 to 19.1. No alert on any sensor in the last 60 s."
    then    "sensor-0007: 31.9 °C, usual is 17.2 to 19.1; flagged: spike at 12:00:05 UTC. 9 alerts on 6 sensors in the
            last 60 s: missing 1, spike 8."

    >>> plots.Anomalies(live.TopicTail("metrics"), live.TopicTail("alerts"))
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets
import msgspec
import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since
from kernel_lib.records import Alert
from kernel_lib.timestamps import epoch_ms

SECONDS_SHOWN = 60
MOST_KEPT = 2_000  # readings of each sensor
MOST_ALERTS = 5_000
MOST_SENSORS = 500
QUIET_AFTER_SECONDS = 8.0
# So long a sensor is shown before the picture goes on to one that was flagged later.
STAYS_SECONDS = 8.0
FOLLOW = "the last one flagged"
ANOMALIES = ("spike", "drift", "stuck", "missing")
Columns = dict[str, Any]


class Judged(msgspec.Struct, frozen=True):
    """A reading as the job writes it; mean and band are None while the sensor is not known, `flagged` "" if usual."""

    sensorId: str
    unit: str
    timestamp: str
    value: float
    mean: float | None
    low: float | None
    high: float | None
    flagged: str

    @property
    def at(self) -> float:
        """When it was measured (epoch s)."""
        return epoch_ms(self.timestamp) / 1000


class Warned(NamedTuple):
    """An alert: when it was raised (event time, epoch s), on which sensor, and what it is."""

    at: float
    sensor: str
    anomaly: str


def judged(records: Iterable[Record]) -> list[Judged]:
    """Return the readings among the records; other records of the topic are passed over."""
    found = []
    for record in records:
        try:
            found.append(msgspec.json.decode(record.value or b"", type=Judged))
        except msgspec.DecodeError:
            continue
    return found


def warned(records: Iterable[Record]) -> list[Warned]:
    """Return the alerts on sensors among the records."""
    found = []
    for record in records:
        try:
            alert = msgspec.json.decode(record.value or b"", type=Alert)
        except msgspec.DecodeError:
            continue
        if alert.alert in ANOMALIES:
            found.append(Warned(epoch_ms(alert.timestamp) / 1000, alert.key, alert.alert))
    return found


def reading_columns(readings: Sequence[Judged]) -> Columns:
    """Return one row a reading, in order of time; a band that is not known yet is NaN."""
    rows = sorted(readings, key=lambda each: each.at)

    def numbers(name: str) -> Any:
        values = (getattr(each, name) for each in rows)
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    return {
        "at": np.array([each.at * 1000 for each in rows], dtype=float),
        "value": numbers("value"),
        "low": numbers("low"),
        "high": numbers("high"),
        "flag": np.array([each.value if each.flagged else np.nan for each in rows], dtype=float),
        "flagged": [each.flagged or "usual" for each in rows],
    }


def anomalies_sentence(readings: Sequence[Judged], alerts: Sequence[Warned]) -> str:
    """Return the newest reading of a sensor with its band, what was flagged, and the alerts on all of them."""
    last = max(readings, key=lambda each: each.at)
    said = f"{last.sensorId}: {last.value:.4g} {last.unit}".rstrip()
    if last.low is None or last.high is None:
        said += ", too few readings to say what is usual"
    else:
        said += f", usual is {last.low:.4g} to {last.high:.4g}"
    flagged = [each for each in readings if each.flagged]
    if flagged:
        newest = max(flagged, key=lambda each: each.at)
        said += f"; flagged: {newest.flagged} at {live.clock_time(newest.at)}"
    if not alerts:
        return f"{said}. No alert on any sensor in the last {SECONDS_SHOWN} s."
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(Counter(each.anomaly for each in alerts).items()))
    sensors = len({each.sensor for each in alerts})
    alert_words, sensor_words = (
        f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in ((len(alerts), "alert"), (sensors, "sensor"))
    )
    return f"{said}. {alert_words} on {sensor_words} in the last {SECONDS_SHOWN} s: {kinds}."


class Anomalies(View):
    """The readings of one sensor, chosen or the last one flagged, and how many alerts there are on all of them."""

    def __init__(self, readings: live.TopicTail, alerts: live.TopicTail, *, name: str = "anomalies") -> None:
        self.readings, self.alerts = readings, alerts
        self._sensors: dict[str, deque[Judged]] = {}
        self._alerts: deque[Warned] = deque(maxlen=MOST_ALERTS)
        self._followed, self._followed_until = "", 0.0
        self.which = widgets.Dropdown(description="sensor", options=[FOLLOW])
        source = ColumnDataSource(reading_columns([]))
        title, reads = "Anomalies of sensors", [readings, alerts]
        super().__init__(self._figure(source), source, title=title, name=name, reads=reads, above=self.which)

    def draw(self) -> str:
        new = judged(self.readings.poll())
        for each in new:
            if each.sensorId in self._sensors or len(self._sensors) < MOST_SENSORS:
                self._sensors.setdefault(each.sensorId, deque(maxlen=MOST_KEPT)).append(each)
        self._alerts.extend(warned(self.alerts.poll()))
        if len(self._sensors) + 1 > len(self.which.options):
            chosen = self.which.value
            self.which.options = [FOLLOW, *sorted(self._sensors)]
            self.which.value = chosen
        now = time.time()
        sensor = self._shown(new)
        shown = [each for each in self._sensors.get(sensor, ()) if each.at > now - SECONDS_SHOWN]
        self.source.data = reading_columns(shown)
        self.root.x_range.update(start=(now - SECONDS_SHOWN) * 1000, end=now * 1000)
        self.root.yaxis[0].axis_label = f"{sensor}, {shown[-1].unit}" if shown else sensor
        return self._said(sensor, shown, now)

    def _said(self, sensor: str, shown: Sequence[Judged], now: float) -> str:
        kept = self._sensors.get(sensor)
        newest = max((each.at for each in kept), default=None) if kept else None
        quiet = newest is None or now - newest > QUIET_AFTER_SECONDS
        silent = f"no reading of {sensor or 'any sensor'} comes" if quiet else ""
        self.quiet_because = first_reason(self.readings.problem, self.alerts.problem, silent)
        if self.quiet_because:
            return no_data_since(newest, self.quiet_because)
        return anomalies_sentence(shown, [each for each in self._alerts if each.at > now - SECONDS_SHOWN])

    def _shown(self, new: Sequence[Judged]) -> str:
        """Return the sensor that is drawn: the chosen one, or one that was flagged lately."""
        if self.which.value != FOLLOW:
            return str(self.which.value)
        flagged = [each.sensorId for each in new if each.flagged]
        if flagged and time.time() > self._followed_until:
            self._followed, self._followed_until = flagged[-1], time.time() + STAYS_SECONDS
        return self._followed or next(iter(self._sensors), "")

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("measured", "@at{%H:%M:%S.%3N}"), ("value", "@value{0.000}"), ("", "@flagged")]
        tips += [("usual", "@low{0.000} to @high{0.000}")]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, mode="vline")
        plot = look.figure(
            title_of_x="measured (UTC)", height=300, hover=hover, x_axis_type="datetime",
            x_range=Range1d(start=0, end=1),
        )  # fmt: skip
        look.clock(plot.xaxis)
        band = {"fill_color": look.PALETTE[4], "fill_alpha": 0.3, "legend_label": "usual"}
        plot.varea("at", "low", "high", source=source, **band)
        line = plot.line("at", "value", source=source, color=look.PALETTE[0], width=2, legend_label="value")
        hover.renderers = [line]
        flag = {"size": 13, "color": look.BAD, "legend_label": "flagged"}
        plot.scatter("at", "flag", marker="diamond", source=source, **flag)
        look.legend(plot)
        return plot
