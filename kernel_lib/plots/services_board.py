"""Draw the services as a board: state, address, reason and remedy of each, with buttons that act on it.

Question: is my stack healthy, and if not, what do I do? Fault that changes it: kill a service.
    before  "8 of 8 services are healthy. flink-taskmanager-3 is not started: a later lesson needs it. ..."
    then    "7 of 8 services are healthy. kafka-2 is stopped: was stopped or killed (try: services.start("kafka-2") in a
            notebook). ..."

    >>> plots.ServicesBoard()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets
from bokeh.models import ColumnDataSource

from kernel_lib import live, services
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because
from kernel_lib.services import ServiceStatus

FIELDS = ("name", "state", "address", "reason", "remedy", "uptime_seconds")
COLOURS = {
    "healthy": look.GOOD,
    "starting": look.WARN,
    "paused": look.WARN,
    "unhealthy": look.BAD,
    "failed": look.BAD,
    "stopped": look.BAD,
}
ACTIONS = ("start", "stop", "kill")
_acting = ThreadPoolExecutor(max_workers=4, thread_name_prefix="board")


def board_columns(statuses: Sequence[ServiceStatus]) -> dict[str, Any]:
    """Return one column a field, one row a service."""
    return {field: [getattr(status, field) for status in statuses] for field in FIELDS}


def board_sentence(statuses: Sequence[ServiceStatus]) -> str:
    """Return how many services run, and what is the matter with each that does not but should."""
    healthy = sum(status.healthy for status in statuses)
    troubles = [f"{s.name} is {s.state}{_because(s)}" for s in statuses if s.in_trouble]
    spare = [
        f"{s.name} is not started: a later lesson needs it" for s in statuses if not s.healthy and not s.in_trouble
    ]
    count = f"{healthy} of {healthy + len(troubles)} services are healthy"
    return ". ".join([count, *troubles, *spare]) + "."


def _because(status: ServiceStatus) -> str:
    remedy = f" (try: {status.remedy})" if status.remedy else ""
    return f": {status.reason}{remedy}"


class ServicesBoard(View):
    """All services of the course, refreshed each second."""

    def __init__(
        self,
        read: Callable[[], Sequence[ServiceStatus]] = services.statuses,
        *,
        acts: dict[str, Callable[[str], object]] | None = None,
        name: str = "services",
    ) -> None:
        self.poller = live.Poller(read, every_seconds=1.0)
        self._acts = acts or {"start": services.start, "stop": services.stop, "kill": services.kill}
        self._rows: dict[str, _Row] = {}
        source = ColumnDataSource(board_columns([]))
        super().__init__(widgets.VBox([]), source, title="Services", name=name, reads=[self.poller])

    def draw(self) -> str:
        statuses = self.poller.poll()
        self.quiet_because = stale_because(self.poller)
        if statuses is None or self.quiet_because:
            return no_data_since(self.poller.answered_at, self.quiet_because)
        columns = board_columns(statuses)
        if columns != self.source.data:
            self.source.data = columns
        if list(self._rows) != columns["name"]:
            self._rows = {status.name: _Row(self._acts) for status in statuses}
            self.root.children = [row.widget for row in self._rows.values()]
        for status in statuses:
            self._rows[status.name].show(status)
        return board_sentence(statuses)


class _Row:
    """One service: its words, and three buttons; a button's outcome replaces the words until the state changes."""

    def __init__(self, acts: dict[str, Callable[[str], object]]) -> None:
        self._words = widgets.HTML(layout=widgets.Layout(flex="1 1 auto", width="auto"))
        self.buttons = {act: self._button(act, function) for act, function in acts.items()}
        self.widget = widgets.HBox(
            [self._words, *self.buttons.values()],
            layout=widgets.Layout(align_items="center"),
        )
        self.widget.add_class("course-service")
        self._name = ""
        self._busy: tuple[str, Future[object]] | None = None
        self._outcome = ""

    def show(self, status: ServiceStatus) -> None:
        self._name = status.name
        busy = self._running_act()
        self._words.value = row_html(status, busy or self._outcome)
        for act, button in self.buttons.items():
            button.disabled = bool(busy) or act not in possible_acts(status.state)
            button.tooltip = f"{act} {status.name}"

    def _running_act(self) -> str:
        if self._busy is None:
            return ""
        act, call = self._busy
        if not call.done():
            return f"{act} …"
        error = call.exception()
        self._outcome = live.in_one_line(error) if error else ""
        self._busy = None
        return ""

    def _press(self, function: Callable[[str], object], act: str, _: object) -> None:
        if self._busy is None:
            self._busy = (act, _acting.submit(function, self._name))

    def _button(self, act: str, function: Callable[[str], object]) -> widgets.Button:
        style = "danger" if act == "kill" else ""
        layout = widgets.Layout(width="64px", flex="0 0 auto")
        button = widgets.Button(description=act, button_style=style, disabled=True, layout=layout)
        button.on_click(partial(self._press, function, act))
        return button


def possible_acts(state: str) -> tuple[str, ...]:
    """Return what makes sense with a service in this state."""
    return ("start",) if state in ("stopped", "failed") else ("stop", "kill")


def row_html(status: ServiceStatus, note: str = "") -> str:
    """Return a service as one line: colour and word for its state, address, and what to know about it."""
    colour = COLOURS.get(status.state, look.BAD) if status.healthy or status.in_trouble else look.QUIET
    words = note or " · ".join(filter(None, [status.reason, status.remedy and f"try: {status.remedy}"]))
    muted = "color:var(--jp-ui-font-color2)"
    return (
        '<div style="display:grid;grid-template-columns:170px 90px 150px 1fr;gap:8px;align-items:center;'
        'font-size:13px;line-height:1.35;color:var(--jp-ui-font-color1)">'
        f'<span><span style="color:{colour}">●</span> <b>{escape(status.name)}</b></span>'
        f"<span>{escape(status.state)}</span>"
        f'<span style="{muted};font-family:var(--jp-code-font-family)">{escape(status.address)}</span>'
        f'<span style="{muted}">{escape(words)}</span></div>'
    )
