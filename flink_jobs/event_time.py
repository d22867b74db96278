"""Own how a Python function gets the events of a key in the order of their time, each once, and knows when time is up.

    events of a key, as they arrive ──> wait for the watermark ──> moments, in the order of time ──> results

An event waits until the watermark has passed it; then all that happened before it has arrived. So results do not
depend on the order of arrival. Events of one time come in the order in which they arrived, and an event that says
what another one of that time said, with another eventId, is a repetition and left out. What arrives behind the
watermark is too late and dropped, as in MATCH_RECOGNIZE.

    >>> class Carts(event_time.InOrder):
    ...     def taken(self, value):
    ...         return streams.as_event("user-events", value)
    ...     def moment(self, kept, at_ms, arrived):
    ...         return kept, []
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pyflink.common import Row, Types
from pyflink.datastream import RuntimeContext
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from flink_jobs import parameters

Event = dict[str, Any]
Kept = Any
"""What is remembered of a key between moments: anything that can be written as JSON, or None for nothing."""

OF_THE_SENDING = ("eventId", "sentAt")


class Arrived(NamedTuple):
    """An event, and the time limit that was in force when it arrived."""

    event: Event
    limit_ms: int


class InOrder(parameters.LiveParameters):
    """Calls `moment` for each time at which events happened, and again when the limit of one of them has passed.

    The limit is the parameter `limit_seconds` as it is in force when an event arrives.
    """

    def open(self, runtime_context: RuntimeContext) -> None:
        super().open(runtime_context)
        self._waiting = runtime_context.get_map_state(MapStateDescriptor("waiting", Types.LONG(), Types.STRING()))
        self._kept = runtime_context.get_state(ValueStateDescriptor("kept", Types.STRING()))

    def taken(self, value: Row) -> Event:
        """Return an event as it is kept: without what cannot be written as JSON."""
        raise NotImplementedError

    def moment(self, kept: Kept, at_ms: int, arrived: list[Arrived]) -> tuple[Kept, Iterable[Row]]:
        """Return what to remember after `at_ms`, when `arrived` happened (perhaps nothing), and the results."""
        raise NotImplementedError

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        at_ms, timers = ctx.timestamp(), ctx.timer_service()
        if at_ms <= timers.current_watermark():
            return
        limit_ms = round(1000 * float(self.in_force(ctx)["limit_seconds"]))
        waiting = _read(self._waiting.get(at_ms)) or []
        self._waiting.put(at_ms, json.dumps(with_event(waiting, self.taken(value), limit_ms)))
        timers.register_event_time_timer(at_ms)
        # Both timers are set here: one set while the last watermark of a drain is handled might be too late.
        timers.register_event_time_timer(at_ms + limit_ms)

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Row]:
        arrived = [Arrived(*each) for each in _read(self._waiting.get(timestamp)) or []]
        if arrived:
            self._waiting.remove(timestamp)
        kept, results = self.moment(_read(self._kept.value()), timestamp, arrived)
        if kept is None:
            self._kept.clear()
        else:
            self._kept.update(json.dumps(kept))
        yield from results


def with_event(waiting: list[list[Any]], event: Event, limit_ms: int) -> list[list[Any]]:
    """Return the events that wait for one moment with another one, unless it repeats one of them."""
    if any(_content(event) == _content(other) for other, _ in waiting):
        return waiting
    return [*waiting, [event, limit_ms]]


def _content(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in OF_THE_SENDING}


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
