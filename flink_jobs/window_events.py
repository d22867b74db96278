"""Count events in windows, and say each time a window fires: early, on time, or late with a revised count.

    user-events ──> source ──> valid? ──> by eventType ──> window ──┬──> metrics
                                                                    └──> late-events

The `windows` are "tumbling", "sliding" or "business hours"; for sessions there is the job track_sessions. A window
fires on time when the watermark passes its end. Before that it can fire early, every so many events or seconds,
whichever comes first. After that it fires again for each event that comes within the allowed lateness. An event
that comes later still goes to late-events, as it was sent. Which events those are follows from the order in a
partition in thread mode only: in process mode Flink holds a watermark back while a bundle of events is on its way.

    $ flink run -py flink_jobs/window_events.py --size-seconds 10 --allowed-lateness-seconds 5
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from pyflink.common import Row, Types
from pyflink.common.serializer import TypeSerializer
from pyflink.datastream import (
    DataStream,
    KeyedStream,
    OutputTag,
    ProcessWindowFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    Trigger,
    TriggerResult,
    WindowAssigner,
)
from pyflink.datastream.functions import AggregateFunction
from pyflink.datastream.state import ValueState, ValueStateDescriptor
from pyflink.datastream.window import (
    EventTimeTrigger,
    SlidingEventTimeWindows,
    TimeWindow,
    TimeWindowSerializer,
    TumblingEventTimeWindows,
)
from pyflink.table import StreamTableEnvironment, Table
from pyflink.table.expressions import col

from flink_jobs import columns, command_line, events, streams
from flink_jobs.connectors import LANES, Kafka, Start, Topic

NAME = "window_events"
EVENTS = "user-events"
WINDOWS = ("tumbling", "sliding", "business hours")
OPENS_HOUR, CLOSES_HOUR = 9, 17
EARLY, ON_TIME, LATE = "early", "on time", "late"

COUNT = """
  `windowStart` STRING,
  `windowEnd` STRING,
  `key` STRING,
  `count` BIGINT,
  `firing` STRING,
  `number` BIGINT
"""


class Said(NamedTuple):
    """What a window has said: its last firing's number and kind; since then `unheard` events, and when it is due."""

    number: int = 0
    firing: str = ""
    unheard: int = 0
    due_ms: int = 0


def fired(said: Said, firing: str) -> Said:
    """Return what a window has said after it fired once more."""
    return Said(said.number + 1, firing)


def after_event(said: Said, *, passed: bool, early_events: int, due_ms: int) -> Said:
    """Return what a window has said after one more event.

    `passed`: the watermark has passed the window's end. `early_events`: fire early after so many; 0 for not at all.
    `due_ms`: when to fire early if the window is not due sooner; 0 for not at all.
    """
    if passed:
        return fired(said, LATE)
    unheard = said.unheard + 1
    return fired(said, EARLY) if unheard == early_events else Said(*said[:2], unheard, said.due_ms or due_ms)


def after_timer(said: Said, *, at_ms: int, end_ms: int) -> Said:
    """Return what a window that ends at `end_ms` has said after a timer for `at_ms`."""
    if at_ms == end_ms - 1:
        return fired(said, ON_TIME)
    return fired(said, EARLY) if at_ms == said.due_ms else said


def next_due_ms(now_ms: int, early_ms: int, *, end_ms: int, lateness_ms: int) -> int:
    """Return when a window that has got its first unheard event at `now_ms` fires early; 0 for not at all."""
    due_ms = now_ms + early_ms if early_ms else 0
    # In thread mode PyFlink 2.3 takes a timer of the clock for one of event time. For these two moments that would
    # end the window too soon.
    while due_ms in (end_ms - 1, end_ms - 1 + lateness_ms):
        due_ms += 1
    return due_ms


def business_hours(at_ms: int, day_ms: int) -> tuple[int, int]:
    """Return start and end of the opening hours around a time, or of the night; a day can be shorter than 24 h."""
    midnight = at_ms - at_ms % day_ms
    opens, closes = (midnight + day_ms * hour // 24 for hour in (OPENS_HOUR, CLOSES_HOUR))
    if at_ms < opens:
        return closes - day_ms, opens
    return (opens, closes) if at_ms < closes else (closes, opens + day_ms)


def assigner(windows: str, *, size_seconds: float, slide_seconds: float) -> WindowAssigner:
    """Return what assigns events to windows of a kind; raises ValueError for another kind or an impossible size."""
    if windows not in WINDOWS:
        raise ValueError(f"windows is {windows!r}, not one of {', '.join(WINDOWS)}; sessions: the job track_sessions")
    size_ms, slide_ms = round(1000 * size_seconds), round(1000 * slide_seconds)
    if size_ms <= 0:
        raise ValueError(f"size_seconds is {size_seconds:g}, not above 0")
    if windows != "sliding":
        return TumblingEventTimeWindows(size_ms, 0) if windows == "tumbling" else BusinessHours(size_ms)
    if not 0 < slide_ms <= size_ms:
        raise ValueError(f"slide_seconds is {slide_seconds:g}, not above 0 and at most {size_seconds:g}")
    return SlidingEventTimeWindows(size_ms, slide_ms, 0)


class BusinessHours(WindowAssigner):  # type: ignore[misc]
    """Assigns an event to the opening hours of its day, or to the night."""

    def __init__(self, day_ms: int) -> None:
        self.day_ms = day_ms

    def assign_windows(self, element: Row, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return [TimeWindow(*business_hours(timestamp, self.day_ms))]

    def get_default_trigger(self, env: StreamExecutionEnvironment) -> Trigger:
        return EventTimeTrigger()

    def get_window_serializer(self) -> TypeSerializer:
        return TimeWindowSerializer()

    def is_event_time(self) -> bool:
        return True


class Firing(Trigger):  # type: ignore[misc]
    """Fires a window early, on time and late, and keeps in the window's state which firing it is."""

    def __init__(self, early_events: int, early_seconds: float, lateness_seconds: float) -> None:
        self.early_events = early_events
        self.early_ms = round(1000 * early_seconds)
        self.lateness_ms = round(1000 * lateness_seconds)
        self.state = said_state()

    def on_element(self, element: Row, timestamp: int, window: TimeWindow, ctx: Any) -> TriggerResult:
        kept, said = self._kept(ctx)
        passed = window.max_timestamp() <= ctx.get_current_watermark()
        due_ms = next_due_ms(
            ctx.get_current_processing_time(), self.early_ms, end_ms=window.end, lateness_ms=self.lateness_ms
        )
        now_said = after_event(said, passed=passed, early_events=self.early_events, due_ms=due_ms)
        if not passed:
            ctx.register_event_time_timer(window.max_timestamp())
        if now_said.due_ms > said.due_ms:
            ctx.register_processing_time_timer(now_said.due_ms)
        return _keep(kept, said, now_said)

    def on_event_time(self, time: int, window: TimeWindow, ctx: Any) -> TriggerResult:
        kept, said = self._kept(ctx)
        return _keep(kept, said, after_timer(said, at_ms=time, end_ms=window.end))

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Any) -> TriggerResult:
        return self.on_event_time(time, window, ctx)

    def on_merge(self, window: TimeWindow, ctx: Any) -> None:
        raise TypeError("these windows do not merge")

    def clear(self, window: TimeWindow, ctx: Any) -> None:
        kept, said = self._kept(ctx)
        if said.due_ms:
            ctx.delete_processing_time_timer(said.due_ms)
        kept.clear()

    def _kept(self, ctx: Any) -> tuple[ValueState, Said]:
        kept = ctx.get_partitioned_state(self.state)
        return kept, Said(*(kept.value() or ()))


class Counting(AggregateFunction):  # type: ignore[misc]
    """Counts a window's events one by one, so that none of them is kept."""

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Row, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class Saying(ProcessWindowFunction):  # type: ignore[misc]
    """Says a window's count, and which firing it is."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.state = said_state()

    def process(self, key: str, context: ProcessWindowFunction.Context, elements: Iterable[int]) -> Iterator[Row]:
        # The trigger has written it: both see the state of the window.
        said = Said(*context.window_state().get_state(self.state).value())
        window = context.window()
        yield Row(streams.iso(window.start), streams.iso(window.end), key, *elements, said.firing, said.number)


def said_state() -> ValueStateDescriptor:
    """Return where a window keeps what it has said."""
    return ValueStateDescriptor("said", Types.PICKLED_BYTE_ARRAY())


def _keep(kept: ValueState, said: Said, now_said: Said) -> TriggerResult:
    if now_said != said:
        kept.update(tuple(now_said))
    return TriggerResult.FIRE if now_said.number > said.number else TriggerResult.CONTINUE


def count(keyed: KeyedStream, kind: WindowAssigner, trigger: Firing, late: OutputTag | None) -> DataStream:
    """Return what the windows of `keyed` say; what is too late for them goes to `late`, or is dropped."""
    windowed = keyed.window(kind).trigger(trigger).allowed_lateness(trigger.lateness_ms)
    if late:
        windowed = windowed.side_output_late_data(late)
    counted = windowed.aggregate(Counting(), Saying(), Types.LONG(), columns.row_type(COUNT))
    return counted.name("window").uid("window")


def too_late(tables: StreamTableEnvironment, counted: DataStream, tag: OutputTag) -> Table:
    """Return the events that went aside, as they were sent."""
    # `get_side_output` would add a Python operator that copies each of them.
    aside = DataStream(counted._j_data_stream.getSideOutput(tag.get_java_output_tag()))
    return tables.from_data_stream(aside).drop_columns(col("rowtime"))


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    counts: Topic = "metrics",
    late: Topic = "late-events",
    by: str = "eventType",
    windows: str = "tumbling",
    size_seconds: float = 10.0,
    slide_seconds: float = 5.0,
    allowed_lateness_seconds: float = 0.0,
    early_every_seconds: float = 0.0,
    early_every_events: int = 0,
    guarantee: str = "exactly-once",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
) -> None:
    """Add the job to `env`.

    `late`: "" drops what comes too late; Flink counts it as numLateRecordsDropped. `by`: a field of the event that is a
    text. `windows`: "tumbling", "sliding" (then each `slide_seconds` one begins), "business hours" (`size_seconds` is
    the length of a day: the shop opens after 9/24 of it and closes after 17/24). `early_every_...`: 0 for not at all.
    """
    kind = assigner(windows, size_seconds=size_seconds, slide_seconds=slide_seconds)
    trigger = Firing(early_every_events, early_every_seconds, allowed_lateness_seconds)
    tables = StreamTableEnvironment.create(env)
    valid = streams.valid_events(
        tables,
        kafka,
        EVENTS,
        source=source,
        group=name,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
        watermark_each_event=True,
    )
    tag = OutputTag("late", streams.read_type(EVENTS)) if late else None
    counted = count(valid.key_by(streams.text_field(EVENTS, by), Types.STRING()), kind, trigger, tag)
    lanes = tables.create_statement_set()
    tables.execute_sql(kafka.sink("counts", counts, COUNT, job=name, key="key", guarantee=guarantee))
    lanes.add_insert("counts", tables.from_data_stream(counted))
    if tag:
        columns = events.columns(EVENTS)
        tables.execute_sql(kafka.sink("late", late, columns, job=name, key="userId", guarantee=guarantee))
        lanes.add_insert("late", too_late(tables, counted, tag))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--by", default="eventType", help="a field of the event that is a text")
    options.add_argument("--windows", choices=WINDOWS, default="tumbling")
    options.add_argument("--size-seconds", type=float, default=10.0)
    options.add_argument("--slide-seconds", type=float, default=5.0)
    options.add_argument("--allowed-lateness-seconds", type=float, default=0.0)
    options.add_argument("--early-every-seconds", type=float, default=0.0)
    options.add_argument("--early-every-events", type=int, default=0)
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
