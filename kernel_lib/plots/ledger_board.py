"""Draw a ledger as it runs: what was sent and has not arrived, what arrived twice, what nobody knows.

Question: is everything that was sent there, once? While the producer runs, some events are only on their way: with
exactly-once that is a saw, because results are seen when a checkpoint completes.

Fault that changes it: kill a TaskManager. At-least-once repeats what came after the last checkpoint, exactly-once not.
    before  "processed-events: 6,000 sent, 5,994 received, 6 on the way or missing, 0 duplicate, ..."
    then    "processed-events: 9,000 sent, 8,995 received, 5 on the way or missing, 317 duplicate, ..."

    >>> plots.LedgerBoard(ledger.Ledger(shop, "processed-events"))
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.ledger import Figures, Ledger
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because

SECONDS_SHOWN = 60
READ_SECONDS = 0.5
LINES = {"not_there": look.PALETTE[0], "duplicate": look.BAD, "in_doubt": look.PALETTE[3], "refused": look.WARN}
Columns = dict[str, Any]


def history_columns(history: Sequence[tuple[float, Figures]]) -> Columns:
    """Return the figures over time, one row a reading; `at` is epoch ms."""
    columns: Columns = {"at": np.array([at * 1000 for at, _ in history])}
    return columns | {name: np.array([getattr(figures, name) for _, figures in history]) for name in LINES}


def tiles(figures: Figures | None) -> str:
    """Return the newest figures as a row of HTML tiles, each with a sign that says whether it is well."""
    if figures is None:
        return ""
    waiting = "on the way or missing" if figures.running else "missing"
    alarm = bool(figures.missing) and not figures.running
    cells = [
        ("sent", figures.sent, ""),
        ("received", figures.received, ""),
        (waiting, figures.not_there, "✗" if alarm else "…" if figures.not_there else "✓"),
        ("duplicate", figures.duplicate, "✗" if figures.duplicate else "✓"),
        ("in doubt", figures.in_doubt, "?" if figures.in_doubt else "✓"),
        ("out of order", figures.out_of_order, ""),
    ]
    return f'<div style="display:flex;gap:10px">{"".join(_tile(*cell) for cell in cells)}</div>'


def _tile(label: str, count: int, sign: str) -> str:
    colour = {"✗": look.BAD, "?": look.PALETTE[3], "✓": look.GOOD}.get(sign, "inherit")
    return (
        '<div style="flex:1;border:1px solid var(--jp-border-color2);border-radius:6px;padding:4px 10px;'
        'line-height:1.35;color:var(--jp-ui-font-color1)">'
        f'<div style="font-size:22px;font-weight:600;font-variant-numeric:tabular-nums">{count:,} '
        f'<span style="color:{colour}">{sign}</span></div>'
        f'<div style="font-size:12px;color:var(--jp-ui-font-color2)">{label}</div></div>'
    )


class LedgerBoard(View):
    """The figures of one ledger, big, and over the last minute; it is closed with the view."""

    def __init__(self, book: Ledger, *, title: str = "Sent against received", name: str = "ledger") -> None:
        self.poller = live.Poller(book.update, every_seconds=READ_SECONDS, close=book.close)
        self._history: deque[tuple[float, Figures]] = deque(maxlen=int(SECONDS_SHOWN / READ_SECONDS) + 2)
        self._shown_at: float | None = None
        self._tiles = widgets.HTML()
        source = ColumnDataSource(history_columns([]))
        super().__init__(self._figure(source), source, title=title, name=name, reads=[self.poller], above=self._tiles)

    def draw(self) -> str:
        figures, at = self.poller.poll(), self.poller.answered_at
        if figures is not None and at is not None and at != self._shown_at:
            self._shown_at = at
            self._history.append((at, figures))
            self.source.data = history_columns(self._history)
            self._tiles.value = tiles(figures)
        now_ms = time.time() * 1000
        self.root.x_range.update(start=now_ms - SECONDS_SHOWN * 1000, end=now_ms)
        self.quiet_because = stale_because(self.poller)
        since = no_data_since(at, self.quiet_because) if figures is None or self.quiet_because else ""
        return " ".join(filter(None, [since, f"{figures.text}." if figures else ""]))

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [(name.replace("_", " "), f"@{name}{{0,0}}") for name in LINES]
        hover = HoverTool(tooltips=[("at", "@at{%H:%M:%S}"), *tips], formatters={"@at": "datetime"}, mode="vline")
        plot = look.figure(
            title_of_x="time (UTC)", title_of_y="events", height=240, hover=hover,
            x_axis_type="datetime", x_range=Range1d(start=0, end=1),
        )  # fmt: skip
        look.clock(plot.xaxis)
        plot.y_range.update(start=0, only_visible=True)
        missing = {"source": source, "legend_label": "sent, not (yet) received", "color": LINES["not_there"]}
        plot.varea("at", y1=0, y2="not_there", fill_alpha=0.25, **missing)
        hover.renderers = [plot.line("at", "not_there", width=1.5, **missing)]
        for name, dash in (("duplicate", "solid"), ("in_doubt", "dashed"), ("refused", "dotted")):
            plot.line(
                "at", name, source=source, color=LINES[name], width=3, line_dash=dash,
                legend_label=name.replace("_", " "),
            )  # fmt: skip
        look.legend(plot)
        return plot
