"""Draw how many errors there are a second: records that no job could use, and sends that Kafka refused.

Question: which share of the events goes wrong, since when, and why? Fault that changes it: let the producer send
malformed records, while the job `dead_letters` runs.
    before  "0.0 errors/s, 0.0% of 100 events/s sent."
    then    "20.1 errors/s, 20.1% of 100 events/s sent: 20.1 dead letters/s, 0.0 sends refused/s. The last dead letter:
            eventType is missing (user-events)."

A dead letter counts in the second in which it was appended; as `dead_letters` writes with the guarantee exactly-once,
it is seen at the next checkpoint. Shares are of the last ten seconds.

    >>> plots.ErrorRate(shop, live.TopicTail("dead-letters"))
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from bokeh.models import ColumnDataSource

from kernel_lib import live
from kernel_lib.errors import MalformedRecord
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since
from kernel_lib.producer import ProducerStats

SECONDS_SHOWN = 120
SECONDS_JUDGED = 10
Columns = dict[str, Any]


class Sends(Protocol):
    """A producer."""

    @property
    def stats(self) -> ProducerStats: ...


class Reading(NamedTuple):
    """What a producer had sent, and what of it had failed, at a time (epoch s)."""

    at: float
    sent: int
    refused: int


def error_columns(letters: Mapping[int, int], refused: Mapping[int, int], now: float) -> Columns:
    """Return one bar for each second (epoch s) that has errors, of those shown: where it is, and how high."""
    seconds = sorted(second for second in {*letters, *refused} if second > now - SECONDS_SHOWN)
    return {
        "at": [second * 1000 for second in seconds],
        "letters": [letters.get(second, 0) for second in seconds],
        "refused": [refused.get(second, 0) for second in seconds],
    }


def per_second(counts: Mapping[int, int], now: float) -> float:
    """Return the mean of the last ten whole seconds."""
    last = int(now)
    return sum(counts.get(second, 0) for second in range(last - SECONDS_JUDGED, last)) / SECONDS_JUDGED


def error_sentence(sent: float, letters: float, refused: float, newest: str) -> str:
    """Return the rates (events/s) in words, and what was wrong with the newest dead letter."""
    errors = letters + refused
    share = f", {errors / sent:.1%} of {sent:,.0f} events/s sent" if sent else ""
    if not errors:
        return f"0.0 errors/s{share}."
    said = f"{errors:,.1f} errors/s{share}: {letters:,.1f} dead letters/s, {refused:,.1f} sends refused/s."
    return f"{said} The last dead letter: {newest}." if newest else said


class ErrorRate(View):
    """The errors of the last two minutes, one bar a second: dead letters, and sends that were refused."""

    def __init__(self, producer: Sends, tail: live.TopicTail, *, name: str = "error rate") -> None:
        """`tail` is of the topic `dead-letters`; its letters may be of any topic."""
        self.producer, self.tail = producer, tail
        self._letters: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()
        self._readings: deque[Reading] = deque([self._read()])
        self._newest = ""
        source = ColumnDataSource(error_columns({}, {}, 0.0))
        super().__init__(self._figure(source), source, title="Errors per second", name=name)

    def draw(self) -> str:
        for record in self.tail.poll():
            self._letters[record.timestamp_ms // 1000] += 1
            self._newest = _reason(record)
        self._note()
        now = self._readings[-1].at
        self.source.data = error_columns(self._letters, self._refused, now)
        heights = zip(self.source.data["letters"], self.source.data["refused"], strict=True)
        self.root.x_range.update(start=(now - SECONDS_SHOWN) * 1000, end=now * 1000)
        self.root.y_range.end = max(1.0, 1.15 * max((sum(height) for height in heights), default=0))
        self.quiet_because = self.tail.problem
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return error_sentence(
            self._sent_per_second(), per_second(self._letters, now), per_second(self._refused, now), self._newest
        )

    def _read(self) -> Reading:
        stats = self.producer.stats
        return Reading(time.time(), stats.sent, stats.refused + stats.in_doubt)

    def _note(self) -> None:
        reading = self._read()
        if failed := reading.refused - self._readings[-1].refused:
            self._refused[int(reading.at)] += max(0, failed)
        self._readings.append(reading)
        while len(self._readings) > 2 and self._readings[1].at <= reading.at - SECONDS_JUDGED:
            self._readings.popleft()
        for counts in (self._letters, self._refused):
            for second in [second for second in counts if second <= reading.at - SECONDS_SHOWN]:
                del counts[second]

    def _sent_per_second(self) -> float:
        first, last = self._readings[0], self._readings[-1]
        return (last.sent - first.sent) / (last.at - first.at) if last.at > first.at else 0.0

    def _figure(self, source: ColumnDataSource) -> Any:
        plot, hover = look.timeline(
            [("dead letters", "@letters{0,0}"), ("sends refused", "@refused{0,0}")],
            title_of_x="appended to dead-letters, or refused (UTC)", title_of_y="errors / s", height=240,
        )  # fmt: skip
        hover.renderers = plot.vbar_stack(
            ["letters", "refused"], x="at", width=850, source=source, color=[look.BAD, look.PALETTE[0]],
            line_color=None, legend_label=["dead letters", "sends refused"],
        )  # fmt: skip
        look.legend(plot)
        return plot


def _reason(record: Any) -> str:
    try:
        letter = record.json()
        return f"{letter['reason']} ({letter['topic']})"
    except (MalformedRecord, KeyError, TypeError):
        return "no dead letter of the course"
