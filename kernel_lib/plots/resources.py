"""Draw what each service takes of this machine: processor, memory, and what it writes to disk and sends.

Question: what does the stack cost, and which service works hardest? A bar is the newest figure, the line before it
the most of the last minute. Fault that changes it: pause a service, or let a producer send as fast as it can.
    before  "All together use 61% of a core and 3.1 GB. Most processor: kafka-1 (24%); ..."
    then    "flink-taskmanager-2 is frozen. All together use ..."

    >>> plots.Resources()
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.layouts import row
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter, Range1d

from kernel_lib import live, resources
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because
from kernel_lib.resources import NOT_STARTED, Usage
from kernel_lib.settings import Settings, load

READ_SECONDS = 1.0
SECONDS_KEPT = 60
ROW_PIXELS = 24
Columns = dict[str, Any]
# Each panel: what it shows, in which unit, and how the figure of a usage is found.
PANELS: dict[str, tuple[str, str, Callable[[Usage], float | None]]] = {
    "cpu": ("processor, % of a core", look.PALETTE[0], lambda usage: None if usage.cpu is None else usage.cpu * 100),
    "memory": ("memory, MB resident", look.PALETTE[2], lambda usage: usage.memory_bytes / 1e6),
    "disk": (
        "written to disk, kB/s", look.PALETTE[1],
        lambda usage: None if usage.written_per_second is None else usage.written_per_second / 1000,
    ),
    "network": (
        "sent by network, kB/s", look.PALETTE[3],
        lambda usage: None if usage.sent_per_second is None else usage.sent_per_second / 1000,
    ),
}  # fmt: skip


def usage_columns(kept: Sequence[Mapping[str, Usage]]) -> Columns:
    """Return one row a service, the first on top: its newest figures, and the most of all those that are kept."""
    names = list(kept[-1])[::-1] if kept else []
    columns: Columns = {"y": np.arange(len(names)), "name": names}
    for panel, (_, _, figure) in PANELS.items():
        newest = [figure(kept[-1][name]) for name in names]
        most = [max((figure(usages[name]) or 0.0 for usages in kept if name in usages), default=0.0) for name in names]
        columns[panel] = np.array([value or 0.0 for value in newest])
        columns[f"{panel}_most"] = np.array(most)
        columns[f"{panel}_text"] = [_words(kept[-1][name], value) for name, value in zip(names, newest, strict=True)]
    return columns


def _words(usage: Usage, value: float | None) -> str:
    if usage.problem:
        return f"{look.CROSS} {usage.problem}"
    return "" if value is None else f"{value:,.0f}"


def usage_sentence(found: resources.Resources) -> str:
    """Return in words what does not run, the sums, and who takes most."""
    usages = found.usages
    troubles = [f"{name} {usage.problem}." for name, usage in usages.items() if usage.problem and usage != NOT_STARTED]
    cores = sum(usage.cpu or 0 for usage in usages.values())
    memory = sum(usage.memory_bytes for usage in usages.values())
    said = [f"All together use {cores * 100:.0f}% of a core and {memory / 1e9:.1f} GB."]
    if any(usage.cpu for usage in usages.values()):
        busiest = max(usages, key=lambda name: usages[name].cpu or 0)
        largest = max(usages, key=lambda name: usages[name].memory_bytes)
        said.append(
            f"Most processor: {busiest} ({(usages[busiest].cpu or 0) * 100:.0f}%); "
            f"most memory: {largest} ({usages[largest].memory_bytes / 1e6:,.0f} MB)."
        )
    if any(usage.sent_per_second for usage in usages.values()):
        sent = sum(usage.sent_per_second or 0 for usage in usages.values())
        loudest = max(usages, key=lambda name: usages[name].sent_per_second or 0)
        said.append(f"They send {sent / 1000:,.0f} kB/s to each other, most of it {loudest}.")
    return " ".join([*troubles, *said])


class Resources(View):
    """Four bars a service; the last row is the kernel of this notebook with all it has started."""

    def __init__(
        self,
        *,
        read: Callable[[], resources.Resources] | None = None,
        settings: Settings | None = None,
        name: str = "resources",
    ) -> None:
        self.poller = live.Poller(read or resources.Reader(settings=settings or load()), every_seconds=READ_SECONDS)
        self._kept: deque[Mapping[str, Usage]] = deque(maxlen=int(SECONDS_KEPT / READ_SECONDS))
        self._seen_at: float | None = None
        source = ColumnDataSource(usage_columns([]))
        self._rows: Any = Range1d(start=-0.6, end=0.6)
        self._panels = [self._panel(name, source) for name in PANELS]
        root = row(*self._panels, sizing_mode="stretch_width")
        title = "What the services take of this machine"
        super().__init__(root, source, title=title, name=name, reads=[self.poller])

    def draw(self) -> str:
        found = self.poller.poll()
        if found is not None and found.at != self._seen_at:
            self._seen_at = found.at
            self._kept.append(found.usages)
            self.source.data = usage_columns(self._kept)
            self._fit(list(found.usages))
        self.quiet_because = stale_because(self.poller)
        if found is None or self.quiet_because:
            return no_data_since(self.poller.answered_at, self.quiet_because)
        return usage_sentence(found)

    def _fit(self, names: Sequence[str]) -> None:
        look.name_rows(self._panels[0], names[::-1])
        for panel, plot in zip(PANELS, self._panels, strict=True):
            plot.height = 60 + ROW_PIXELS * len(names)
            # Room for the words behind the longest bar.
            plot.x_range.end = max(1.0, 1.35 * float(np.max(self.source.data[f"{panel}_most"])))

    def _panel(self, panel: str, source: ColumnDataSource) -> Any:
        title, colour, _ = PANELS[panel]
        hover = HoverTool(tooltips=[("", "@name"), ("now", f"@{panel}{{0,0.0}}"), ("most", f"@{panel}_most{{0,0.0}}")])
        first = panel == next(iter(PANELS))
        plot = look.figure(
            title_of_x=title, height=200, hover=hover, x_range=Range1d(start=0, end=1), y_range=self._rows,
            min_width=300 if first else 160, max_width=480 if first else 310,
        )  # fmt: skip
        plot.ygrid.visible = False
        plot.yaxis.visible = first
        plot.min_border_right = 24  # half of a number at the end of the axis, and a gap
        plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
        plot.xaxis.ticker.desired_num_ticks = 3
        bars = plot.hbar("y", left=0, right=panel, height=0.62, source=source, color=colour, alpha=0.8)
        plot.scatter(f"{panel}_most", "y", source=source, marker="dash", angle=np.pi / 2, size=14, color=colour)
        hover.renderers = [bars]
        look.text(
            plot, f"{panel}_most", "y", f"{panel}_text", source,
            text_color=look.INK, text_align="left", x_offset=6, text_font_size="12px",
        )  # fmt: skip
        return plot
