"""Draw how often each value of a field came: counted by a field, of events that another field may narrow, in a range.

Question: what happens most, and within that? Choose "only eventType = purchase" and count by page, and you are a
level deeper. Fault that changes it: send malformed records; they have no fields and are counted apart.
    before  "1,204 events of the last 60 s by eventType: page_view 745 (62%), search 190 (16%), ..."
    then    "1,204 events of the last 60 s by eventType: ...; 31 records were no events."

    >>> plots.EventCounters(live.TopicTail("user-events"))
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter, Range1d

from kernel_lib import live
from kernel_lib.errors import MalformedRecord
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since

RANGES = {"last 10 s": 10.0, "last 60 s": 60.0, "last 10 min": 600.0}
MOST_KEPT = 100_000
MOST_BARS = 10
MOST_CHOICES = 20  # of each field
LABEL_CHARACTERS = 34
QUIET_AFTER_SECONDS = 6.0
EVERYTHING = ""
Columns = dict[str, Any]


class Seen(NamedTuple):
    """An event: when it was read (epoch s), and its values of the fields that are counted; None for no event."""

    at: float
    values: tuple[str, ...] | None


def seen(record: Record, fields: Sequence[str], now: float) -> Seen:
    """Return what is counted of a record."""
    try:
        value = record.json()
    except MalformedRecord:
        value = None
    if not isinstance(value, dict):
        return Seen(now, None)
    return Seen(now, tuple(str(value.get(field, "none")) for field in fields))


class Choice(NamedTuple):
    """What is counted: since when (epoch s), by which field, and of which value of which field only."""

    since: float
    by: int
    only: tuple[int, str] | None = None


def counted(events: Sequence[Seen], choice: Choice) -> Counter[str]:
    """Return how often each value came; the field and the value to narrow by are those of `choice`."""
    return Counter(
        each.values[choice.by]
        for each in events
        if each.at >= choice.since
        and each.values is not None
        and (choice.only is None or each.values[choice.only[0]] == choice.only[1])
    )


def bar_columns(counts: Counter[str]) -> Columns:
    """Return one row a value, the most frequent on top; the last row holds all that have no bar of their own."""
    rows = counts.most_common(MOST_BARS)
    rest = counts.total() - sum(count for _, count in rows)
    if rest:
        rows.append((f"{len(counts) - MOST_BARS} others", rest))
    total = max(counts.total(), 1)
    rows = rows[::-1]
    return {
        "y": list(range(len(rows))),
        "value": [value for value, _ in rows],
        "count": [count for _, count in rows],
        "share": [count / total for _, count in rows],
        "text": [f"{count:,} ({count / total:.0%})" for _, count in rows],
    }


def counters_sentence(counts: Counter[str], within: str, by: str, only: str, malformed: int) -> str:
    """Return the most frequent values in words."""
    of = f" with {only}" if only else ""
    total = counts.total()
    most = ", ".join(f"{value} {count:,} ({count / total:.0%})" for value, count in counts.most_common(4))
    more = f", and {len(counts) - 4} more" if len(counts) > 4 else ""
    poison = f"; {malformed:,} records were no events" if malformed else ""
    return f"{total:,} events{of} of the {within} by {by}" + (f": {most}{more}" if most else "") + f"{poison}."


def shortened(value: str) -> str:
    """Return a value as long as fits beside a bar."""
    return value if len(value) <= LABEL_CHARACTERS else value[: LABEL_CHARACTERS - 1] + "…"


class EventCounters(View):
    """Counts by one of `fields`, narrowed by a value of another, with controls above the picture."""

    redraw_seconds = 1.0

    def __init__(
        self,
        tail: live.TopicTail,
        *,
        fields: Sequence[str] = ("eventType", "page", "userAgent"),
        because: Callable[[], str] | None = None,
        name: str = "event counters",
    ) -> None:
        self.tail, self.fields = tail, tuple(fields)
        self._because = because or (lambda: "no event arrives")
        self._events: deque[Seen] = deque(maxlen=MOST_KEPT)
        self._choices: dict[str, tuple[int, str] | None] = {EVERYTHING: None}
        self.range = widgets.Dropdown(description="range", options=list(RANGES), value="last 60 s")
        self.by = widgets.Dropdown(description="count by", options=self.fields)
        self.only = widgets.Dropdown(description="only", options=[("everything", EVERYTHING)])
        source = ColumnDataSource(bar_columns(Counter()))
        controls = widgets.HBox([self.range, self.by, self.only], layout=widgets.Layout(flex_flow="row wrap"))
        title = f"What happens in {tail.topic}"
        super().__init__(self._figure(source), source, title=title, name=name, reads=[tail], above=controls)

    def draw(self) -> str:
        now = time.time()
        new = [seen(record, self.fields, now) for record in self.tail.poll()]
        self._events.extend(new)
        self._offer(new)
        choice = Choice(
            now - RANGES[self.range.value], self.fields.index(self.by.value), self._choices[self.only.value]
        )
        counts = counted(self._events, choice)
        malformed = sum(each.values is None and each.at >= choice.since for each in self._events)
        self._show(counts)
        quiet = now - (self.tail.last_record_at or 0) > QUIET_AFTER_SECONDS
        self.quiet_because = first_reason(self.tail.problem, self._because if quiet else "")
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return counters_sentence(counts, self.range.value, self.by.value, self.only.value, malformed)

    def _offer(self, new: Sequence[Seen]) -> None:
        """Add the values that are new to what one may narrow by."""
        before = len(self._choices)
        taken = Counter(choice[0] for choice in self._choices.values() if choice)
        for field, value in dict.fromkeys(pair for each in new for pair in enumerate(each.values or ())):
            name = f"{self.fields[field]} = {value}"
            if name not in self._choices and taken[field] < MOST_CHOICES:
                self._choices[name] = (field, value)
                taken[field] += 1
        if len(self._choices) > before:
            chosen = self.only.value
            names = sorted(self._choices)
            self.only.options = [(name[:60] or "everything", name) for name in names]
            self.only.value = chosen

    def _show(self, counts: Counter[str]) -> None:
        columns = bar_columns(counts)
        self.source.data = columns
        look.name_rows(self.root, [shortened(value) for value in columns["value"]])
        self.root.x_range.end = 1.25 * max(columns["count"], default=1)

    def _figure(self, source: ColumnDataSource) -> Any:
        hover = HoverTool(tooltips=[("", "@value"), ("events", "@count{0,0}"), ("share", "@share{0%}")])
        plot = look.figure(
            title_of_x="events", height=320, hover=hover, x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=-0.6, end=0.4),
        )  # fmt: skip
        plot.ygrid.visible = False
        plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
        plot.hbar("y", left=0, right="count", height=0.7, source=source, color=look.PALETTE[0], alpha=0.8)
        look.text(plot, "count", "y", "text", source, text_color=look.INK, text_align="left", x_offset=8)
        return plot
