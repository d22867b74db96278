"""Count each user's events in keyed state, forget users who fall silent, and say where all that state lies.

    user-events ──> source ──> valid? ──> by user ──> count ──┬──────────────────────────────> processed-events
                                  control ──────────────┘ │   └──> by key group ──> report ──> metrics
                                                          └──> acknowledgements

An event waits in state until the watermark has passed its time, so that each user's events are counted in the
order of event time, whatever the order in which they come. `ttl_seconds` of event time after the last one the user
expires: an event-time timer clears the count. A longer or shorter TTL holds for a user from the next event on.
(Flink's own StateTtlConfig goes by the clock, cannot change while a job runs, and tells nobody what it removes.)

Flink spreads keys over a fixed number of key groups, and a subtask holds a range of them; when the job is rescaled,
whole key groups move. The report of a key group lies in state under a key of that very group: it is written by the
subtask that holds the group, each second while there are users in it, and moves with it.

    $ flink run -py flink_jobs/count_users.py
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from pyflink.common import Row, Types
from pyflink.datastream import DataStream, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction, KeyedProcessFunction
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from flink_jobs import columns, command_line, parameters, streams
from flink_jobs.connectors import JSON_VALUE, MAXIMUM_PARALLELISM, Kafka, Start, Topic

NAME = "count_users"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"ttl_seconds": 60.0}
CREATED, COUNTED, EXPIRED = "created", "counted", "expired"
REPORT_MS = 1000
# The watermark with which a drained job ends.
END_OF_TIME = 2**63 - 1

CHANGE = """
  `userId` STRING,
  `timestamp` STRING,
  `change` STRING,
  `count` BIGINT,
  `keyGroup` INT,
  `subtask` INT
"""

REPORT = """
  `key` STRING,
  `reportedAt` STRING,
  `keyGroup` INT,
  `subtask` INT,
  `parallelism` INT,
  `users` BIGINT,
  `created` BIGINT,
  `expired` BIGINT
"""
KEY_APART = {**JSON_VALUE, "value.fields-include": "EXCEPT_KEY"}


class Counter(NamedTuple):
    """What is kept of a user: how many events, the time of the last one, and when that is forgotten (epoch ms)."""

    events: int
    last_ms: int
    expires_ms: int


class KeyGroup(NamedTuple):
    """What is kept of a key group: how many users were created and expired in it so far."""

    created: int = 0
    expired: int = 0

    @property
    def users(self) -> int:
        return self.created - self.expired


def counted(before: Counter | None, events: int, at_ms: int, ttl_ms: int) -> Counter:
    """Return the counter after so many events at a time; late ones count, and prolong nothing."""
    if before is None:
        return Counter(events, at_ms, at_ms + ttl_ms)
    last = before._replace(events=before.events + events)
    return last if at_ms < before.last_ms else last._replace(last_ms=at_ms, expires_ms=at_ms + ttl_ms)


def changed(before: KeyGroup, change: str) -> KeyGroup:
    """Return what is kept of a key group after a user in it was created or has expired."""
    return KeyGroup(before.created + (change == CREATED), before.expired + (change == EXPIRED))


def key_group(key: str, groups: int = MAXIMUM_PARALLELISM) -> int:
    """Return the key group of a text key, as Flink's KeyGroupRangeAssignment does for the row that PyFlink makes of it.

    It scrambles the hash of the key (MurmurHash), so that similar keys lie apart, and takes the rest.
    """
    mixed = _multiplied(_java_hash(key) + 31 + 31, 0xCC9E2D51)
    mixed = _multiplied(_rotated(mixed, 15), 0x1B873593)
    mixed = (_rotated(mixed, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF ^ 4
    mixed = _multiplied(mixed ^ mixed >> 16, 0x85EBCA6B)
    mixed = _multiplied(mixed ^ mixed >> 13, 0xC2B2AE35)
    mixed ^= mixed >> 16
    signed = mixed - (mixed >> 31 << 32)
    return 0 if signed == -(2**31) else abs(signed) % groups


def keys_of_groups(groups: int = MAXIMUM_PARALLELISM) -> list[str]:
    """Return for each key group a key that lies in it."""
    found: dict[int, str] = {}
    for name in map("key-{}".format, count()):
        found.setdefault(key_group(name, groups), name)
        if len(found) == groups:
            return [found[number] for number in range(groups)]
    raise AssertionError("there is no end of names")


class Count(parameters.LiveParameters):
    """Counts the events of a user in the order of event time, and says when one is created, counted and expired."""

    def open(self, runtime_context: RuntimeContext) -> None:
        super().open(runtime_context)
        waiting = MapStateDescriptor("waiting", Types.LONG(), Types.LONG())
        self._waiting = runtime_context.get_map_state(waiting)
        self._counter = runtime_context.get_state(ValueStateDescriptor("counter", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        at_ms = ctx.timestamp()
        self._waiting.put(at_ms, (self._waiting.get(at_ms) or 0) + 1)
        ctx.timer_service().register_event_time_timer(at_ms)
        yield from ()

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Row]:
        counter, user = self._counter.value(), ctx.get_current_key()
        counter = counter and Counter(*counter)
        events = self._waiting.get(timestamp)
        # The timer of the expiry may come after this event's: in process mode, one that a timer registers does.
        if counter and (counter.expires_ms < timestamp or (counter.expires_ms == timestamp and not events)):
            self._counter.clear()
            yield self._row(user, counter.expires_ms, EXPIRED, counter)
            counter = None
        if events:
            self._waiting.remove(timestamp)
            change = COUNTED if counter else CREATED
            counter = counted(counter, events, timestamp, self._ttl_ms(ctx))
            self._counter.update(tuple(counter))
            ctx.timer_service().register_event_time_timer(counter.expires_ms)
            yield self._row(user, timestamp, change, counter)

    def _ttl_ms(self, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> int:
        return round(float(self.in_force(ctx)["ttl_seconds"]) * 1000)

    def _row(self, user: str, at_ms: int, change: str, counter: Counter) -> Row:
        return Row(user, streams.iso(at_ms), change, counter.events, key_group(user), self._subtask)


class Report(KeyedProcessFunction):  # type: ignore[misc]
    """Says each second how many users there are in a key group, and which subtask holds it."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._subtask, self._parallelism = parameters.place(runtime_context)
        self._key_group = runtime_context.get_state(ValueStateDescriptor("key group", Types.PICKLED_BYTE_ARRAY()))
        self._due = runtime_context.get_state(ValueStateDescriptor("report due", Types.LONG()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        before = KeyGroup(*self._key_group.value() or ())
        self._key_group.update(tuple(changed(before, value[2])))
        # A drain ends the job before the next second; its last watermark brings the last report.
        ctx.timer_service().register_event_time_timer(END_OF_TIME)
        if self._due.value() is None:
            self._register(ctx)
        yield from ()

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        group = KeyGroup(*self._key_group.value())
        if timestamp != END_OF_TIME:
            self._due.clear()
            if group.users:
                self._register(ctx)
        now_ms = ctx.timer_service().current_processing_time()
        key = ctx.get_current_key()
        number = key_group(key)
        yield Row(
            str(number),
            streams.iso(now_ms),
            number,
            self._subtask,
            self._parallelism,
            group.users,
            group.created,
            group.expired,
        )

    def _register(self, ctx: KeyedProcessFunction.Context) -> None:
        due = (ctx.timer_service().current_processing_time() // REPORT_MS + 1) * REPORT_MS
        ctx.timer_service().register_processing_time_timer(due)
        self._due.update(due)


def reported(changes: DataStream) -> DataStream:
    """Return the reports of the key groups in which users were created or have expired."""
    keys = keys_of_groups()
    moved = changes.filter(lambda row: row[2] != COUNTED).name("created or expired")
    reports = moved.key_by(lambda row: keys[row[4]], Types.STRING()).process(Report(), columns.row_type(REPORT))
    return reports.name("report").uid("report")


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    counts: Topic = "processed-events",
    reports: Topic = "metrics",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`.

    `out_of_orderness_seconds`: how late an event may be and still be counted in order.
    """
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.sink("counts", counts, CHANGE, job=name, key="userId"))
    tables.execute_sql(kafka.sink("reports", reports, REPORT, job=name, key="key", value=KEY_APART))
    valid = streams.valid_events(
        tables,
        kafka,
        EVENTS,
        source=source,
        group=name,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
    )
    changes = parameters.connect(
        valid.key_by(streams.field(EVENTS, "userId"), Types.STRING()),
        Count(name, begun_with),
        kafka,
        output_type=columns.row_type(CHANGE),
        control=control,
        acknowledgements=acknowledgements,
    )
    lanes = tables.create_statement_set()
    lanes.add_insert("counts", tables.from_data_stream(changes.name("count")))
    lanes.add_insert("reports", tables.from_data_stream(reported(changes)))
    lanes.attach_as_datastream()


def _java_hash(text: str) -> int:
    """Return Java's hash of a string, as a number without sign."""
    units = text.encode("utf-16-be")
    found = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        found = found * 31 + (high << 8 | low) & 0xFFFFFFFF
    return found


def _multiplied(number: int, factor: int) -> int:
    return number * factor & 0xFFFFFFFF


def _rotated(number: int, places: int) -> int:
    return (number << places | number >> 32 - places) & 0xFFFFFFFF


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
