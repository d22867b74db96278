"""Draw how far each attempt at a pattern has come, stage by stage, as the matcher sees it.

Question: what has the matcher seen of a pattern so far, and how do attempts end? A row is a user and a pattern; a
filled circle is a stage that is reached. Orange is under way, red is matched; grey was broken by an event that does not
fit, or ran out of time.

Fault that changes it: plant frauds (`fraud_share` of the producer), or make a time limit too short.
    before  "3 attempts under way. In the last 60 s: 41 broken, 2 timed out."
    then    "5 attempts under way. In the last 60 s: 4 matched, 38 broken, 2 timed out. The last match: card testing by
            user-00017, 4 stages."

The stages are those that trace_fraud reports; MATCH_RECOGNIZE tells nobody of partial matches.

    >>> plots.PatternStages(live.TopicTail("metrics"))
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import live
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since

ROWS = 8
MOST_KEPT = 5_000
SECONDS_COUNTED = 60
UNDER_WAY, MATCHED, BROKEN, TIMED_OUT = "advanced", "matched", "broken", "timed out"
COLOURS = {UNDER_WAY: look.WARN, MATCHED: look.BAD, BROKEN: look.QUIET, TIMED_OUT: look.QUIET}
WORDS = {UNDER_WAY: "under way"}
MOST_STAGES = 8
Columns = dict[str, Any]


class Stage(msgspec.Struct, frozen=True):
    """What the job reports of an attempt: the `stage` of `stages` that it has reached, and its outcome."""

    pattern: str
    userId: str
    outcome: str
    stage: int
    stages: int
    timestamp: str


class Seen(NamedTuple):
    """A report and when it was read (epoch s)."""

    at: float
    stage: Stage


def stages(records: Iterable[Record]) -> list[Stage]:
    """Return the stages among the records; other records of the topic are passed over."""
    found = []
    for record in records:
        try:
            found.append(msgspec.json.decode(record.value or b"", type=Stage))
        except msgspec.DecodeError:
            continue
    return [stage for stage in found if stage.outcome in COLOURS]


def newest(attempts: Mapping[tuple[str, str], Stage], new: Iterable[Stage], rows: int = ROWS) -> dict[Any, Stage]:
    """Return the last report of each user and pattern, as many as there are rows: ended ones go first."""
    found = dict(attempts)
    for stage in new:
        # The last one reported is the last one in order.
        found.pop((stage.userId, stage.pattern), None)
        found[stage.userId, stage.pattern] = stage
    for key in [key for key, stage in found.items() if stage.outcome != UNDER_WAY] + list(found):
        if len(found) <= rows:
            break
        found.pop(key, None)
    return found


def circle_columns(shown: Sequence[Stage]) -> Columns:
    """Return one circle a stage of each row, the first row at the bottom."""
    circles = [(row, stage, number) for row, stage in enumerate(shown) for number in range(1, stage.stages + 1)]
    return {
        "x": [number for _, _, number in circles],
        "y": [row for row, _, _ in circles],
        "colour": [COLOURS[stage.outcome] for _, stage, _ in circles],
        "fill": [0.9 if number <= stage.stage else 0.0 for _, stage, number in circles],
        "text": [str(number) for _, _, number in circles],
        "ink": [
            look.ink_on(COLOURS[stage.outcome]) if number <= stage.stage else look.INK for _, stage, number in circles
        ],
        "who": [f"{stage.pattern} by {stage.userId}" for _, stage, _ in circles],
        "outcome": [WORDS.get(stage.outcome, stage.outcome) for _, stage, _ in circles],
        "when": [stage.timestamp for _, stage, _ in circles],
    }


def outcome_columns(shown: Sequence[Stage]) -> Columns:
    """Return what to write beside each row."""
    return {
        "x": [stage.stages + 0.6 for stage in shown],
        "y": list(range(len(shown))),
        "text": [WORDS.get(stage.outcome, stage.outcome) for stage in shown],
    }


def stages_sentence(under_way: int, seen: Sequence[Stage]) -> str:
    """Return how many attempts go on, and how those of the last minute ended, in words."""
    attempts = f"{under_way} attempt{'' if under_way == 1 else 's'} under way."
    ends = Counter(stage.outcome for stage in seen)
    counts = [f"{ends[outcome]:,} {outcome}" for outcome in (MATCHED, BROKEN, TIMED_OUT) if ends[outcome]]
    if not counts:
        return f"{attempts} None has ended in the last {SECONDS_COUNTED} s."
    said = f"{attempts} In the last {SECONDS_COUNTED} s: {', '.join(counts)}."
    matches = [stage for stage in seen if stage.outcome == MATCHED]
    if not matches:
        return said
    last = matches[-1]
    return f"{said} The last match: {last.pattern} by {last.userId}, {last.stages} stages."


class PatternStages(View):
    """The attempts that the matcher has reported last."""

    def __init__(self, tail: live.TopicTail, *, name: str = "pattern stages") -> None:
        self.tail = tail
        self._attempts: dict[tuple[str, str], Stage] = {}
        self._seen: deque[Seen] = deque(maxlen=MOST_KEPT)
        self.outcomes = ColumnDataSource(outcome_columns([]))
        source = ColumnDataSource(circle_columns([]))
        super().__init__(self._figure(source), source, title="Stages of the patterns", name=name, reads=[tail])

    def draw(self) -> str:
        now = time.time()
        new = stages(self.tail.poll())
        self._seen.extend(Seen(now, stage) for stage in new)
        self._attempts = newest(self._attempts, new)
        shown = list(self._attempts.values())
        self.source.data, self.outcomes.data = circle_columns(shown), outcome_columns(shown)
        look.name_rows(self.root, [f"{stage.userId}, {stage.pattern}" for stage in shown])
        self.quiet_because = first_reason(self.tail.problem, "" if self._seen else "no stage is reported")
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        under_way = sum(stage.outcome == UNDER_WAY for stage in shown)
        return stages_sentence(under_way, [each.stage for each in self._seen if each.at > now - SECONDS_COUNTED])

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("", "@who"), ("stage", "@x"), ("", "@outcome"), ("event time", "@when")]
        hover = HoverTool(tooltips=tips, point_policy="follow_mouse")
        plot = look.figure(
            title_of_x="stage of the pattern", height=80 + 38 * ROWS, hover=hover,
            x_range=Range1d(start=0.4, end=MOST_STAGES + 2), y_range=Range1d(start=-0.6, end=ROWS - 0.4),
        )  # fmt: skip
        plot.ygrid.visible = False
        plot.xaxis.ticker = list(range(1, MOST_STAGES + 1))
        circles = {"fill_color": "colour", "fill_alpha": "fill", "line_color": "colour", "line_width": 2}
        hover.renderers = [plot.scatter("x", "y", size=24, source=source, **circles)]
        look.text(plot, "x", "y", "text", source, text_color="ink", text_font_size="12px")
        look.text(plot, "x", "y", "text", self.outcomes, text_color=look.INK, text_align="left")
        return plot
