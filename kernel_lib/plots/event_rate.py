"""Draw events per second of each type, as counted by the job in event-time windows.

Question: how much of what is happening, right now? Fault that changes it: stop the producer, and windows stop
closing; cancel the job, and nothing is counted.
    before  "58 events/s: page_view 36, search 9, ..., logout 2. The newest window closed 1.2 s ago (event time)."
    then    "No data since 12:00:03 UTC (7 s ago) because no window closes: a producer must send and the job must run."

    >>> plots.EventRate(live.TopicTail("metrics"))
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live, window_counts
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since
from kernel_lib.timestamps import epoch_ms
from kernel_lib.window_counts import WindowCount

SECONDS_SHOWN = 60
QUIET_AFTER_SECONDS = 6.0
# A window's types come from several partitions, one a moment after the other: draw them together.
SETTLED_SECONDS = 0.5
LABEL_SHARE = 0.075
# From the most to the least frequent, so that thick bands lie at the bottom.
SHOP_TYPES = ("page_view", "search", "add_to_cart", "login", "purchase", "logout")
Columns = dict[str, Any]


def rate_columns(counts: Iterable[WindowCount], types: Sequence[str]) -> Columns:
    """Return a column of window ends (epoch ms) and one of events per second for each type.

    A type without a record in a window had no event in it: 0. Types not asked for are in "other".
    """
    windows: dict[float, dict[str, float]] = {}
    for row in counts:
        end = epoch_ms(row.windowEnd)
        seconds = max((end - epoch_ms(row.windowStart)) / 1000, 0.001)
        kind = row.eventType if row.eventType in types else "other"
        rates = windows.setdefault(end, {})
        rates[kind] = rates.get(kind, 0.0) + row.count / seconds
    ends = sorted(windows)
    columns: Columns = {"window_end": np.array(ends)}
    for kind in (*types, "other"):
        columns[kind] = np.array([windows[end].get(kind, 0.0) for end in ends])
    columns["total"] = np.sum([columns[kind] for kind in (*types, "other")], axis=0, dtype=float)
    return columns


def label_columns(columns: Columns, types: Sequence[str]) -> Columns:
    """Return where and what to write beside the newest point of each band, from the lowest to the highest."""
    names = [kind for kind in (*types, "other") if len(columns["total"]) and columns[kind].any()]
    rates = np.array([columns[kind][-1] for kind in names])
    room = LABEL_SHARE * float(columns["total"].max()) if names else 0.0
    return {
        "x": np.full(len(names), columns["window_end"][-1] if names else 0.0),
        "y": apart(np.cumsum(rates) - rates / 2, room),
        "text": np.array([f"{kind} {rate:,.0f}" for kind, rate in zip(names, rates, strict=True)], dtype=object),
    }


def apart(heights: Any, room: float) -> Any:
    """Return rising heights moved up, where needed, so that neighbours are at least `room` apart."""
    steps = np.arange(len(heights)) * room
    return np.maximum.accumulate(heights - steps) + steps if len(heights) else heights


class Settling:
    """Holds the rows of a window back until all of its types had time to come."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, list[WindowCount]]] = {}

    def add(self, rows: Iterable[WindowCount], now: float) -> None:
        """Take rows that came at `now` (epoch s)."""
        for row in rows:
            self._windows.setdefault(row.windowEnd, (now, []))[1].append(row)

    def settled(self, now: float) -> list[WindowCount]:
        """Hand out the rows of the windows whose first row is old enough."""
        ends = [end for end, (since, _) in self._windows.items() if now - since >= SETTLED_SECONDS]
        return [row for end in ends for row in self._windows.pop(end)[1]]


class EventRate(View):
    """Events per second of each type over the last minute, stacked."""

    def __init__(
        self,
        tail: live.TopicTail,
        *,
        types: Sequence[str] = SHOP_TYPES,
        because: Callable[[], str] | None = None,
        name: str = "event rate",
    ) -> None:
        self.tail = tail
        self.types = tuple(types)
        self._because = because or (lambda: "no window closes: a producer must send and the job must run")
        self._counts: deque[WindowCount] = deque(maxlen=SECONDS_SHOWN * 3 * (len(self.types) + 1))
        self._settling = Settling()
        self._arrived_at: float | None = None
        self.labels = ColumnDataSource(label_columns(rate_columns([], self.types), self.types))
        source = ColumnDataSource(rate_columns([], self.types))
        super().__init__(self._figure(source), source, title="Events per second, by type", name=name, reads=[tail])

    def draw(self) -> str:
        now = time.time()
        fresh = window_counts.parsed(self.tail.poll())
        if fresh:
            self._arrived_at = now
            self._settling.add(fresh, now)
        if settled := self._settling.settled(now):
            self._show(settled)
        self._move()
        quiet = self._arrived_at is None or now - self._arrived_at > QUIET_AFTER_SECONDS
        self.quiet_because = first_reason(self.tail.problem, self._because) if quiet else ""
        return no_data_since(self._arrived_at, self.quiet_because) if quiet else self._sentence()

    def _show(self, rows: Sequence[WindowCount]) -> None:
        self._counts.extend(rows)
        columns = rate_columns(self._counts, self.types)
        self.source.data = columns
        self.labels.data = label_columns(columns, self.types)

    def _move(self) -> None:
        newest = self.source.data["window_end"][-1] if len(self.source.data["window_end"]) else time.time() * 1000
        behind = time.time() * 1000 - newest
        now = newest + behind if abs(behind) < SECONDS_SHOWN * 1000 else newest
        self.root.x_range.update(start=now - SECONDS_SHOWN * 1000, end=now + SECONDS_SHOWN * 220)

    def _sentence(self) -> str:
        data = self.source.data
        if not len(data["total"]):
            return "The first windows arrive."
        parts = ", ".join(f"{kind} {data[kind][-1]:,.0f}" for kind in self.types)
        age = time.time() - data["window_end"][-1] / 1000
        return f"{data['total'][-1]:,.0f} events/s: {parts}. The newest window closed {age:.1f} s ago (event time)."

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("window", "@window_end{%H:%M:%S}"), ("total", "@total{0,0}/s")]
        tips += [(kind, f"@{{{kind}}}{{0,0}}/s") for kind in self.types]
        hover = HoverTool(tooltips=tips, formatters={"@window_end": "datetime"}, mode="vline")
        axes: Any = {"title_of_x": "event time (UTC)", "title_of_y": "events / s", "x_axis_type": "datetime"}
        plot = look.figure(hover=hover, x_range=Range1d(start=0, end=1), **axes)
        stack = (*self.types, "other")
        colours = [*look.PALETTE[: len(self.types)], look.QUIET]
        plot.varea_stack(stack, x="window_end", source=source, color=colours, fill_alpha=0.75)
        hover.renderers = [plot.line("window_end", "total", source=source, color=look.INK, width=1.5)]
        look.text(plot, "x", "y", "text", self.labels, text_color=look.INK, text_align="left", x_offset=8)
        look.clock(plot.xaxis)
        plot.y_range.start = 0
        return plot
