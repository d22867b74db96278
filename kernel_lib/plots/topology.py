"""Draw a dataflow as boxes and arrows: topics, producers and the operators of a running job, with live rates.

Question: where does the data go, and how fast? Under each task stands how much of its time it is busy or held back.

Faults that change it: cancel the job, and its boxes go; stop the producer, and every arrow stands still; make one
function slow, and the tasks before it turn purple.
    before  "user-events → read user-events 200/s; ... → write processed-events 200/s."
    then    "user-events → read user-events 10/s; ...; read user-events is held back 97%."

    >>> plots.JobGraph(job)                # the operators of one job, between their topics
    >>> plots.Pipeline()                   # all topics and running jobs
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import dataflow, live
from kernel_lib.dataflow import Graph, Node
from kernel_lib.job import Job
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because
from kernel_lib.settings import Settings
from kernel_lib.task_metrics import Shares

ROW_PIXELS = 96
# From the middle of a box to the words below it.
LOAD_PIXELS = 43
BOX_WIDTH, BOX_HEIGHT = 0.65, 0.66
# From the middle of the first and the last column to the edge of the picture.
MARGIN = 0.35
# The width of a picture on a page of 1280; the room beside the words of a box, and what a character takes of the rest.
NARROW_PIXELS, PADDING_PIXELS, CHARACTER_PIXELS = 840, 3, 6.4
# Each step of the dashes is a picture drawn anew, by a processor where there is no graphics card.
STEPS_PER_SECOND = 2
FILLS = {"producer": "#4a5568", "topic": "#005a8f", "operator": "#00674b", "job": "#00674b", "failed": "#a83a00"}
HELD_BACK_FILL, BUSY_FILL = "#8c3a6e", "#8a5a00"
LABEL_FILL = "#4a5568"
HELD_BACK, BUSY = 0.2, 0.8
LEAST_CHARACTERS, MOST_CHARACTERS = 5, 16
# Where on an arrow its rate may stand, the best place first; and how far apart two of them are, in columns and rows.
ALONG = (0.5, 0.38, 0.62, 0.28, 0.72)
LABEL_WIDTH, LABEL_HEIGHT = 0.3, 0.18


def places(graph: Graph) -> dict[str, tuple[float, float]]:
    """Return (column, row) of each node: a column right of everything that feeds it, rows centred on 0."""
    columns = {node.key: node.column or 0 for node in graph.nodes}
    fixed = {node.key for node in graph.nodes if node.column is not None}
    for _ in graph.nodes:  # as often as the longest way can be; a circle stops there too
        for edge in graph.edges:
            if edge.target not in fixed:
                columns[edge.target] = min(max(columns[edge.target], columns[edge.source] + 1), len(graph.nodes))
    rows: dict[str, float] = {}
    for column in sorted(set(columns.values())):
        keys = [key for key in columns if columns[key] == column]
        feeders = {key: [rows[e.source] for e in graph.edges if e.target == key and e.source in rows] for key in keys}
        keys.sort(key=lambda key: float(np.mean(feeders[key])) if feeders[key] else 0.0, reverse=True)
        for index, key in enumerate(keys):
            rows[key] = (len(keys) - 1) / 2 - index
    return {key: (float(columns[key]), rows[key]) for key in columns}


def node_columns(graph: Graph) -> dict[str, Any]:
    """Return one row a box."""
    at = places(graph)
    characters = characters_of_a_line(max((column for column, _ in at.values()), default=0.0))
    return {
        "key": [node.key for node in graph.nodes],
        "x": np.array([at[node.key][0] for node in graph.nodes]),
        "y": np.array([at[node.key][1] for node in graph.nodes]),
        "label": [wrapped(node.label, characters) for node in graph.nodes],
        "words": [node.label for node in graph.nodes],
        "note": [node.note or node.label for node in graph.nodes],
        "fill": [fill(node) for node in graph.nodes],
        "load": [load_words(node.load) for node in graph.nodes],
    }


def fill(node: Node) -> str:
    """Return the colour of a box: its kind's, unless it is a running task that is held back or hardly idle."""
    if node.load is None or node.kind == "failed":
        return FILLS[node.kind]
    if node.load.backpressured >= HELD_BACK:
        return HELD_BACK_FILL
    return BUSY_FILL if node.load.busiest >= BUSY else FILLS[node.kind]


def load_words(load: Shares | None) -> str:
    """Return how a task spends its time in two or three words; empty if it is not known."""
    if load is None:
        return ""
    held_back = load.backpressured >= HELD_BACK
    return f"held back {load.backpressured:.0%}" if held_back else f"busy {load.busiest:.0%}"


def edge_columns(graph: Graph) -> dict[str, Any]:
    """Return one row an arrow: its ends, a curve from box to box, its rate as text, and how strongly it flows."""
    at = places(graph)
    labels = {node.key: node.label for node in graph.nodes}
    start = np.array([at[edge.source] for edge in graph.edges]).reshape(-1, 2)
    end = np.array([at[edge.target] for edge in graph.edges]).reshape(-1, 2)
    rates = np.array([edge.per_second or 0.0 for edge in graph.edges])
    x0, x1 = start[:, 0] + BOX_WIDTH / 2, end[:, 0] - BOX_WIDTH / 2
    y0, y1 = start[:, 1], end[:, 1]
    text_x, text_y = label_places(x0, y0, x1, y1)
    return {
        "x0": x0, "y0": y0, "x1": x1, "y1": y1, "middle": (x0 + x1) / 2, "text_x": text_x, "text_y": text_y,
        "words": [f"{labels[edge.source]} → {labels[edge.target]}" for edge in graph.edges],
        "records": ["?" if edge.records is None else f"{edge.records:,.0f}" for edge in graph.edges],
        "rate": rates,
        "text": ["?" if edge.per_second is None else short(edge.per_second) for edge in graph.edges],
        "width": 1.5 + np.log10(1 + rates),
        "flow": np.where(rates > 0, 0.9, 0.0),
    }  # fmt: skip


def label_places(x0: Any, y0: Any, x1: Any, y1: Any) -> tuple[Any, Any]:
    """Return where to write on each curve: at the first of some places that keeps its distance from other labels."""
    along = np.array(ALONG)[:, None]
    # A cubic Bezier curve whose control points lie half way, at the height of its start and of its end.
    xs = x0 + (x1 - x0) * (1.5 * along * (1 - along) + along**3)
    ys = y0 + (y1 - y0) * along**2 * (3 - 2 * along)
    taken: list[tuple[float, float]] = []
    for curve in zip(xs.T, ys.T, strict=True):
        places = list(zip(*curve, strict=True))
        free = (place for place in places if all(_apart(place, other) for other in taken))
        taken.append(next(free, places[0]))
    found = np.array(taken).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _apart(place: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(place[0] - other[0]) > LABEL_WIDTH or abs(place[1] - other[1]) > LABEL_HEIGHT


def short(per_second: float) -> str:
    """Return a rate in as few characters as tell it: 0.4/s, 120/s, 1.2k/s, 15k/s."""
    if per_second >= 999.5:
        return f"{per_second / 1000:.{1 if per_second < 9950 else 0}f}k/s"
    return f"{look.rate(per_second)}/s"


def characters_of_a_line(last_column: float) -> int:
    """Return how many characters of a line fit a box on a narrow page, when the columns are 0 to `last_column`."""
    box = NARROW_PIXELS * BOX_WIDTH / (last_column + 2 * MARGIN)
    return min(max(int((box - 2 * PADDING_PIXELS) / CHARACTER_PIXELS), LEAST_CHARACTERS), MOST_CHARACTERS)


def wrapped(label: str, characters: int) -> str:
    """Return a label in at most three lines that fit a box, broken between words, after hyphens and underscores.

    A word that is longer than a line ends with an ellipsis; hovering says all of it.
    """
    lines = textwrap.wrap(label.replace("_", "_ "), characters, max_lines=3, placeholder="…", break_long_words=False)
    lines = [line.replace("_ ", "_") for line in lines]
    return "\n".join(line if len(line) <= characters else line[: characters - 1] + "…" for line in lines)


def graph_sentence(graph: Graph) -> str:
    """Return every arrow and its rate in words."""
    labels = {node.key: node.label for node in graph.nodes}
    held = [f"{node.label} is {words}" for node in graph.nodes if (words := load_words(node.load)).startswith("held")]
    arrows = [
        f"{labels[e.source]} → {labels[e.target]} {'?' if e.per_second is None else short(e.per_second)}"
        for e in graph.edges
    ]
    return "; ".join([*arrows, *held]) + "." if arrows else graph.reason or "Nothing is connected yet."


class Topology(View):
    """A dataflow that `read` returns as a Graph; asked once a second in the background."""

    def __init__(self, read: Callable[[], Graph], *, title: str, name: str, every_seconds: float = 1.0) -> None:
        self.poller = live.Poller(read, every_seconds=every_seconds)
        self.edges = ColumnDataSource(edge_columns(Graph((), ())))
        self._graph: Graph | None = None
        source = ColumnDataSource(node_columns(Graph((), ())))
        super().__init__(self._figure(source), source, title=title, name=name, reads=[self.poller])

    def draw(self) -> str:
        graph = self.poller.poll()
        if graph is not None and graph is not self._graph:
            self._show(graph)
        stale = stale_because(self.poller)
        self.quiet_because = stale or (graph.reason if graph else "")
        if graph is None or stale:
            return no_data_since(self.poller.answered_at, stale)
        if any(edge.per_second for edge in graph.edges):
            self._dashes.glyph.line_dash_offset = -10 * int(time.monotonic() * STEPS_PER_SECOND) % 1200
        return graph_sentence(graph)

    def _show(self, graph: Graph) -> None:
        before, self._graph = self._graph, graph
        self.source.data = node_columns(graph)
        if before is None or places(before) != places(graph):
            self._fit(self.source.data)
        self.edges.data = edge_columns(graph)

    def _fit(self, data: Mapping[str, Any]) -> None:
        most_x, most_y = (max(data["x"], default=0.0), max(data["y"], default=0.0))
        self.root.x_range.update(start=-MARGIN, end=most_x + MARGIN)
        self.root.y_range.update(start=-most_y - 0.6, end=most_y + 0.6)
        self.root.height = int(ROW_PIXELS * (2 * most_y + 1.4))

    def _figure(self, source: ColumnDataSource) -> Any:
        hover = HoverTool(tooltips=[("@words", "@note")], point_policy="follow_mouse")
        counted = HoverTool(tooltips=[("@words", "@records records so far")], point_policy="follow_mouse")
        plot = look.bare(
            look.figure(
                height=ROW_PIXELS * 2,
                tools=[hover, counted],
                x_range=Range1d(start=0, end=1),
                y_range=Range1d(start=-1, end=1),
            )
        )
        curve = {
            "x0": "x0",
            "y0": "y0",
            "x1": "x1",
            "y1": "y1",
            "cx0": "middle",
            "cy0": "y0",
            "cx1": "middle",
            "cy1": "y1",
        }
        plot.bezier(**curve, source=self.edges, line_color=look.QUIET, line_alpha=0.45, line_width="width")
        self._dashes = plot.bezier(
            **curve, source=self.edges, line_color=look.PALETTE[4], line_alpha="flow", line_width="width",
            line_dash=[3, 9],
        )  # fmt: skip
        boxes = plot.rect(x="x", y="y", width=BOX_WIDTH, height=BOX_HEIGHT, source=source, fill_color="fill",
                          line_color=None, border_radius=6)  # fmt: skip
        hover.renderers = [boxes]
        look.text(plot, "x", "y", "label", source, text_color="white", text_font_size="12px")
        look.text(plot, "x", "y", "load", source, text_color=look.INK, text_font_size="12px", y_offset=LOAD_PIXELS)
        rates = look.text(
            plot, "text_x", "text_y", "text", self.edges, text_color="white", text_font_style="bold",
            text_font_size="11px", background_fill_color=LABEL_FILL, padding=2, border_radius=4,
        )  # fmt: skip
        counted.renderers = [rates]
        return plot


class JobGraph(Topology):
    """The tasks of one job between their topics."""

    def __init__(self, job: Job, *, name: str = "job graph") -> None:
        super().__init__(dataflow.JobReader(job), title=f"Job {job.name}, records per second", name=name)


class Pipeline(Topology):
    """Producers, topics and running jobs of the course."""

    def __init__(self, *, settings: Settings | None = None, name: str = "pipeline") -> None:
        read = dataflow.PipelineReader(settings)
        super().__init__(read, title="The pipeline, records per second", name=name)
