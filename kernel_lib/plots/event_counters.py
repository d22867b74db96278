"""Draw how often each value of a field came, and what a number in those events adds up to, narrowed and in a range.

Question: what happens most, how much is in it, and within that? Choose "only eventType = purchase" and group by page,
and you are a level deeper; choose sum or mean in place of count. Fault that changes it: send malformed records; they
have no fields and are counted apart, as events without the number are.
    before  "1,204 events of the last 60 s by eventType: page_view 745 (62%), search 190 (16%), ..."
    then    "1,204 events of the last 60 s by eventType: ...; 31 records were no events."
    mean    "Mean of duration of 1,204 events of the last 60 s: 4.12 s. By eventType: purchase 61.3 s (12 events), ..."

    >>> plots.EventCounters(live.TopicTail("user-events"), value="duration", unit="s")
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
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
COUNT, SUM, MEAN = "count", "sum", "mean"
Columns = dict[str, Any]


class Seen(NamedTuple):
    """An event: when it was read (epoch s), its values of the fields, None for no event, and its number, if any."""

    at: float
    values: tuple[str, ...] | None
    number: float | None = None


def seen(record: Record, fields: Sequence[str], value: str, now: float) -> Seen:
    """Return what is kept of a record: its `fields` to group by, and the number in its field `value`."""
    try:
        event = record.json()
    except MalformedRecord:
        event = None
    if not isinstance(event, dict):
        return Seen(now, None)
    return Seen(now, tuple(str(event.get(field, "none")) for field in fields), number(event.get(value)))


def number(found: object) -> float | None:
    """Return a finite number as it is; None for anything else, numbers in text and true and false among it."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    # JSON has whole numbers that no float can hold.
    return float(found) if abs(found) <= sys.float_info.max else None


class Choice(NamedTuple):
    """What is looked at: since when (epoch s), grouped by which field, and of which value of which field only."""

    since: float
    by: int
    only: tuple[int, str] | None = None


class Group(NamedTuple):
    """Events of one value: how many there are, how many of them have a number, and what these add up to."""

    events: int = 0
    numbers: int = 0
    total: float = 0.0

    def figure(self, what: str) -> float | None:
        """Return the count, the sum or the mean; None for the sum and the mean of no number."""
        if what == COUNT:
            return self.events
        if not self.numbers:
            return None
        return self.total if what == SUM else self.total / self.numbers


def grouped(events: Sequence[Seen], choice: Choice) -> dict[str, Group]:
    """Return the events by value; the field and the value to narrow by are those of `choice`."""
    counts: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    totals: dict[str, float] = {}
    for each in events:
        if each.at < choice.since or each.values is None:
            continue
        if choice.only is not None and each.values[choice.only[0]] != choice.only[1]:
            continue
        value = each.values[choice.by]
        counts[value] += 1
        if each.number is not None:
            numbers[value] += 1
            totals[value] = totals.get(value, 0.0) + each.number
    return {value: Group(count, numbers[value], totals.get(value, 0.0)) for value, count in counts.items()}


def together(groups: Sequence[Group]) -> Group:
    """Return several groups as one."""
    events, numbers = (sum(getattr(each, name) for each in groups) for name in ("events", "numbers"))
    return Group(events, numbers, sum(each.total for each in groups))


def ranked(groups: Mapping[str, Group], what: str) -> list[tuple[str, Group, float]]:
    """Return value, group and figure, the largest figure first; groups without one are left out."""
    found = [(value, group, figure) for value, group in groups.items() if (figure := group.figure(what)) is not None]
    return sorted(found, key=lambda row: row[2], reverse=True)


def bar_columns(groups: Mapping[str, Group], what: str = COUNT, unit: str = "") -> Columns:
    """Return one row a value, the largest on top; the last row holds all that have no bar of their own."""
    order = ranked(groups, what)
    rows, rest = order[:MOST_BARS], together([group for _, group, _ in order[MOST_BARS:]])
    others = rest.figure(what) if rest.events else None
    if others is not None:
        rows.append((f"{len(order) - MOST_BARS} others", rest, others))
    events = max(sum(group.events for group in groups.values()), 1)
    rows = rows[::-1]
    return {
        "y": list(range(len(rows))),
        "value": [value for value, _, _ in rows],
        "figure": [figure for _, _, figure in rows],
        "text_at": [max(figure, 0.0) for _, _, figure in rows],
        "count": [group.events for _, group, _ in rows],
        "share": [group.events / events for _, group, _ in rows],
        "sum": [figure_words(group.figure(SUM), unit) for _, group, _ in rows],
        "mean": [figure_words(group.figure(MEAN), unit) for _, group, _ in rows],
        "text": [row_words(group, what, unit, events) for _, group, _ in rows],
    }


def row_words(group: Group, what: str, unit: str, events: int) -> str:
    """Return the figure of a group: a count with its share of all `events`, sum and mean with how many they are of."""
    if what == COUNT:
        return f"{group.events:,} ({group.events / events:.0%})"
    return f"{figure_words(group.figure(what), unit)} ({events_words(group.numbers)})"


def figure_words(figure: float | None, unit: str) -> str:
    """Return a figure with its unit: to the whole from a thousand on, with three digits below."""
    if figure is None:
        return "no number"
    return (f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}") + (f" {unit}" if unit else "")


def events_words(count: int) -> str:
    """Return so many events in words."""
    return f"{count:,} event{'' if count == 1 else 's'}"


class Asked(NamedTuple):
    """What is chosen, in words: count, sum or mean, of which field in which unit, the range, the field, the value."""

    what: str
    value: str
    unit: str
    within: str
    by: str
    only: str = EVERYTHING

    @property
    def axis(self) -> str:
        """What the bars are, with their unit."""
        if self.what == COUNT:
            return "events"
        return f"{self.what} of {self.value}" + (f" ({self.unit})" if self.unit else "")


def counters_sentence(groups: Mapping[str, Group], asked: Asked, malformed: int) -> str:
    """Return the largest figures in words, and how many events and records are in none."""
    everything = together(list(groups.values()))
    order, events = ranked(groups, asked.what), max(everything.events, 1)
    most = ", ".join(f"{value} {row_words(group, asked.what, asked.unit, events)}" for value, group, _ in order[:4])
    more = f", and {len(order) - 4} more" if len(order) > 4 else ""
    without = everything.events - everything.numbers
    beside = []
    if asked.what != COUNT and without:
        beside.append(f"{events_words(without)} without a number in {asked.value}")
    if malformed:
        beside.append(f"{malformed:,} record{' was no event' if malformed == 1 else 's were no events'}")
    listed = f": {most}{more}" if most else ""
    return "; ".join([_beginning(everything, asked) + listed, *beside]) + "."


def _beginning(everything: Group, asked: Asked) -> str:
    of = (f" with {asked.only}" if asked.only else "") + f" of the {asked.within}"
    if asked.what == COUNT:
        return f"{events_words(everything.events)}{of} by {asked.by}"
    figure = figure_words(everything.figure(asked.what), asked.unit)
    begun = f"{asked.what.capitalize()} of {asked.value} of {events_words(everything.numbers)}{of}: {figure}"
    return f"{begun}. By {asked.by}" if everything.numbers else begun


def shortened(value: str) -> str:
    """Return a value as long as fits beside a bar."""
    return value if len(value) <= LABEL_CHARACTERS else value[: LABEL_CHARACTERS - 1] + "…"


class EventCounters(View):
    """Figures by one of `fields`, narrowed by a value of another, with controls above the picture.

    `value` names a field with a number, in `unit`: the sum and the mean of it can be chosen in place of the count.
    """

    def __init__(
        self,
        tail: live.TopicTail,
        *,
        fields: Sequence[str] = ("eventType", "page", "userAgent"),
        value: str = "",
        unit: str = "",
        because: Callable[[], str] | None = None,
        name: str = "event counters",
    ) -> None:
        self.tail, self.fields, self.value, self.unit = tail, tuple(fields), value, unit
        self._because = because or (lambda: "no event arrives")
        self._events: deque[Seen] = deque(maxlen=MOST_KEPT)
        self._choices: dict[str, tuple[int, str] | None] = {EVERYTHING: None}
        self.range = widgets.Dropdown(description="range", options=list(RANGES), value="last 60 s")
        figures = [(COUNT, COUNT), *((f"{what} of {value}", what) for what in (SUM, MEAN) if value)]
        self.what = widgets.Dropdown(description="figure", options=figures)
        self.by = widgets.Dropdown(description="by", options=self.fields)
        self.only = widgets.Dropdown(description="only", options=[("everything", EVERYTHING)])
        source = ColumnDataSource(bar_columns({}))
        shown = [self.range, *([self.what] if value else []), self.by, self.only]
        controls = widgets.HBox(shown, layout=widgets.Layout(flex_flow="row wrap"))
        title = f"What happens in {tail.topic}"
        super().__init__(self._figure(source), source, title=title, name=name, reads=[tail], above=controls)

    def draw(self) -> str:
        now = time.time()
        new = [seen(record, self.fields, self.value, now) for record in self.tail.poll()]
        self._events.extend(new)
        self._offer(new)
        choice = Choice(
            now - RANGES[self.range.value], self.fields.index(self.by.value), self._choices[self.only.value]
        )
        groups = grouped(self._events, choice)
        malformed = sum(each.values is None and each.at >= choice.since for each in self._events)
        asked = Asked(self.what.value, self.value, self.unit, self.range.value, self.by.value, self.only.value)
        self._show(groups, asked)
        quiet = now - (self.tail.last_record_at or 0) > QUIET_AFTER_SECONDS
        self.quiet_because = first_reason(self.tail.problem, self._because if quiet else "")
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return counters_sentence(groups, asked, malformed)

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

    def _show(self, groups: Mapping[str, Group], asked: Asked) -> None:
        columns = bar_columns(groups, asked.what, asked.unit)
        self.source.data = columns
        look.name_rows(self.root, [shortened(value) for value in columns["value"]])
        self.root.xaxis[0].axis_label = asked.axis
        least, most = min(columns["figure"], default=0), max(columns["figure"], default=0)
        self.root.x_range.update(start=1.1 * min(least, 0), end=1.35 * max(most, 0) or 1)

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("", "@value"), ("events", "@count{0,0}"), ("share of the events", "@share{0%}")]
        tips += [(f"sum of {self.value}", "@sum"), (f"mean of {self.value}", "@mean")] if self.value else []
        plot = look.figure(
            title_of_x="events", height=320, hover=HoverTool(tooltips=tips), x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=-0.6, end=0.4),
        )  # fmt: skip
        plot.ygrid.visible = False
        plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
        plot.hbar("y", left=0, right="figure", height=0.7, source=source, color=look.PALETTE[0], alpha=0.8)
        look.text(plot, "text_at", "y", "text", source, text_color=look.INK, text_align="left", x_offset=8)
        return plot
