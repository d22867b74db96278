"""Draw how many records each consumer group is behind, over the last minute and a half, and when it will be through.

Question: does the reader keep up, and if not, when is it through? Fault that changes it: cancel the job (its line
climbs by what is produced), then submit it again with start="committed" (the line falls, a dashed one says to when).
    before  "count_events keeps up with user-events: 40 records behind, the most recent 0.2 s' worth (commits come at
            checkpoints)."
    then    "count_events is 3,900 records behind on user-events, growing by 200/s (200/s written, 0/s committed):
            never clear at this pace."
    at last "... falling by 1,400/s (...): clear in 3 s."

Lag is counted from what the group has committed, which is not what it has read. Flink commits at checkpoints
only, so that its lag is never 0 while records come, and an idle source's commits were measured up to 10 s late.
Transaction markers take offsets as well and are never delivered: on a transactional topic the lag is too high.

    >>> plots.ConsumerLag(("count_events", "user-events"), ("indexer", "processed-events"))
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter, Range1d

from kernel_lib import groups, live
from kernel_lib.groups import Position
from kernel_lib.plots import look
from kernel_lib.plots.event_rate import apart
from kernel_lib.plots.view import STALE_SECONDS, View, no_data_since, stale_because
from kernel_lib.settings import Settings, load

SECONDS_SHOWN, SECONDS_AHEAD = 90, 30
# Over the shortest of these times a pace is told that stands out from the steps in which commits come.
PACE_SECONDS = (10.0, 30.0, 90.0)
# Between two commits, plus what a reading itself takes, a reader that keeps up falls behind.
SLACK_SECONDS = 2.0
LABEL_SHARE = 0.09
DASHES = ("solid", "dashed", "dotdash", "dotted")
Pair = tuple[str, str]
Columns = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A reading, summed over partitions; `most` is the partition that is furthest behind."""

    at: float
    committed: int
    end: int
    lag: int
    begun: bool
    most: int
    most_lag: int


@dataclass(frozen=True)
class Pace:
    """Records per second written to the topic and committed by the group, and the time between two commits."""

    written: float
    committed: float
    commit_seconds: float
    trend: str

    @property
    def growth(self) -> float:
        """Records per second by which the lag grows."""
        return self.written - self.committed


def sample(positions: Mapping[int, Position], at: float) -> Sample:
    """Return the positions of all partitions as one reading."""
    most = max(positions, key=lambda number: positions[number].lag)
    committed = sum(max(position.committed, position.low) for position in positions.values())
    end, begun = sum(p.high for p in positions.values()), any(p.committed >= 0 for p in positions.values())
    return Sample(at, committed, end, end - committed, begun, most, positions[most].lag)


def pace(samples: Sequence[Sample]) -> Pace | None:
    """Return how fast a lag changes; None while too little is known.

    The trend is "falling", "growing", "steady" or, when the newest reading contradicts the others, "turning". Commits
    come in steps, and a step within the time looked at is no trend. One that is too small for the shortest time shows
    over a longer one. The first commit of a group is no pace: it may have begun anywhere.
    """
    samples = [each for each in samples if each.begun]
    if len(samples) < 3:
        return None
    gap = commit_seconds(samples)
    found = Pace(0.0, 0.0, gap, "steady")
    for seconds in PACE_SECONDS:
        window = [each for each in samples if each.at >= samples[-1].at - max(seconds, 3 * gap)]
        if len(window) < 3:
            continue
        written, committed = slope(window, "end"), slope(window, "committed")
        span = max(window[-1].at - window[0].at, 0.001)
        # A step of height h in the middle of a time t bends the fitted line by 1.5 h / t.
        noise = max(1.5 * max(written, committed) * max(gap, 1.0) / span, 0.5)
        trend = trend_of(window, written - committed, noise, step=1.5 * written * max(gap, 1.0))
        found = Pace(written, committed, gap, trend) if seconds == PACE_SECONDS[0] or trend != "steady" else found
        if trend != "steady":
            break
    return found


def trend_of(samples: Sequence[Sample], growth: float, noise: float, *, step: float) -> str:
    """Return a trend in a word; `step` is by how many records a lag swings between two commits."""
    if abs(growth) <= noise:
        return "steady"
    now, lags = samples[-1].lag, [each.lag for each in samples]
    if growth > 0:
        return "growing" if now >= max(lags) - step else "turning"
    return "falling" if now <= min(lags) + step else "turning"


def slope(samples: Sequence[Sample], field: str) -> float:
    """Return the growth per second of a field, by least squares; never below 0."""
    at = np.array([each.at for each in samples])
    values = np.array([getattr(each, field) for each in samples], dtype=float)
    away = at - at.mean()
    spread = float((away**2).sum())
    return max(float((away * (values - values.mean())).sum()) / spread, 0.0) if spread else 0.0


def commit_seconds(samples: Sequence[Sample]) -> float:
    """Return the usual time between two commits, as far as readings can tell; 0 when there were none."""
    moved = [now.at for before, now in pairwise(samples) if now.committed > before.committed]
    return float(np.median(np.diff(moved))) if len(moved) > 1 else 0.0


def lag_sentence(pair: Pair, samples: Sequence[Sample]) -> str:
    """Return the lag of a group, how fast it changes and when it will be gone."""
    group, topic = pair
    if not samples:
        return f"{group} on {topic}: no reading yet."
    lag, speed = samples[-1].lag, pace(samples)
    if not samples[-1].begun:
        return f"{group} has committed nothing on {topic} so far: {_records(lag)} ahead of it."
    if lag == 0:
        return f"{group} has committed all of {topic}: 0 records behind."
    if speed and keeps_up(lag, speed):
        worth = f"the most recent {max(lag / speed.written, 0.1):.1f} s' worth (commits come at checkpoints)"
        return f"{group} keeps up with {topic}: {_records(lag)} behind, {worth}."
    return f"{group} is {_records(lag)} behind on {topic}{_outlook(lag, speed)}."


def _outlook(lag: int, speed: Pace | None) -> str:
    if speed is None:
        return "; its pace is not known yet"
    words = f"({speed.written:,.0f}/s written, {speed.committed:,.0f}/s committed)"
    if speed.trend == "falling":
        return f", falling by {look.rate(-speed.growth)}/s {words}: clear in {_seconds_left(lag, speed)}"
    if speed.trend == "growing":
        return f", growing by {look.rate(speed.growth)}/s {words}: never clear at this pace"
    if speed.trend == "turning":
        return f", and its pace is changing just now {words}"
    if speed.written < 1 and speed.committed < 1:
        return "; nothing is written and nothing committed: this much waits, or is transaction markers"
    return f", neither falling nor growing {words}: never clear at this pace"


def keeps_up(lag: int, speed: Pace) -> bool:
    """Say whether a lag is no more than what comes between two commits."""
    return speed.committed > 0 and 0 < lag <= speed.written * (speed.commit_seconds + SLACK_SECONDS)


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _seconds_left(lag: int, speed: Pace) -> str:
    seconds = lag / -speed.growth
    return f"{max(seconds, 1):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def point_columns(histories: Mapping[Pair, Sequence[Sample]]) -> Columns:
    """Return one row a reading, of all groups."""
    rows = [(n, pair, each) for n, (pair, samples) in enumerate(histories.items()) for each in samples]
    return {
        "at": np.array([each.at * 1000 for _, _, each in rows]),
        "lag": np.array([each.lag for _, _, each in rows]),
        "group": [pair[0] for _, pair, _ in rows],
        "topic": [pair[1] for _, pair, _ in rows],
        "end": [each.end for _, _, each in rows],
        "committed": [each.committed for _, _, each in rows],
        "most": [f"{each.most}, {_records(each.most_lag)}" for _, _, each in rows],
        "colour": [colour(n) for n, _, _ in rows],
    }


def line_columns(histories: Mapping[Pair, Sequence[Sample]]) -> Columns:
    """Return one row a group: its line, broken where readings are missing."""
    lines = [broken(samples) for samples in histories.values()]
    return {
        "xs": [at for at, _ in lines],
        "ys": [lag for _, lag in lines],
        "colour": [colour(n) for n in range(len(lines))],
        "dash": [DASHES[n % len(DASHES)] for n in range(len(lines))],
    }


def broken(samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """Return times (ms) and lags of a line with a hole where no reading came for a while."""
    at, lags = [], []
    for before, now in zip([None, *samples], samples, strict=False):
        if before is not None and now.at - before.at > STALE_SECONDS:
            at.append(before.at * 1000)
            lags.append(float("nan"))
        at.append(now.at * 1000)
        lags.append(float(now.lag))
    return at, lags


def label_columns(histories: Mapping[Pair, Sequence[Sample]], top: float) -> Columns:
    """Return where and what to write beside the newest point of each line, moved apart where they are close."""
    rows = [(samples[-1], n, group) for n, ((group, _), samples) in enumerate(histories.items()) if samples]
    newest = sorted(rows, key=lambda row: row[0].lag)
    heights = np.array([each.lag for each, _, _ in newest], dtype=float)
    return {
        "x": np.array([each.at * 1000 for each, _, _ in newest]),
        "lag": heights,
        "y": apart(np.maximum(heights, LABEL_SHARE * top / 2), LABEL_SHARE * top),
        "text": [f"{group} {each.lag:,}" for each, _, group in newest],
        "colour": [colour(n) for _, n, _ in newest],
    }


def forecast_columns(histories: Mapping[Pair, Sequence[Sample]]) -> Columns:
    """Return the way from the newest point of each falling line down to 0."""
    rows = []
    for n, samples in enumerate(histories.values()):
        speed = pace(samples)
        if speed and speed.trend == "falling" and not keeps_up(samples[-1].lag, speed):
            newest = samples[-1]
            rows.append((newest.at * 1000, newest.lag, (newest.at + newest.lag / -speed.growth) * 1000, 0, colour(n)))
    return {name: [row[n] for row in rows] for n, name in enumerate(("x0", "y0", "x1", "y1", "colour"))}


def colour(number: int) -> str:
    """Return the colour of a line."""
    return look.PALETTE[number % len(look.PALETTE)]


class _Follower:
    """The readings of one group and topic."""

    def __init__(self, read: Callable[[], Mapping[int, Position]]) -> None:
        self.poller = live.Poller(read, every_seconds=1.0)
        self.samples: deque[Sample] = deque(maxlen=SECONDS_SHOWN + 10)

    def poll(self) -> bool:
        """Take a new reading; say whether there was one."""
        positions, at = self.poller.poll(), self.poller.answered_at
        if not positions or at is None or (self.samples and self.samples[-1].at == at):
            return False
        self.samples.append(sample(positions, at))
        return True


class ConsumerLag(View):
    """The lag of some groups, each on a topic, asked once a second."""

    def __init__(
        self,
        *pairs: Pair,
        read: Callable[[str, str], Mapping[int, Position]] | None = None,
        settings: Settings | None = None,
        name: str = "consumer lag",
    ) -> None:
        self.pairs = pairs or (("count_events", "user-events"),)
        ask = read or partial(groups.positions, settings=settings or load())
        self.followers = {pair: _Follower(partial(ask, *pair)) for pair in self.pairs}
        self.lines = ColumnDataSource(line_columns({}))
        self.labels = ColumnDataSource(label_columns({}, 1.0))
        self.forecasts = ColumnDataSource(forecast_columns({}))
        source = ColumnDataSource(point_columns({}))
        reads = [follower.poller for follower in self.followers.values()]
        super().__init__(self._figure(source), source, title="Records behind", name=name, reads=reads)

    def draw(self) -> str:
        news = [follower.poll() for follower in self.followers.values()]
        if any(news):
            self._show()
        now = time.time() * 1000
        self.root.x_range.update(start=now - SECONDS_SHOWN * 1000, end=now + SECONDS_AHEAD * 1000)
        problems = [stale_because(follower.poller) for follower in self.followers.values()]
        self.quiet_because = next(filter(None, problems), "") if all(problems) else ""
        return " ".join(self._sentence(pair) for pair in self.pairs)

    def _sentence(self, pair: Pair) -> str:
        follower = self.followers[pair]
        problem = stale_because(follower.poller)
        if problem:
            since = no_data_since(follower.poller.answered_at, problem)
            return since if len(self.pairs) == 1 else f"{pair[0]} on {pair[1]}: {since}"
        return lag_sentence(pair, follower.samples)

    def _show(self) -> None:
        first = time.time() - SECONDS_SHOWN - STALE_SECONDS
        histories = {pair: [s for s in each.samples if s.at > first] for pair, each in self.followers.items()}
        top = max([10.0, *(1.2 * each.lag for samples in histories.values() for each in samples)])
        self.root.y_range.update(start=-0.02 * top, end=top)
        self.source.data = point_columns(histories)
        self.lines.data = line_columns(histories)
        self.labels.data = label_columns(histories, top)
        self.forecasts.data = forecast_columns(histories)

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [
            ("", "@group on @topic at @at{%H:%M:%S}"),
            ("behind", "@lag{0,0} records"),
            ("written up to", "@end{0,0}, committed up to @committed{0,0} (offsets, all partitions)"),
            ("furthest behind", "partition @most"),
        ]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, mode="mouse", limit=1)
        ranges: Any = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=0, end=10)}
        axes: Any = {"title_of_x": "time (UTC)", "title_of_y": "records behind", "x_axis_type": "datetime"}
        plot = look.figure(hover=hover, **ranges, **axes)
        plot.multi_line("xs", "ys", source=self.lines, line_color="colour", line_dash="dash", line_width=2.5)
        plot.scatter("at", "lag", source=source, size=4, color="colour")
        hover.renderers = [plot.scatter("at", "lag", source=source, size=14, alpha=0)]  # easier to hit
        way = {"x0": "x0", "y0": "y0", "x1": "x1", "y1": "y1"}
        plot.segment(**way, source=self.forecasts, line_color="colour", line_dash=[2, 5], line_width=2, line_alpha=0.8)
        plot.scatter("x", "lag", source=self.labels, size=10, color="colour")
        words: Any = {"text_color": look.INK, "text_align": "left", "text_font_style": "bold", "x_offset": 10}
        look.text(plot, "x", "y", "text", self.labels, **words)
        look.clock(plot.xaxis)
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
        return plot
