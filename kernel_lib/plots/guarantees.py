"""Draw the ledgers of several topics side by side: what each lacks and what it holds twice of the same events.

Question: what does a delivery guarantee keep from a reader when a TaskManager dies? All lanes get the same events and
are killed together. Only the isolation level of the readers can be turned: what open and aborted transactions wrote is
in the topic, and `read_uncommitted` shows it.

Fault that changes it: kill the TaskManager that runs the job, then pause the producer.
    before  "9,000 sent. none: 305 on the way or missing, 0 duplicate; at-least-once: 8 on the way or missing, ..."
    then    "9,600 sent. none: 112 missing, 190 duplicate; at-least-once: 0 missing, 190 duplicate; exactly-once: 0
            missing, 0 duplicate. Readers: read_committed."

    >>> plots.Guarantees(shop, {"at-least-once": "results-fast", "exactly-once": "results-exact"})
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
from bokeh.layouts import row
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.ledger import Figures, Ledger, Topic
from kernel_lib.plots import look, refresher
from kernel_lib.plots.ledger_board import READ_SECONDS, SECONDS_SHOWN, history_columns
from kernel_lib.plots.view import View, first_reason, no_data_since, stale_because
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load

# Longer than a sink holds results back (a checkpoint each second, batches of two seconds), also on a busy machine.
SETTLED_SECONDS = 8.0
MISSING, DUPLICATE = look.PALETTE[0], look.BAD
Lanes = Mapping[str, Figures]


def settled(history: Mapping[str, list[tuple[float, Figures]]]) -> bool:
    """Say whether nothing is on its way: nothing was sent or received for some seconds, and one lane has it all.

    While the job is away, no lane has it all.
    """
    lanes = history.values()
    return all(map(_is_quiet, lanes)) and not all(rows[-1][1].missing for rows in lanes)


def _is_quiet(rows: list[tuple[float, Figures]]) -> bool:
    if not rows:
        return False
    newest_at, newest = rows[-1]
    before = [figures for at, figures in rows if at <= newest_at - SETTLED_SECONDS]
    same = bool(before) and (before[-1].sent, before[-1].received) == (newest.sent, newest.received)
    return same and not newest.in_flight


def lane_words(lane: str, figures: Figures, *, is_settled: bool) -> str:
    """Return what one lane lacks and holds twice."""
    waiting = "missing" if is_settled else "on the way or missing"
    return f"{lane}: {figures.not_there:,} {waiting}, {figures.duplicate:,} duplicate"


def sentence(lanes: Lanes, *, is_settled: bool, committed: bool) -> str:
    """Return what all lanes say, in words."""
    said = "; ".join(lane_words(lane, figures, is_settled=is_settled) for lane, figures in lanes.items())
    sent = max(figures.sent for figures in lanes.values())
    return f"{sent:,} sent. {said}. Readers: {isolation(committed)}."


def isolation(committed: bool) -> str:
    """Return Kafka's name of a reader's isolation level."""
    return "read_committed" if committed else "read_uncommitted"


def columns_of_html(lanes: Lanes, *, is_settled: bool) -> str:
    """Return one card a lane: its name and its two counters, each with a sign that says whether it is well."""
    cards = "".join(_card(lane, figures, is_settled) for lane, figures in lanes.items())
    return f'<div style="display:flex;gap:10px">{cards}</div>'


def _card(lane: str, figures: Figures, is_settled: bool) -> str:
    waiting = "missing" if is_settled else "on the way or missing"
    sign = "✓" if not figures.not_there else "✗" if is_settled else "…"
    counters = _counter(figures.not_there, sign, waiting) + _counter(
        figures.duplicate, "✗" if figures.duplicate else "✓", "duplicate"
    )
    return (
        '<div style="flex:1;border:1px solid var(--jp-border-color2);border-radius:6px;padding:4px 12px">'
        f'<div style="font-size:14px;font-weight:600;color:var(--jp-ui-font-color1)">{escape(lane)}</div>'
        f'<div style="display:flex;gap:24px">{counters}</div></div>'
    )


def _counter(count: int, sign: str, label: str) -> str:
    colour = {"✗": look.BAD, "✓": look.GOOD}.get(sign, "inherit")
    return (
        '<div style="min-width:90px;line-height:1.3;color:var(--jp-ui-font-color1)">'
        f'<div style="font-size:24px;font-weight:600;font-variant-numeric:tabular-nums">{count:,} '
        f'<span style="color:{colour}">{sign}</span></div>'
        f'<div style="font-size:12px;color:var(--jp-ui-font-color2)">{label}</div></div>'
    )


def polled(books: Mapping[str, Ledger]) -> dict[str, live.Poller[Figures]]:
    """Return what reads each ledger in the background, and closes it when it is stopped."""
    return {
        lane: live.Poller(book.update, every_seconds=READ_SECONDS, close=book.close) for lane, book in books.items()
    }


class Guarantees(View):
    """The counters of each lane, big, and over the last minute."""

    def __init__(
        self,
        sent: Producer,
        lanes: Mapping[str, str],
        *,
        settings: Settings | None = None,
        name: str = "guarantees",
    ) -> None:
        """`lanes` are topics by what to call them. Raises NotFound, ServiceUnavailable."""
        self.settings = settings or load()
        self.figures: dict[str, Figures] = {}
        self.committed = True
        """Whether the lanes are read without what open and aborted transactions wrote."""
        self._sent, self._lanes = sent, dict(lanes)
        self._pollers = polled(self._opened(committed=True))
        self._history = self._empty_history()
        self._cards = widgets.HTML()
        self.sources = {lane: ColumnDataSource(history_columns([])) for lane in self._lanes}
        # One scale for all lanes: a higher saw is a longer wait.
        self._range, self._counts = Range1d(start=0, end=1), DataRange1d(start=0)
        self._plots = [self._figure(lane) for lane in self._lanes]
        root = row(self._plots, sizing_mode="stretch_width")
        first = next(iter(self.sources.values()))
        title, reads = "Missing and duplicate, lane by lane", list(self._pollers.values())
        super().__init__(root, first, title=title, name=name, reads=reads, above=self._cards)

    def read(self, *, committed: bool) -> float:
        """Read all lanes anew at another isolation level; return the milliseconds until the first of it is known."""
        begun = time.monotonic()
        books = self._opened(committed=committed)
        for book in books.values():
            book.update()
        with refresher.lock:
            self.committed, self._pollers, self._history = committed, polled(books), self._empty_history()
            self._hold(*self._pollers.values())
        return (time.monotonic() - begun) * 1000

    def draw(self) -> str:
        for lane, poller in self._pollers.items():
            self._note(lane, poller)
        newest = {lane: rows[-1][1] for lane, rows in self._history.items() if rows}
        self.quiet_because = first_reason(*map(stale_because, self._pollers.values()))
        if len(newest) < len(self._lanes):
            return no_data_since(None, self.quiet_because)
        self.figures = newest
        is_settled = settled({lane: list(rows) for lane, rows in self._history.items()})
        self._show(newest, is_settled)
        said = sentence(newest, is_settled=is_settled, committed=self.committed)
        oldest = min(rows[-1][0] for rows in self._history.values())
        return f"{no_data_since(oldest, self.quiet_because)} {said}" if self.quiet_because else said

    def _opened(self, *, committed: bool) -> dict[str, Ledger]:
        return {
            lane: Ledger(self._sent, Topic(topic, committed=committed), settings=self.settings)
            for lane, topic in self._lanes.items()
        }

    def _empty_history(self) -> dict[str, deque[tuple[float, Figures]]]:
        rows = int(SECONDS_SHOWN / READ_SECONDS) + 2
        return {lane: deque(maxlen=rows) for lane in self._lanes}

    def _note(self, lane: str, poller: live.Poller[Figures]) -> None:
        figures, at, rows = poller.poll(), poller.answered_at, self._history[lane]
        if figures is not None and at is not None and (not rows or rows[-1][0] != at):
            rows.append((at, figures))

    def _show(self, newest: Lanes, is_settled: bool) -> None:
        for lane, rows in self._history.items():
            self.sources[lane].data = history_columns(rows)
        self._cards.value = columns_of_html(newest, is_settled=is_settled)
        now_ms = time.time() * 1000
        self._range.update(start=now_ms - SECONDS_SHOWN * 1000, end=now_ms)

    def _figure(self, lane: str) -> Any:
        source = self.sources[lane]
        tips = [("at", "@at{%H:%M:%S}"), ("not received", "@not_there{0,0}"), ("duplicate", "@duplicate{0,0}")]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, mode="vline")
        plot = look.figure(
            title_of_x=f"{lane}, time (UTC)", title_of_y="events", height=230, hover=hover, min_width=200,
            x_axis_type="datetime", x_range=self._range, y_range=self._counts,
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.xaxis[0].ticker.desired_num_ticks = 2
        missing = {"source": source, "color": MISSING, "legend_label": "not (yet) received"}
        plot.varea("at", y1=0, y2="not_there", fill_alpha=0.25, **missing)
        hover.renderers = [plot.line("at", "not_there", width=1.5, **missing)]
        plot.line("at", "duplicate", source=source, color=DUPLICATE, width=3, legend_label="duplicate")
        look.legend(plot)
        return plot
