"""Own how the fraud jobs prepare payments: valid, once, in order, with the merchant's place and the limits in force.

    transactions ──> valid? ──> by user ──> places ──> by user ──> parameters ──> stamped payments
                      merchants ──────────────┘  control ────────────┘ └──> acknowledgements

MATCH_RECOGNIZE cannot ask for parameters: each payment carries them as columns.

A payment waits until the watermark reaches it. Then its merchant is known: the source of the merchants is bounded, it
ends where the topic ended when the job began, and it holds the watermark until then. So a merchant's newest version
of that moment counts, and one that is published later is known to the next run. Of two payments with one
transactionId that wait, the second is dropped: it says again what the first said, with the same time. One that comes
after the watermark is late and dropped, as MATCH_RECOGNIZE would drop it, so no transactionId is kept for longer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import cloudpickle
from pyflink.common import Row, TypeInformation, Types
from pyflink.datastream import DataStream, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.datastream.state import MapStateDescriptor
from pyflink.table import StreamTableEnvironment

from flink_jobs import parameters, streams
from flink_jobs.connectors import RAW_VALUE, Kafka, Start, Topic
from kernel_lib.records import Transaction

TRANSACTIONS = "transactions"
MERCHANTS = "merchants"
# Under this name of the job's global parameters stands how many of its sources end while it goes on.
BOUNDED_SOURCES = "bounded-sources"

PARAMETERS: parameters.Parameters = {
    "small_amount": 2.0,
    "large_amount": 500.0,
    "testing_seconds": 10.0,
    "fastest_kmh": 1000.0,
    "burst_seconds": 5.0,
    "forced_seconds": 10.0,
}
PLACE = ("city", "lat", "lon")
FIELDS = (*Transaction.__struct_fields__, *PLACE)
STAMPED_FIELDS = (*FIELDS, "timeMs", *PARAMETERS)
Place = tuple[str, float | None, float | None]
"""City, latitude and longitude of a merchant."""

NOWHERE: Place = ("", None, None)

Payment = dict[str, Any]
"""A stamped payment by the names of its fields."""

_USER, _TRANSACTION, _MERCHANT = map(Transaction.__struct_fields__.index, ("userId", "transactionId", "merchantId"))


def stamped_payments(
    env: StreamExecutionEnvironment,
    tables: StreamTableEnvironment,
    kafka: Kafka,
    *,
    name: str,
    source: Topic,
    merchants: Topic,
    control: Topic,
    acknowledgements: Topic,
    start: Start,
    out_of_orderness_seconds: float,
    idle_timeout_seconds: float,
    begun_with: parameters.Begun,
) -> DataStream:
    """Return the payments as rows of `STAMPED_FIELDS`, each user's in order of time, then of eventId."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    config = env.get_config()
    config.set_global_job_parameters(config.get_global_job_parameters() | {BOUNDED_SOURCES: "1"})
    payments = streams.valid_events(
        tables,
        kafka,
        TRANSACTIONS,
        source=source,
        group=name,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
    )
    by_user = payments.key_by(streams.field(TRANSACTIONS, "userId"), Types.STRING())
    known = _merchants(tables, kafka, merchants, name).broadcast(_known_merchants())
    placed = by_user.connect(known).process(Places(), row_type(FIELDS))
    placed.name("places").uid("places")
    return parameters.connect(
        placed.key_by(lambda payment: payment[_USER], Types.STRING()),
        Stamp(name, begun_with),
        kafka,
        output_type=row_type(STAMPED_FIELDS),
        control=control,
        acknowledgements=acknowledgements,
    )


def place_of(merchant: str | None) -> tuple[str, Place] | None:
    """Return the id and the place that a record of the topic merchants says; None if it is unreadable."""
    try:
        record = json.loads(merchant or "")
        location = record["location"] or {"lat": None, "lon": None}
        return str(record["merchantId"]), (str(record["city"]), location["lat"], location["lon"])
    except (ValueError, TypeError, KeyError):
        return None


def row_type(fields: tuple[str, ...]) -> TypeInformation:
    """Return the type of a row with these fields."""
    numbers = {"amount", "riskScore", "lat", "lon", *PARAMETERS}
    longs = {"sentAt", "timeMs"}
    types = [
        Types.DOUBLE() if name in numbers else Types.LONG() if name in longs else Types.STRING() for name in fields
    ]
    return Types.ROW_NAMED(list(fields), types)


def as_payment(row: Row) -> Payment:
    """Return a row of `STAMPED_FIELDS` by their names."""
    return dict(zip(STAMPED_FIELDS, row, strict=True))


class Places(KeyedBroadcastProcessFunction):  # type: ignore[misc]
    """Keeps each payment until the watermark reaches it, and passes it on with the place of its merchant."""

    def __init__(self) -> None:
        self._read: dict[str, Place] = {}

    def open(self, runtime_context: RuntimeContext) -> None:
        descriptor = MapStateDescriptor("waiting payments", Types.STRING(), Types.PICKLED_BYTE_ARRAY())
        self._waiting = runtime_context.get_map_state(descriptor)

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        at, timers = ctx.timestamp(), ctx.timer_service()
        if at <= timers.current_watermark() or self._waiting.contains(value[_TRANSACTION]):
            return
        # Without the row time, which is the timestamp of what the timer passes on.
        self._waiting.put(value[_TRANSACTION], (at, tuple(value)[:-1]))
        timers.register_event_time_timer(at)

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Row]:
        due = sorted(fields for at, fields in self._waiting.values() if at == timestamp)
        for fields in due:
            self._waiting.remove(fields[_TRANSACTION])
            yield Row(*fields, *self._place(fields[_MERCHANT], ctx))

    def process_broadcast_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.Context) -> None:
        said = place_of(value[0])
        if said:
            ctx.get_broadcast_state(_known_merchants()).put(said[0], value[0])

    def _place(self, merchant: str, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Place:
        if merchant not in self._read:
            known = ctx.get_broadcast_state(_known_merchants()).get(merchant)
            said = place_of(known) if known else None
            if not said:
                return NOWHERE
            self._read[merchant] = said[1]
        return self._read[merchant]


class Stamp(parameters.LiveParameters):
    """Passes each payment on with its time and the parameters in force."""

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        yield Row(*value, ctx.timestamp(), *self.in_force(ctx).values())


def _known_merchants() -> MapStateDescriptor:
    return MapStateDescriptor("known merchants", Types.STRING(), Types.STRING())


def _merchants(tables: StreamTableEnvironment, kafka: Kafka, topic: Topic, name: str) -> DataStream:
    bounded = {**RAW_VALUE, "scan.bounded.mode": "latest-offset"}
    tables.execute_sql(kafka.source("merchants", topic, "`value` STRING", group=name, value=bounded))
    return tables.to_data_stream(tables.from_path("merchants"))
